//! The guides whose blocks are run, one after the other, as they stand there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod page;

use bemi_tests::{Cluster, ClusterOptions, Tracked, shared_cluster};

#[tokio::test]
async fn from_who_changed_this_to_undone() {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    page::follow(include_str!("../../../docs/guide/support-case.md"), &tracked).await;
}

/// On a cluster of its own: its roles are of the whole cluster.
#[tokio::test]
async fn from_nothing_to_a_worker_in_production() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let schema = "CREATE TABLE todo (id int PRIMARY KEY, task text)";
    let tracked = Tracked::untracked(&cluster, schema).await;
    page::follow(include_str!("../../../docs/production.md"), &tracked).await;
    let may: bool = tracked
        .value("SELECT has_table_privilege('auditors', 'changes', 'SELECT') AND NOT has_table_privilege('auditors', 'changes', 'UPDATE')")
        .await;
    assert!(may, "who reads may read, and no more");
    let may: bool =
        tracked.value("SELECT has_table_privilege('bemi_run', 'changes', 'INSERT')").await;
    assert!(may, "who runs may store");
}
