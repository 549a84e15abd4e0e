//! What of a row is stored. What each kind of change is, is in `changes`.

use bemi_tests::{Cluster, ClusterOptions, STORED_WITHIN, Tracked, shared_cluster};
use serde_json::json;

#[tokio::test]
async fn an_excluded_column_is_stored_nowhere() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE users (id int PRIMARY KEY, name text, password_hash text)",
    )
    .await;
    tracked
        .setup(&["--all-tables", "--replica-identity", "full", "--exclude", "*.*.password_hash"])
        .await;
    tracked
        .sql("INSERT INTO users VALUES (1, 'ann', 'hunter2'); UPDATE users SET password_hash = 'hunter3'")
        .await;
    tracked.store().await;
    assert_eq!(tracked.changes().await[1].after, json!({"id": 1, "name": "ann"}));
    let leaked: i64 =
        tracked.value("SELECT count(*) FROM changes c WHERE c::text LIKE '%hunter%'").await;
    assert_eq!(leaked, 0);
}

#[tokio::test]
async fn rules_that_change_while_the_worker_runs_count_from_there() {
    let tracked =
        Tracked::untracked(shared_cluster(), "CREATE TABLE t (id int PRIMARY KEY, a text, b text)")
            .await;
    let full = ["--all-tables", "--replica-identity", "full"];
    tracked.setup(&full).await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1, 'x', 'y')").await;
    tracked.wait_for_count(1).await;
    tracked.setup(&[&full[..], &["--exclude", "public.t.b"]].concat()).await;
    tracked.sql("INSERT INTO t VALUES (2, 'x', 'y')").await;
    tracked.wait_for_count(2).await;
    let changes = tracked.changes().await;
    assert_eq!(changes[0].after, json!({"id": 1, "a": "x", "b": "y"}));
    assert_eq!(changes[1].after, json!({"id": 2, "a": "x"}));
    worker.stop().await;
}

/// A commit is in the WAL before anybody else sees it: a synchronous standby that is slow makes the
/// time between long. The worker has the change of a table then that its catalog does not show yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_commit_is_not_visible_yet_has_its_key() {
    let options = ClusterOptions::new()
        .set("synchronous_standby_names", "nobody")
        // Nobody but the session below waits for it.
        .set("synchronous_commit", "local");
    let cluster = Cluster::start(&options).unwrap();
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let worker = tracked.run().await;
    let waiting = tracked.database.connect().await.unwrap();
    let committing = tokio::spawn(async move {
        let sql = "SET synchronous_commit = on; \
                   BEGIN; CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1); COMMIT";
        waiting.batch_execute(sql).await
    });
    let pid = bemi_tests::eventually(STORED_WITHIN, "the commit to wait and be sent", async || {
        tracked
            .client
            .query_opt(
                "SELECT a.pid FROM pg_stat_activity a, pg_stat_replication r \
                 WHERE a.wait_event = 'SyncRep' AND r.sent_lsn >= pg_current_wal_flush_lsn()",
                &[],
            )
            .await
            .unwrap()
            .map(|row| row.get::<_, i32>(0))
    })
    .await;
    // It ends the waiting, and says that the transaction is committed here.
    tracked.client.execute("SELECT pg_cancel_backend($1)", &[&pid]).await.unwrap();
    committing.await.unwrap().unwrap();
    tracked.wait_for_count(1).await;
    assert_eq!(tracked.changes().await[0].what(), ("CREATE", "1"));
    worker.stop().await;
}
