//! What every migration does is exact: a type, a table of it, and rows, all of them new.

use bemi_tests::Tracked;
use serde_json::json;

use super::{exact, stored};

const STATEMENTS: [&str; 6] = [
    "CREATE TYPE mood AS ENUM ('ok')",
    "CREATE TYPE pair AS (a int, m mood)",
    "CREATE TABLE other (id serial PRIMARY KEY, made timestamptz DEFAULT now())",
    "CREATE TABLE t (id int PRIMARY KEY, p pair)",
    "INSERT INTO t VALUES (1, '(1,ok)')",
    "INSERT INTO t VALUES (2, '(2,ok)')",
];

async fn check(in_one_transaction: bool, is_behind: bool) {
    let tracked = Tracked::new("").await;
    let worker = if is_behind { None } else { Some(tracked.run().await) };
    if in_one_transaction {
        tracked.sql(&format!("BEGIN; {}; COMMIT", STATEMENTS.join("; "))).await;
    } else {
        for statement in STATEMENTS {
            tracked.sql(statement).await;
        }
    }
    match worker {
        None => drop(tracked.store().await),
        Some(worker) => {
            tracked.wait_for_count(2).await;
            worker.stop().await;
        }
    }
    let exactly = |id: i32| exact(id, json!({"a": id, "m": "ok"}));
    assert_eq!(stored(&tracked).await, [exactly(1), exactly(2)]);
    let keys: Vec<_> =
        tracked.changes().await.into_iter().map(|change| change.primary_key.unwrap()).collect();
    assert_eq!(keys, ["1", "2"]);
}

#[tokio::test]
async fn in_one_transaction_while_the_worker_runs() {
    check(true, false).await;
}

#[tokio::test]
async fn in_one_transaction_while_it_is_behind() {
    check(true, true).await;
}

#[tokio::test]
async fn in_several_transactions_while_the_worker_runs() {
    check(false, false).await;
}

#[tokio::test]
async fn in_several_transactions_while_it_is_behind() {
    check(false, true).await;
}

/// The type is made and altered before the table is: a row in between would need a table of it.
#[tokio::test]
async fn a_row_between_creation_and_alteration_in_one_transaction_is_not_told_by_the_later() {
    let tracked = Tracked::new("").await;
    tracked
        .sql(
            "BEGIN; CREATE TYPE pair AS (a int); CREATE TABLE t (id int PRIMARY KEY, p pair); \
             INSERT INTO t VALUES (1, '(1)'); ALTER TYPE pair RENAME ATTRIBUTE a TO z; COMMIT",
        )
        .await;
    tracked.store().await;
    assert_eq!(stored(&tracked).await, [super::text(1, "(1)")]);
}
