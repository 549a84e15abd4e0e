//! Chains that are made with a key, which whoever may write to the destination does not have.

use crate::chained::{Chained, KEY};

#[tokio::test]
async fn a_chain_with_a_key_needs_it_to_be_gone_on_with_and_to_be_verified() {
    let chained = Chained::filled(Some(KEY)).await;
    assert_eq!(chained.sound().await["is_keyed"], true);
    for arguments in [&["verify"][..], &["run", "--once"]] {
        let output = chained.tracked.worker(arguments).run_to_end().await.assert_code(2);
        assert!(output.stderr.contains("BEMI_CHAIN_KEY"), "{}", output.stderr);
        let other = "f123456789abcdef0123456789abcdef";
        let wrong = chained.tracked.worker(arguments).env("BEMI_CHAIN_KEY", other);
        let output = wrong.run_to_end().await.assert_code(2);
        assert!(output.stderr.contains("another one"), "{}", output.stderr);
        assert!(!output.stderr.contains("123456789abcdef"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_key_can_come_later_and_covers_what_was_before() {
    let chained = Chained::filled(None).await;
    let keyed = |arguments: &[&str]| chained.tracked.worker(arguments).env("BEMI_CHAIN_KEY", KEY);
    let output = keyed(&["verify"]).run_to_end().await.assert_code(3);
    assert!(output.stdout.contains("has not run with the key yet"), "{}", output.stdout);
    chained.sql("INSERT INTO todo VALUES (7)").await;
    keyed(&["run", "--once"]).run_to_end().await.assert_code(0);
    keyed(&["verify"]).run_to_end().await.assert_code(0);
    chained.sql("UPDATE bemi.chain SET made_at = made_at + interval '1 s' WHERE number = 2").await;
    keyed(&["verify"]).run_to_end().await.assert_code(3);
}

/// Without a key, who owns the destination can make it all anew; only what was kept elsewhere tells.
#[tokio::test]
async fn without_a_key_a_chain_that_was_made_anew_is_found_by_a_head_that_was_kept_alone() {
    let chained = Chained::filled(None).await;
    let head = chained.head().await;
    chained.tamper("UPDATE changes SET context = '{\"user_id\": 1}'").await;
    chained.kinds().await;
    chained.forge().await;
    chained.sound().await;
    let found = chained.tampered(&["--head", &head]).await;
    assert_eq!(found[0].0, "other_head", "{found:?}");
}

#[tokio::test]
async fn with_a_key_a_chain_that_was_made_anew_is_found_by_it() {
    let chained = Chained::filled(Some(KEY)).await;
    chained.tamper("UPDATE changes SET context = '{\"user_id\": 1}'").await;
    chained.forge().await;
    assert!(chained.kinds().await.iter().all(|kind| kind == "altered_link"));
    chained
        .sql(
            "BEGIN; UPDATE bemi.chain SET is_keyed = false; \
             UPDATE bemi.chain_heads SET key_check = NULL; COMMIT",
        )
        .await;
    assert_eq!(chained.kinds().await, ["altered_link"]);
}
