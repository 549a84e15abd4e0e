//! What is well is not complained about.

use bemi_tests::{Tracked, shared_cluster};

use super::examined::{examine, version};

#[tokio::test]
async fn a_healthy_database_has_nothing_but_what_was_chosen_for_it() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, body text)").await;
    tracked.setup(&["--sql-pack"]).await;
    let worker = tracked.run().await;
    let examined = examine(&tracked).await;
    // Throwaway clusters have no fsync, and no limit for the WAL of a slot; 14 has no fixes any more.
    let mut expected = vec!["B025", "B076"];
    if version(&tracked).await < 150_000 {
        expected.insert(1, "B061");
    }
    let found: Vec<&str> = examined.levels.keys().map(String::as_str).collect();
    assert_eq!(found, expected, "{}", examined.said);
    assert_eq!(examined.code, Some(0));
    worker.stop().await;
}

#[tokio::test]
async fn a_table_says_where_the_documentation_is() {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    let output = tracked.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(output.stdout.contains("B011  FAIL  the source is not set up"), "{output}");
    assert!(output.stdout.contains("see: docs/findings.md#b011\n"), "{output}");
}
