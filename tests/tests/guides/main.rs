//! The guides whose blocks are run, one after the other, as they stand there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod page;

use bemi_tests::{Tracked, shared_cluster};

#[tokio::test]
async fn from_who_changed_this_to_undone() {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    page::follow(include_str!("../../../docs/guide/support-case.md"), &tracked).await;
}
