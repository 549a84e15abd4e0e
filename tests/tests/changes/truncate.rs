//! TRUNCATE: one change for each table, without the rows.

use bemi_tests::Tracked;
use serde_json::json;

use super::expected::{created, emit, keeping_identities, recorded, transactions, truncated};

#[tokio::test]
async fn each_table_that_a_truncate_empties_is_one_change_cascaded_ones_too() {
    let tracked = Tracked::new(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); \
         CREATE TABLE c (id int PRIMARY KEY); INSERT INTO a VALUES (1)",
    )
    .await;
    let context = json!({"user": 1});
    tracked.sql(&format!("BEGIN; {} TRUNCATE a, c CASCADE; COMMIT", emit(&context))).await;
    assert_eq!(
        recorded(&tracked).await,
        [truncated("a"), truncated("c"), truncated("b")].map(|change| change.by(context.clone()))
    );
}

#[tokio::test]
async fn it_has_its_place_among_the_writes_of_its_transaction() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text)")
            .await;
    tracked
        .sql(
            "BEGIN; INSERT INTO t (a) VALUES ('a'); TRUNCATE t RESTART IDENTITY; INSERT INTO t (a) VALUES ('b'); COMMIT;
             BEGIN; TRUNCATE t; ROLLBACK;
             BEGIN; SAVEPOINT s; TRUNCATE t; ROLLBACK TO s; INSERT INTO t (a) VALUES ('c'); COMMIT",
        )
        .await;
    assert_eq!(
        transactions(&tracked).await,
        [
            vec![
                created("t", "1", json!({"id": 1, "a": "a"})),
                truncated("t"),
                created("t", "1", json!({"id": 1, "a": "b"})),
            ],
            vec![created("t", "2", json!({"id": 2, "a": "c"}))],
        ]
    );
}

#[tokio::test]
async fn a_table_without_an_identity_has_it_recorded_too() {
    let tracked = keeping_identities("CREATE TABLE t (a int)").await;
    tracked.sql("INSERT INTO t VALUES (1); TRUNCATE t").await;
    assert_eq!(recorded(&tracked).await, [created("t", None, json!({"a": 1})), truncated("t")]);
}

#[tokio::test]
async fn truncate_of_a_parent_empties_its_children_and_only_says_so() {
    let tracked =
        Tracked::new("CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent)").await;
    tracked.sql("TRUNCATE parent").await;
    tracked.sql("TRUNCATE ONLY parent").await;
    assert_eq!(
        transactions(&tracked).await,
        [vec![truncated("parent"), truncated("child")], vec![truncated("parent")]]
    );
}
