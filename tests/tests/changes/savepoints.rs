//! Parts of a transaction that were rolled back leave nothing: no row, and no context.

use bemi_tests::Tracked;
use serde_json::{Value, json};

use super::expected::{Change, created, emit, recorded, transactions};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY)";

fn row(id: i32) -> Change {
    created("t", id.to_string().as_str(), json!({"id": id}))
}

fn user(id: i32) -> Value {
    json!({"user": id})
}

#[tokio::test]
async fn a_savepoint_that_is_rolled_back_takes_rows_and_context_along() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(&format!(
            "BEGIN; {one} INSERT INTO t VALUES (1); \
             SAVEPOINT s; {two} INSERT INTO t VALUES (2); ROLLBACK TO s; \
             INSERT INTO t VALUES (3); \
             {three} INSERT INTO t VALUES (4); ROLLBACK TO s; \
             INSERT INTO t VALUES (5); COMMIT; \
             BEGIN; {one} INSERT INTO t VALUES (6); ROLLBACK",
            one = emit(&user(1)),
            two = emit(&user(2)),
            three = emit(&user(3)),
        ))
        .await;
    assert_eq!(recorded(&tracked).await, [row(1), row(5)].map(|change| change.by(user(1))));
}

#[tokio::test]
async fn nested_and_released_savepoints_count_by_what_became_of_them() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(&format!(
            "BEGIN; INSERT INTO t VALUES (1); \
             SAVEPOINT a; {one} INSERT INTO t VALUES (2); \
                 SAVEPOINT b; {two} INSERT INTO t VALUES (3); RELEASE b; INSERT INTO t VALUES (4); \
                 SAVEPOINT c; {three} INSERT INTO t VALUES (5); RELEASE c; \
             ROLLBACK TO a; INSERT INTO t VALUES (6); \
                 SAVEPOINT d; {two} INSERT INTO t VALUES (7); RELEASE d; \
             RELEASE a; INSERT INTO t VALUES (8); COMMIT",
            one = emit(&user(1)),
            two = emit(&user(2)),
            three = emit(&user(3)),
        ))
        .await;
    assert_eq!(recorded(&tracked).await, [row(1), row(6), row(7).by(user(2)), row(8).by(user(2))]);
}

#[tokio::test]
async fn what_an_exception_undoes_is_not_there_and_what_its_handler_writes_is() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(&format!(
            "DO $do$ BEGIN \
                 INSERT INTO t VALUES (1); \
                 BEGIN PERFORM {emitted}; INSERT INTO t VALUES (2); INSERT INTO t VALUES (1); \
                 EXCEPTION WHEN unique_violation THEN INSERT INTO t VALUES (3); END; \
                 BEGIN INSERT INTO t VALUES (4); EXCEPTION WHEN unique_violation THEN NULL; END; \
             END $do$",
            emitted = "pg_logical_emit_message(true, '_bemi', '{\"user\": 2}')",
        ))
        .await;
    assert_eq!(recorded(&tracked).await, [row(1), row(3), row(4)]);
}

/// Each COMMIT in it ends a transaction, and nothing crosses that: not even what the caller said.
#[tokio::test]
async fn a_procedure_that_commits_makes_transactions_of_their_own() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            "CREATE PROCEDURE three() LANGUAGE plpgsql AS $$ BEGIN \
                 PERFORM pg_logical_emit_message(true, '_bemi', '{\"user\": 1}'); \
                 INSERT INTO t VALUES (1); COMMIT; \
                 INSERT INTO t VALUES (2); ROLLBACK; \
                 INSERT INTO t VALUES (3); COMMIT; END $$",
        )
        .await;
    tracked.sql("CALL three()").await;
    assert_eq!(transactions(&tracked).await, [vec![row(1).by(user(1))], vec![row(3)]]);
}

/// More than the server keeps at hand of each transaction.
#[tokio::test]
async fn thousands_of_them_are_told_apart() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            "DO $$ BEGIN FOR id IN 1..5000 LOOP \
                 BEGIN INSERT INTO t VALUES (id); \
                     IF id % 2 = 0 THEN RAISE EXCEPTION 'undone'; END IF; \
                 EXCEPTION WHEN raise_exception THEN NULL; END; \
             END LOOP; END $$",
        )
        .await;
    let expected: Vec<Change> = (1..5000).step_by(2).map(row).collect();
    assert_eq!(transactions(&tracked).await, [expected]);
}
