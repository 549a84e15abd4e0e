//! A row as of a point.

use bemi_core::record::RowAt;
use bemi_tests::Tracked;

use super::asked::{TODO, now, record, todo, told};

#[tokio::test]
async fn a_row_is_what_its_last_change_up_to_the_point_left() {
    let tracked = Tracked::new(TODO).await;
    let none = now(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let first = now(&tracked).await;
    tracked.sql("UPDATE todo SET task = 'b'").await;
    let second = now(&tracked).await;
    tracked.sql("DELETE FROM todo").await;
    let third = now(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'c', true)").await;
    let fourth = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(none), "1").await, "absent");
    assert_eq!(told(&mut record.as_of(first), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut record.as_of(second), "1").await, r#"{"done":false,"id":1,"task":"b"}"#);
    assert_eq!(told(&mut record.as_of(third), "1").await, "absent");
    assert_eq!(told(&mut record.as_of(fourth), "1").await, r#"{"done":true,"id":1,"task":"c"}"#);
}

#[tokio::test]
async fn a_row_that_was_there_before_is_known_from_its_next_change() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let then = now(&tracked).await;
    tracked.sql("UPDATE todo SET task = 'x' WHERE id = 1; DELETE FROM todo WHERE id = 2; INSERT INTO todo VALUES (4)").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut then = record.as_of(then);
    assert_eq!(told(&mut then, "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut then, "2").await, r#"{"done":false,"id":2,"task":"b"}"#);
    assert_eq!(told(&mut then, "4").await, "absent");
    // Nothing has happened to it, and nobody has looked.
    assert_eq!(told(&mut then, "3").await, "before_record");
    assert_eq!(told(&mut then, "5").await, "before_record");
}

#[tokio::test]
async fn a_key_that_a_row_gave_up_is_absent_until_another_row_has_it() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.sql("UPDATE todo SET id = 2").await;
    let moved = now(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'b')").await;
    let again = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut moved = record.as_of(moved);
    assert_eq!(told(&mut moved, "1").await, "absent");
    assert_eq!(told(&mut moved, "2").await, r#"{"done":false,"id":2,"task":"a"}"#);
    assert_eq!(told(&mut record.as_of(again), "1").await, r#"{"done":false,"id":1,"task":"b"}"#);
}

/// Where a key is checked at the end of the transaction only, two rows have it for a moment.
#[tokio::test]
async fn rows_that_swap_their_keys_are_told_apart() {
    let tracked = Tracked::new(
        "CREATE TABLE todo (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, task text)",
    )
    .await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let before = now(&tracked).await;
    tracked.sql("UPDATE todo SET id = 3 - id").await;
    let swapped = now(&tracked).await;
    tracked.sql("BEGIN; UPDATE todo SET id = 3 - id; UPDATE todo SET id = 3 - id; COMMIT").await;
    let twice = now(&tracked).await;
    tracked
        .sql("BEGIN; INSERT INTO todo VALUES (2, 'c'); DELETE FROM todo WHERE task = 'c'; COMMIT")
        .await;
    let visited = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut before = record.as_of(before);
    assert_eq!(told(&mut before, "1").await, r#"{"id":1,"task":"a"}"#);
    assert_eq!(told(&mut before, "2").await, r#"{"id":2,"task":"b"}"#);
    for then in [swapped, twice, visited] {
        let mut then = record.as_of(then);
        assert_eq!(told(&mut then, "1").await, r#"{"id":1,"task":"b"}"#);
        assert_eq!(told(&mut then, "2").await, r#"{"id":2,"task":"a"}"#);
    }
}

#[tokio::test]
async fn so_they_are_from_their_next_change() {
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, task text);
         INSERT INTO todo VALUES (1, 'a'), (2, 'b')",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let then = now(&tracked).await;
    tracked.sql("UPDATE todo SET id = 3 - id").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut then = record.as_of(then);
    assert_eq!(told(&mut then, "1").await, r#"{"id":1,"task":"a"}"#);
    assert_eq!(told(&mut then, "2").await, r#"{"id":2,"task":"b"}"#);
}

#[tokio::test]
async fn a_truncate_leaves_no_row_and_tells_of_none() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let before = now(&tracked).await;
    tracked.sql("TRUNCATE todo").await;
    let after = now(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'b')").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(before), "1").await, "before_record");
    assert_eq!(told(&mut record.as_of(after), "1").await, "absent");
    assert_eq!(told(&mut record.as_of(after), "99").await, "absent");
}

#[tokio::test]
async fn a_value_that_was_not_sent_is_taken_from_the_change_before() {
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY, hits int, body text)",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    let long = "(SELECT string_agg(md5(g::text), '') FROM generate_series(1, 300) g)";
    tracked.sql(&format!("INSERT INTO todo VALUES (1, 0, {long})")).await;
    tracked
        .sql("UPDATE todo SET hits = 1; UPDATE todo SET hits = 2, id = 5; UPDATE todo SET hits = 3")
        .await;
    let then = now(&tracked).await;
    tracked.store().await;

    let unavailable: i64 =
        tracked.value("SELECT count(*) FROM changes WHERE unavailable IS NOT NULL").await;
    assert_eq!(unavailable, 3);
    let mut record = record(&tracked).await;
    let row = told(&mut record.as_of(then), "5").await;
    let truth: String =
        tracked.value("SELECT (to_jsonb(t) - 'hits' - 'id')::text FROM todo t").await;
    let truth: serde_json::Value = serde_json::from_str(&truth).unwrap();
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    assert_eq!(row["hits"], 3);
    assert_eq!(row["body"], truth["body"]);
}

#[tokio::test]
async fn a_row_whose_replica_identity_does_not_tell_is_unknown() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    let then = now(&tracked).await;
    tracked.sql("UPDATE todo SET task = 'x' WHERE id = 1; DELETE FROM todo WHERE id = 2").await;
    let after = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(then), "1").await, "incomplete");
    assert_eq!(told(&mut record.as_of(then), "2").await, "incomplete");
    // From there on it is known.
    assert_eq!(told(&mut record.as_of(after), "1").await, r#"{"done":false,"id":1,"task":"x"}"#);
    assert_eq!(told(&mut record.as_of(after), "2").await, "absent");
}

#[tokio::test]
async fn a_typed_answer_is_of_the_type_of_today() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Todo {
        id: i32,
        task: Option<String>,
        #[serde(default)]
        priority: i32,
    }
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let then = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut then = record.as_of(then);
    let todo_1: RowAt<Todo> = then.get(&todo(), &1.into()).await.unwrap();
    assert_eq!(todo_1, RowAt::Present(Todo { id: 1, task: Some("a".to_owned()), priority: 0 }));
    let wrong = then.get::<Vec<u8>>(&todo(), &1.into()).await.unwrap_err();
    assert!(wrong.to_string().starts_with("the row of todo is not a value"), "{wrong}");
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY, n numeric, i int8)").await;
    tracked
        .sql("INSERT INTO todo VALUES (1, 0.1000000000000000000000000000001, 9223372036854775807)")
        .await;
    let then = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(
        told(&mut record.as_of(then), "1").await,
        r#"{"i":9223372036854775807,"id":1,"n":0.1000000000000000000000000000001}"#
    );
}
