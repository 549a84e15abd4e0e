//! Foreign keys whose actions write. PostgreSQL does that by statements of its own, so it is all in the WAL.

use bemi_tests::Tracked;
use serde_json::json;

use super::expected::{created, deleted, emit, recorded, server_version, updated};

#[tokio::test]
async fn a_delete_that_cascades_is_a_delete_on_every_level_under_one_context() {
    let tracked = Tracked::new(
        "CREATE TABLE a (id int PRIMARY KEY); \
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE); \
         CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b ON DELETE CASCADE); \
         INSERT INTO a VALUES (1); INSERT INTO b VALUES (10, 1), (11, 1); INSERT INTO c VALUES (100, 10)",
    )
    .await;
    let context = json!({"user": 1});
    tracked.sql(&format!("BEGIN; {} DELETE FROM a; COMMIT", emit(&context))).await;
    assert_eq!(
        recorded(&tracked).await,
        [
            deleted("a", "1", json!({"id": 1})),
            deleted("b", "10", json!({"id": 10, "a": 1})),
            deleted("b", "11", json!({"id": 11, "a": 1})),
            deleted("c", "100", json!({"id": 100, "b": 10})),
        ]
        .map(|change| change.by(context.clone()))
    );
}

#[tokio::test]
async fn set_null_and_set_default_are_updates_of_the_rows_that_referred() {
    let tracked = Tracked::new(
        "CREATE TABLE a (id int PRIMARY KEY); \
         CREATE TABLE n (id int PRIMARY KEY, a int REFERENCES a ON DELETE SET NULL); \
         CREATE TABLE d (id int PRIMARY KEY, a int DEFAULT 0 REFERENCES a ON DELETE SET DEFAULT); \
         INSERT INTO a VALUES (0), (1); INSERT INTO n VALUES (10, 1); INSERT INTO d VALUES (20, 1)",
    )
    .await;
    tracked.sql("DELETE FROM a WHERE id = 1").await;
    let mut expected = vec![
        deleted("a", "1", json!({"id": 1})),
        updated("n", "10", json!({"id": 10, "a": 1}), json!({"id": 10, "a": null})),
        updated("d", "20", json!({"id": 20, "a": 1}), json!({"id": 20, "a": 0})),
    ];
    // A list of columns came with 15.
    if server_version(&tracked).await >= 150_000 {
        tracked
            .sql(
                "CREATE TABLE p (x int, y int, PRIMARY KEY (x, y)); \
                 CREATE TABLE l (id int PRIMARY KEY, x int, y int, \
                     FOREIGN KEY (x, y) REFERENCES p ON DELETE SET NULL (y)); \
                 INSERT INTO p VALUES (1, 2); INSERT INTO l VALUES (30, 1, 2); DELETE FROM p",
            )
            .await;
        expected.extend([
            created("p", r#"["1","2"]"#, json!({"x": 1, "y": 2})),
            created("l", "30", json!({"id": 30, "x": 1, "y": 2})),
            deleted("p", r#"["1","2"]"#, json!({"x": 1, "y": 2})),
            updated(
                "l",
                "30",
                json!({"id": 30, "x": 1, "y": 2}),
                json!({"id": 30, "x": 1, "y": null}),
            ),
        ]);
    }
    assert_eq!(recorded(&tracked).await, expected);
}

#[tokio::test]
async fn a_table_that_refers_to_itself_cascades_down_the_tree() {
    let tracked = Tracked::new(
        "CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node ON DELETE CASCADE); \
         INSERT INTO node VALUES (1, NULL), (2, 1), (3, 2)",
    )
    .await;
    tracked.sql("DELETE FROM node WHERE id = 1").await;
    assert_eq!(
        recorded(&tracked).await,
        [
            deleted("node", "1", json!({"id": 1, "parent": null})),
            deleted("node", "2", json!({"id": 2, "parent": 1})),
            deleted("node", "3", json!({"id": 3, "parent": 2})),
        ]
    );
}

#[tokio::test]
async fn a_key_that_changes_takes_those_that_refer_to_it_along() {
    let tracked = Tracked::new(
        "CREATE TABLE a (id int PRIMARY KEY); \
         CREATE TABLE b (a int PRIMARY KEY REFERENCES a ON UPDATE CASCADE); \
         INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
    )
    .await;
    tracked.sql("UPDATE a SET id = 2").await;
    assert_eq!(
        recorded(&tracked).await,
        [
            updated("a", "2", json!({"id": 1}), json!({"id": 2})).previously("1"),
            updated("b", "2", json!({"a": 1}), json!({"a": 2})).previously("1"),
        ]
    );
}
