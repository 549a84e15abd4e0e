//! Composite types that are altered.

use bemi_tests::{Cluster, ClusterOptions, STORED_WITHIN, Tracked, eventually, statements_sent};
use serde_json::json;

use super::{exact, row, store_live, stored, text};

/// A table with a composite in it.
const PAIR: &str =
    "CREATE TYPE pair AS (a int, b text); CREATE TABLE t (id int PRIMARY KEY, p pair)";

/// What can be done to it, what the next row is, how it is written, and what it is.
fn alterations() -> [(&'static str, &'static str, &'static str, serde_json::Value); 4] {
    [
        ("RENAME ATTRIBUTE a TO z", "(2,x)", "(2,x)", json!({"z": 2, "b": "x"})),
        ("ADD ATTRIBUTE c int", "(2,x,7)", "(2,x,7)", json!({"a": 2, "b": "x", "c": 7})),
        ("DROP ATTRIBUTE b", "(2)", "(2)", json!({"a": 2})),
        ("RENAME TO duo", "(2,x)", "(2,x)", json!({"a": 2, "b": "x"})),
    ]
}

fn insert(id: i32, value: &str) -> String {
    format!("INSERT INTO t VALUES ({id}, '{value}')")
}

#[tokio::test]
async fn an_alteration_while_the_worker_runs_leaves_rows_up_to_the_next_reading_as_text() {
    for (alteration, value, written, after) in alterations() {
        let tracked = Tracked::new(PAIR).await;
        let worker = tracked.run().await;
        store_live(&tracked, &insert(1, "(1,x)"), 1).await;
        tracked.sql(&format!("ALTER TYPE pair {alteration}")).await;
        store_live(&tracked, &insert(2, value), 1).await;
        store_live(&tracked, &insert(3, value), 1).await;
        let second = match alteration {
            // Its own name is in no row.
            "RENAME TO duo" => exact(2, after.clone()),
            _ => text(2, written),
        };
        let before = exact(1, json!({"a": 1, "b": "x"}));
        assert_eq!(stored(&tracked).await, [before, second, exact(3, after)], "{alteration}");
        worker.stop().await;
    }
}

#[tokio::test]
async fn an_alteration_while_the_worker_is_behind_leaves_the_rows_on_both_sides_as_text() {
    for (alteration, value, written, after) in alterations() {
        let tracked = Tracked::new(PAIR).await;
        tracked.sql(&insert(1, "(1,x)")).await;
        tracked.sql(&format!("ALTER TYPE pair {alteration}")).await;
        tracked.sql(&insert(2, value)).await;
        let worker = tracked.run().await;
        tracked.wait_for_count(2).await;
        store_live(&tracked, &insert(3, value), 1).await;
        let expected = match alteration {
            "RENAME TO duo" => [exact(1, json!({"a": 1, "b": "x"})), exact(2, after.clone())],
            _ => [text(1, "(1,x)"), text(2, written)],
        };
        let stored = stored(&tracked).await;
        assert_eq!(stored[..2], expected, "{alteration}");
        assert_eq!(stored[2], exact(3, after), "{alteration}");
        worker.stop().await;
    }
}

#[tokio::test]
async fn an_alteration_inside_the_transaction_that_writes_leaves_its_rows_as_text() {
    let tracked = Tracked::new(PAIR).await;
    let worker = tracked.run().await;
    let sql = "BEGIN; INSERT INTO t VALUES (1, '(1,x)'); ALTER TYPE pair RENAME ATTRIBUTE a TO z; \
               INSERT INTO t VALUES (2, '(2,x)'); COMMIT";
    store_live(&tracked, sql, 2).await;
    store_live(&tracked, &insert(3, "(3,x)"), 1).await;
    assert_eq!(
        stored(&tracked).await,
        [text(1, "(1,x)"), text(2, "(2,x)"), exact(3, json!({"z": 3, "b": "x"}))]
    );
    worker.stop().await;
}

/// What counts is where the row is in the WAL, not where its transaction commits: this one is sent long
/// after the alteration, and the worker has read the catalog in between.
#[tokio::test]
async fn a_row_from_before_that_commits_after_is_not_told_by_the_altered_type() {
    let tracked = Tracked::new(PAIR).await;
    let worker = tracked.run().await;
    let long = tracked.database.connect().await.unwrap();
    long.batch_execute("BEGIN; INSERT INTO t VALUES (1, '(1,x)')").await.unwrap();
    tracked.sql("ALTER TYPE pair RENAME ATTRIBUTE a TO z").await;
    store_live(&tracked, &insert(2, "(2,x)"), 1).await;
    store_live(&tracked, &insert(3, "(3,x)"), 1).await;
    long.batch_execute("INSERT INTO t VALUES (4, '(4,x)'); COMMIT").await.unwrap();
    tracked.wait_for_count(4).await;
    assert_eq!(
        stored(&tracked).await,
        [
            text(2, "(2,x)"),
            exact(3, json!({"z": 3, "b": "x"})),
            text(1, "(1,x)"),
            exact(4, json!({"z": 4, "b": "x"})),
        ]
    );
    worker.stop().await;
}

#[tokio::test]
async fn what_is_not_committed_is_not_taken_for_altered_and_neither_for_certain() {
    let tracked = Tracked::new(PAIR).await;
    let worker = tracked.run().await;
    store_live(&tracked, &insert(1, "(1,x)"), 1).await;
    let other = tracked.database.connect().await.unwrap();
    other.batch_execute("BEGIN; ALTER TYPE pair RENAME ATTRIBUTE a TO z").await.unwrap();
    store_live(&tracked, &insert(2, "(2,x)"), 1).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    store_live(&tracked, &insert(3, "(3,x)"), 1).await;
    let exactly = |id: i32| exact(id, json!({"a": id, "b": "x"}));
    assert_eq!(stored(&tracked).await, [exactly(1), text(2, "(2,x)"), exactly(3)]);
    worker.stop().await;
}

/// The commit is in the WAL, and the catalog does not show it yet. The server sends no row of the type
/// then, but one of another type makes the worker read the catalog.
#[tokio::test(flavor = "multi_thread")]
async fn an_alteration_that_waits_for_a_standby_is_not_overlooked() {
    let options = ClusterOptions::new()
        .set("synchronous_standby_names", "nobody")
        // Nobody but the session below waits for it.
        .set("synchronous_commit", "local");
    let cluster = Cluster::start(&options).unwrap();
    let schema =
        format!("{PAIR}; CREATE TYPE one AS (n int); CREATE TABLE u (id int PRIMARY KEY, o one)");
    let tracked = Tracked::on(&cluster, &schema).await;
    let worker = tracked.run().await;
    let both = |id: i32| {
        format!(
            "BEGIN; INSERT INTO u VALUES ({id}, '({id})'); {}; COMMIT",
            insert(id, &format!("({id},x)"))
        )
    };
    store_live(&tracked, &both(1), 2).await;
    let waiting = tracked.database.connect().await.unwrap();
    let committing = tokio::spawn(async move {
        let sql = "SET synchronous_commit = on; ALTER TYPE pair RENAME ATTRIBUTE a TO z";
        waiting.batch_execute(sql).await
    });
    let pid = eventually(STORED_WITHIN, "the commit to wait", async || {
        let sql = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        tracked.client.query_opt(sql, &[]).await.unwrap().map(|row| row.get::<_, i32>(0))
    })
    .await;
    let moment: String = tracked.value("SELECT clock_timestamp()::text").await;
    tracked.sql(&both(2)).await;
    eventually(STORED_WITHIN, "the worker to have read the catalog", async || {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity \
             WHERE application_name = 'bemi-worker' AND backend_type = 'client backend' AND state = 'idle' \
               AND query LIKE 'SELECT (pg_catalog.pg_current_wal_insert_lsn()%' AND query_start > '{moment}'"
        );
        tracked.client.query_opt(&sql, &[]).await.unwrap()
    })
    .await;
    // It ends the waiting, and says that the transaction is committed here.
    tracked.client.execute("SELECT pg_cancel_backend($1)", &[&pid]).await.unwrap();
    committing.await.unwrap().unwrap();
    tracked.wait_for_count(4).await;
    store_live(&tracked, &both(3), 2).await;
    store_live(&tracked, &both(4), 2).await;
    let of_other = |id: i32| row(json!({"id": id, "o": {"n": id}}), &[]);
    assert_eq!(
        stored(&tracked).await,
        [
            of_other(1),
            exact(1, json!({"a": 1, "b": "x"})),
            of_other(2),
            text(2, "(2,x)"),
            of_other(3),
            text(3, "(3,x)"),
            of_other(4),
            exact(4, json!({"z": 4, "b": "x"})),
        ]
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_composite_inside_of_others_is_altered_with_them() {
    let tracked = Tracked::new(
        "CREATE TYPE pair AS (a int, b text); CREATE TYPE two AS (p pair, l pair[]); \
         CREATE DOMAIN checked AS pair CHECK ((VALUE).a > 0); \
         CREATE TABLE t (id int PRIMARY KEY, n int[], l pair[], o two, d checked)",
    )
    .await;
    let worker = tracked.run().await;
    let insert = |id: i32| {
        format!(
            "INSERT INTO t VALUES ({id}, '{{1,2}}', ARRAY['(1,x)']::pair[], \
             ROW('(1,x)', ARRAY['(2,y)']::pair[])::two, '(3,z)')"
        )
    };
    let whole = |id: i32, a: &str| {
        let pair = |number: i32, b: &str| json!({a: number, "b": b});
        row(
            json!({"id": id, "n": [1, 2], "l": [pair(1, "x")],
                   "o": {"p": pair(1, "x"), "l": [pair(2, "y")]}, "d": pair(3, "z")}),
            &[],
        )
    };
    store_live(&tracked, &insert(1), 1).await;
    tracked.sql("ALTER TYPE pair RENAME ATTRIBUTE a TO z").await;
    store_live(&tracked, &insert(2), 1).await;
    store_live(&tracked, &insert(3), 1).await;
    let texts = json!({"id": 2, "n": [1, 2], "l": r#"{"(1,x)"}"#,
                       "o": r#"("(1,x)","{""(2,y)""}")"#, "d": "(3,z)"});
    assert_eq!(
        stored(&tracked).await,
        [whole(1, "a"), row(texts, &["l", "o", "d"]), whole(3, "z")]
    );
    worker.stop().await;
}

#[tokio::test]
async fn the_row_of_a_table_is_a_composite_like_any_other() {
    let tracked = Tracked::new(
        "CREATE TABLE person (id int PRIMARY KEY, name text DEFAULT 'nobody'); \
         CREATE TABLE t (id int PRIMARY KEY, p person)",
    )
    .await;
    let worker = tracked.run().await;
    store_live(&tracked, &insert(1, "(1,ann)"), 1).await;
    tracked.sql("ALTER TABLE person RENAME name TO full_name").await;
    store_live(&tracked, &insert(2, "(2,bob)"), 1).await;
    store_live(&tracked, &insert(3, "(3,eve)"), 1).await;
    assert_eq!(
        stored(&tracked).await,
        [
            exact(1, json!({"id": 1, "name": "ann"})),
            text(2, "(2,bob)"),
            exact(3, json!({"id": 3, "full_name": "eve"})),
        ]
    );
    worker.stop().await;
}

/// An alteration is found by reading. Nothing is left in the WAL for it, which would move it on and on.
#[tokio::test]
async fn nothing_is_written_to_find_out() {
    let tracked = Tracked::new(PAIR).await;
    let watch = tracked.database.unique_name("watch");
    tracked
        .sql(&format!("SELECT pg_create_logical_replication_slot('{watch}', 'test_decoding')"))
        .await;
    let worker = tracked.run().await;
    tracked.sql("ALTER TYPE pair RENAME ATTRIBUTE a TO z").await;
    store_live(&tracked, &insert(1, "(1,x)"), 1).await;
    store_live(&tracked, &insert(2, "(2,x)"), 1).await;
    worker.stop().await;
    assert_eq!(stored(&tracked).await, [text(1, "(1,x)"), exact(2, json!({"z": 2, "b": "x"}))]);
    // But what the event triggers tell of the ALTER.
    let messages: i64 = tracked
        .value(&format!(
            "SELECT count(*) FROM pg_logical_slot_peek_changes('{watch}', NULL, NULL) \
             WHERE data LIKE 'message:%' AND data !~ 'prefix: _bemi_(table|spacer),'"
        ))
        .await;
    assert_eq!(messages, 0);
}

/// How often the worker has read types.
fn readings(cluster: &Cluster, tracked: &Tracked) -> usize {
    statements_sent(&cluster.log(), tracked.database.name())
        .iter()
        .filter(|statement| statement.starts_with("WITH RECURSIVE part"))
        .count()
}

#[tokio::test]
async fn one_reading_serves_a_backlog_and_who_has_no_composites_needs_no_other() {
    let options = ClusterOptions::new().set("log_statement", "all");
    let cluster = Cluster::start(&options).unwrap();
    let schema = format!("{PAIR}; CREATE TABLE plain (id int PRIMARY KEY, l int[])");
    let tracked = Tracked::on(&cluster, &schema).await;
    for id in 1..=50 {
        tracked.sql(&insert(id, "(1,x)")).await;
    }
    let worker = tracked.run().await;
    tracked.wait_for_count(50).await;
    assert_eq!(readings(&cluster, &tracked), 1, "when the table is described");
    for id in 1..=5 {
        store_live(&tracked, &format!("INSERT INTO plain VALUES ({id}, '{{1}}')"), 1).await;
    }
    assert_eq!(readings(&cluster, &tracked), 2, "when that table is");
    for id in 51..=53 {
        store_live(&tracked, &insert(id, "(1,x)"), 1).await;
    }
    assert_eq!(readings(&cluster, &tracked), 5, "for each transaction, where there is no backlog");
    worker.stop().await;
}

/// What the slot has passed is older than all that comes: a worker that is started then needs to know no
/// more.
#[tokio::test]
async fn once_the_slot_has_passed_an_alteration_a_backlog_is_exact_again() {
    let tracked = Tracked::new(PAIR).await;
    let worker = tracked.run().await;
    tracked.sql("ALTER TYPE pair RENAME ATTRIBUTE a TO z").await;
    store_live(&tracked, &insert(1, "(1,x)"), 1).await;
    let slot = tracked.database.slot_name();
    eventually(STORED_WITHIN, "the slot to pass the alteration", async || {
        // It leaves in the WAL which transactions run.
        tracked.sql("CHECKPOINT").await;
        let passed = format!(
            "SELECT s.catalog_xmin::text::bigint > (SELECT max(a.xmin::text::bigint) FROM pg_attribute a \
                                                    WHERE a.attrelid = 'pair'::regclass) \
             FROM pg_replication_slots s WHERE s.slot_name = '{slot}'"
        );
        tracked.value::<bool>(&passed).await.then_some(())
    })
    .await;
    worker.stop().await;
    tracked.sql(&insert(2, "(2,x)")).await;
    tracked.store().await;
    assert_eq!(stored(&tracked).await, [text(1, "(1,x)"), exact(2, json!({"z": 2, "b": "x"}))]);
}
