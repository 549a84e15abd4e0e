//! What PostgreSQL does not write to its WAL, or does not decode, is not recorded. The docs have the list; this proves it.

use bemi_tests::Tracked;
use serde_json::json;

use super::expected::{
    commit_each, created, free_slot, keeping_identities, recorded, server_version, updated,
};

#[tokio::test]
async fn unlogged_and_temporary_tables_leave_nothing_and_disturb_nothing() {
    let tracked = Tracked::new(
        "CREATE UNLOGGED TABLE cache (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY)",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO cache VALUES (1); UPDATE cache SET id = 2; TRUNCATE cache; \
             CREATE TEMPORARY TABLE temp (id int PRIMARY KEY); INSERT INTO temp VALUES (1); DELETE FROM temp; \
             CREATE TEMPORARY TABLE t (id int); INSERT INTO t VALUES (1); DROP TABLE pg_temp.t; \
             INSERT INTO t VALUES (1)",
        )
        .await;
    assert_eq!(recorded(&tracked).await, [created("t", "1", json!({"id": 1}))]);
}

/// The rows that it has then are in the WAL, and yet not decoded: only their next changes are.
#[tokio::test]
async fn a_table_that_becomes_logged_is_recorded_from_there() {
    let tracked = Tracked::new("CREATE UNLOGGED TABLE t (id int PRIMARY KEY, a int)").await;
    tracked.sql("INSERT INTO t VALUES (1, 1); ALTER TABLE t SET LOGGED").await;
    tracked.sql("UPDATE t SET a = 2; INSERT INTO t VALUES (2, 2)").await;
    let row = |id: i32, a: i32| json!({"id": id, "a": a});
    assert_eq!(
        recorded(&tracked).await,
        [updated("t", "1", row(1, 1), row(1, 2)), created("t", "2", row(2, 2))]
    );
}

/// PostgreSQL takes no unlogged table into a publication, and does not take one out by itself either.
#[tokio::test]
async fn a_tracked_table_cannot_become_unlogged_before_it_is_left_out() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let refused = tracked.client.batch_execute("ALTER TABLE t SET UNLOGGED").await.unwrap_err();
    let message = refused.as_db_error().unwrap().message().to_owned();
    assert!(message.contains("part of a publication"), "{message}");
    tracked.sql("INSERT INTO t VALUES (1)").await;
    assert_eq!(recorded(&tracked).await, [created("t", "1", json!({"id": 1}))]);
    tracked.setup(&["--exclude", "t"]).await;
    tracked.sql("ALTER TABLE t SET UNLOGGED; INSERT INTO t VALUES (2)").await;
    assert_eq!(recorded(&tracked).await.len(), 1);
}

#[tokio::test]
async fn large_objects_sequences_and_materialized_views_leave_nothing() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, document oid); CREATE SEQUENCE s; \
         CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE UNIQUE INDEX ON m (id)",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, lo_from_bytea(4711, '\\x00')); \
             SELECT lo_put(4711, 0, '\\xff'); SELECT lo_unlink(4711); \
             SELECT nextval('s'), setval('s', 100); ALTER SEQUENCE s RESTART",
        )
        .await;
    tracked.sql("REFRESH MATERIALIZED VIEW m").await;
    tracked.sql("REFRESH MATERIALIZED VIEW CONCURRENTLY m").await;
    // The number of the large object is a value like any other.
    assert_eq!(recorded(&tracked).await, [created("t", "1", json!({"id": 1, "document": "4711"}))]);
}

#[tokio::test]
async fn foreign_tables_are_left_alone_also_as_partitions() {
    let tracked = Tracked::new(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nobody FOREIGN DATA WRAPPER nowhere; \
         CREATE FOREIGN TABLE f (id int) SERVER nobody; \
         CREATE TABLE t (id int) PARTITION BY LIST (id); \
         CREATE TABLE here PARTITION OF t FOR VALUES IN (1); \
         CREATE FOREIGN TABLE there PARTITION OF t FOR VALUES IN (2) SERVER nobody",
    )
    .await;
    tracked
        .sql("CREATE FOREIGN TABLE later (id int) SERVER nobody; INSERT INTO t VALUES (1)")
        .await;
    let published: Vec<String> = tracked
        .value("SELECT array_agg(DISTINCT tablename::text) FROM pg_publication_tables")
        .await;
    assert_eq!(published, ["t"]);
    assert_eq!(recorded(&tracked).await, [created("t", None, json!({"id": 1}))]);
}

/// The event trigger comes after the statement: what that has written, the publication did not have yet.
#[tokio::test]
async fn rows_that_create_table_as_writes_are_not_recorded_and_those_after_it_are() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let transactions = [
        "CREATE TABLE a AS SELECT 1 AS id; INSERT INTO a VALUES (2)",
        "SELECT 1 AS id INTO b",
        "UPDATE b SET id = 2",
        "CREATE TABLE c (id int); INSERT INTO c SELECT 1",
    ];
    commit_each(&tracked, &transactions).await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("a", None, json!({"id": 2})),
            updated("b", None, json!({"id": 1}), json!({"id": 2})),
            created("c", None, json!({"id": 1})),
        ]
    );
}

/// What it held goes without a change. What was written to it before is recorded, although nobody can be asked about it any
/// more: its key is what the stream tells of it, and under FULL that is nothing.
#[tokio::test]
async fn a_table_that_is_dropped_before_it_is_recorded_keeps_its_changes() {
    for (identity, key) in [("DEFAULT", Some("1")), ("FULL", None)] {
        let tracked = keeping_identities(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, a int); ALTER TABLE t REPLICA IDENTITY {identity}"
        ))
        .await;
        let transactions = [
            "INSERT INTO t VALUES (1, 1)",
            "DROP TABLE t",
            "CREATE TABLE brief (id int PRIMARY KEY); INSERT INTO brief VALUES (2); DROP TABLE brief",
        ];
        commit_each(&tracked, &transactions).await;
        assert_eq!(
            recorded(&tracked).await,
            [created("t", key, json!({"id": 1, "a": 1})), created("brief", "2", json!({"id": 2})),],
            "{identity}"
        );
    }
}

/// It costs the worker a look, and no more.
#[tokio::test]
async fn a_transaction_of_tables_that_are_not_tracked_is_sent_as_nothing_since_15() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE noise (id int)").await;
    tracked.setup(&["--exclude", "noise"]).await;
    tracked.store().await;
    let slot = free_slot(&tracked).await;
    tracked.sql("INSERT INTO noise VALUES (1)").await;
    let messages: i64 = tracked
        .value(&format!(
            "SELECT count(*) FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, \
                 'proto_version', '1', 'publication_names', 'bemi,bemi_insert_only')"
        ))
        .await;
    // A begin and a commit for each, before; the worker's own transactions are among them.
    assert_eq!(messages > 0, server_version(&tracked).await < 150_000, "{messages}");
    assert_eq!(recorded(&tracked).await, []);
}
