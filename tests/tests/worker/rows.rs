//! What is stored of each kind of change.

use bemi_tests::{Cluster, ClusterOptions, STORED_WITHIN, Tracked, shared_cluster};
use serde_json::json;

#[tokio::test]
async fn inserts_updates_and_deletes_have_the_row_before_and_after() {
    let tracked = Tracked::new("CREATE TABLE t (id bigint PRIMARY KEY, a text)").await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET a = 'b'; DELETE FROM t").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let rows: Vec<_> =
        changes.iter().map(|change| (change.what(), &change.before, &change.after)).collect();
    assert_eq!(
        rows,
        [
            (("CREATE", "1"), &json!({}), &json!({"id": 1, "a": "a"})),
            (("UPDATE", "1"), &json!({"id": 1, "a": "a"}), &json!({"id": 1, "a": "b"})),
            (("DELETE", "1"), &json!({"id": 1, "a": "b"}), &json!({})),
        ]
    );
    assert!(changes.iter().all(|change| change.before_complete));
}

#[tokio::test]
async fn a_key_is_that_of_the_catalog_in_index_order() {
    let tracked = Tracked::new(
        "CREATE TABLE composite (b text, n int, a text, PRIMARY KEY (a, n)); \
         CREATE TABLE named (name text PRIMARY KEY, id int); \
         CREATE TABLE keyless (id int); \
         CREATE TABLE covering (id int, extra int, PRIMARY KEY (id) INCLUDE (extra)); \
         CREATE TABLE by_index (u int NOT NULL UNIQUE, v int); \
         ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_u_key",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO composite VALUES ('x', 7, 'it''s \"a\"'); INSERT INTO named VALUES ('ann', 1); \
             INSERT INTO keyless VALUES (1); INSERT INTO covering VALUES (1, 2); \
             INSERT INTO by_index VALUES (5, 6)",
        )
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let keys: Vec<_> = changes
        .iter()
        .map(|change| (change.table.as_str(), change.primary_key.as_deref()))
        .collect();
    assert_eq!(keys[0], ("composite", Some(r#"["it's \"a\"","7"]"#)));
    assert_eq!(keys[1..4], [("named", Some("ann")), ("keyless", None), ("covering", Some("1"))]);
    // Setup with FULL replaces the index as identity, and then no index is the key.
    assert_eq!(keys[4], ("by_index", None));
}

#[tokio::test]
async fn an_update_of_the_key_is_one_update_with_both_keys() {
    let tracked = Tracked::new("CREATE TABLE t (id bigint PRIMARY KEY, a text)").await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET id = 2").await;
    tracked.store().await;
    let update = &tracked.changes().await[1];
    assert_eq!(update.what(), ("UPDATE", "2"));
    assert_eq!(update.previous_key.as_deref(), Some("1"));
}

#[tokio::test]
async fn under_the_default_identity_the_row_before_is_its_key() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id bigint PRIMARY KEY, a text, long text)",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    tracked
        .sql(
            "INSERT INTO t SELECT 1, 'a', string_agg(md5(g::text), '') FROM generate_series(1, 500) g; \
             UPDATE t SET a = 'b'; UPDATE t SET id = 2; DELETE FROM t",
        )
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    assert!(changes[0].before_complete && changes[0].unavailable.is_none());

    let update = &changes[1];
    assert_eq!((update.what(), &update.before), (("UPDATE", "1"), &json!({"id": 1})));
    assert_eq!(update.after, json!({"id": 1, "a": "b"}), "the long value was not sent");
    assert_eq!(update.unavailable.as_deref(), Some(&["long".to_owned()][..]));
    assert!(!update.before_complete);

    let moved = &changes[2];
    assert_eq!((moved.what(), moved.previous_key.as_deref()), (("UPDATE", "2"), Some("1")));
    assert_eq!(moved.before, json!({"id": 1}));

    let delete = &changes[3];
    assert_eq!((delete.what(), &delete.before), (("DELETE", "2"), &json!({"id": 2})));
    assert!(!delete.before_complete);
}

#[tokio::test]
async fn a_truncate_is_one_change_for_each_table() {
    let tracked =
        Tracked::new("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int REFERENCES a)")
            .await;
    tracked.sql("INSERT INTO a VALUES (1); TRUNCATE a CASCADE").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let mut truncated: Vec<_> = changes[1..]
        .iter()
        .map(|change| (change.operation.as_str(), change.table.as_str()))
        .collect();
    truncated.sort_unstable();
    assert_eq!(truncated, [("TRUNCATE", "a"), ("TRUNCATE", "b")]);
    // After the INSERT, which is in the same transaction.
    assert_eq!((changes[1].sequence, changes[2].sequence), (2, 3));
    assert_eq!((&changes[1].before, &changes[1].after), (&json!({}), &json!({})));
}

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

#[tokio::test]
async fn columns_that_come_and_go_are_as_they_were_at_the_time() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, a text)").await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 'x'); ALTER TABLE t ADD b int; \
             BEGIN; INSERT INTO t VALUES (2, 'x', 5); ALTER TABLE t RENAME a TO c; \
             INSERT INTO t VALUES (3, 'x', 6); COMMIT; ALTER TABLE t DROP c; INSERT INTO t VALUES (4, 7)",
        )
        .await;
    tracked.store().await;
    let rows: Vec<_> = tracked.changes().await.into_iter().map(|change| change.after).collect();
    assert_eq!(
        rows,
        [
            json!({"id": 1, "a": "x"}),
            json!({"id": 2, "a": "x", "b": 5}),
            json!({"id": 3, "c": "x", "b": 6}),
            json!({"id": 4, "b": 7}),
        ]
    );
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
