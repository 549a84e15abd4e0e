//! What a recording tells of a piece of code.

use bemi_core::record::block_on;
use bemi_sqlx::with_context;
use bemi_testing::{Recording, created, deleted, truncated, updated};
use serde_json::json;

use crate::app::{App, user};

#[tokio::test]
async fn it_tells_which_changes_code_made_with_which_context() {
    let app = App::new().await;
    let recording = app.record().await;
    let (_, made) =
        recording.changes_of(with_context(user(42), app.add(1, "Sleep"))).await.unwrap();
    made.assert_one(
        created("todo").key(1).after("task", "Sleep").after("done", false).context("user_id", 42),
    );
    let (renamed, made) = recording.changes_of(app.rename(1, "Eat")).await.unwrap();
    assert_eq!(renamed, 1);
    made.assert_one(updated("todo").field("task", "Sleep", "Eat").nothing_else().no_context());
    let (_, made) = recording.changes_of(app.sql("DELETE FROM todo; TRUNCATE todo")).await.unwrap();
    made.assert([deleted("todo").before("task", "Eat"), truncated("todo")]);
    recording.finish().await.unwrap();
}

#[tokio::test]
async fn code_that_changes_nothing_has_made_nothing() {
    let app = App::new().await;
    app.sql("INSERT INTO todo VALUES (1, 'Sleep')").await;
    let recording = app.record().await;
    let (_, made) = recording.changes_of(app.rename(2, "Eat")).await.unwrap();
    made.assert_none();
    let (_, made) =
        recording.changes_of(app.sql("BEGIN; DELETE FROM todo; ROLLBACK")).await.unwrap();
    made.assert_none();
}

#[tokio::test]
async fn changes_are_counted_from_a_checkpoint_to_now() {
    let app = App::new().await;
    let recording = app.record().await;
    app.add(1, "before").await;
    let checkpoint = recording.checkpoint().await.unwrap();
    app.add(2, "after").await;
    app.sql("BEGIN; INSERT INTO todo VALUES (3, 'a'), (4, 'b'); COMMIT").await;
    let made = recording.changes_since(checkpoint).await.unwrap();
    made.assert([2, 3, 4].map(|key| created("todo").key(key)));
    made.assert_any(created("todo").after("task", "b"));
    let tasks: Vec<_> =
        made.changes().iter().filter_map(|change| change.after.get("task")).collect();
    assert_eq!(tasks, [r#""after""#, r#""a""#, r#""b""#]);
    recording.changes_since(recording.checkpoint().await.unwrap()).await.unwrap().assert_none();
}

#[tokio::test]
async fn values_are_compared_as_json() {
    let app = App::new().await;
    app.sql(
        "CREATE TABLE product (a int, b int, price numeric, tags text[], more jsonb, made timestamptz, PRIMARY KEY (a, b)); \
         CREATE SCHEMA sales; CREATE TABLE sales.orders (id uuid PRIMARY KEY)",
    )
    .await;
    let recording = app.record().await;
    let insert = "INSERT INTO product VALUES (1, 2, 0.10, '{x,NULL}', '{\"k\": [1.0]}', '2026-11-21T10:00:00Z')";
    let (_, made) = recording.changes_of(app.sql(insert)).await.unwrap();
    made.assert_one(
        created("product")
            .key(bemi_core::record::Key::of(["1", "2"]))
            .after("price", 0.1)
            .after("tags", json!(["x", null]))
            .after("more", json!({ "k": [1] }))
            .after("made", "2026-11-21T10:00:00+00:00"),
    );
    let id = "00000000-0000-0000-0000-000000000001";
    let (_, made) = recording
        .changes_of(app.sql(&format!("INSERT INTO sales.orders VALUES ('{id}')")))
        .await
        .unwrap();
    made.assert_one(created("sales.orders").key(id));
}

/// In a program without a runtime, as the tests of an application that blocks are.
#[test]
fn blocking_code_records_as_well() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(App::new());
    let recording = block_on(Recording::start(&app.database.url())).unwrap();
    let before = block_on(recording.checkpoint()).unwrap();
    runtime.block_on(app.add(1, "Sleep"));
    block_on(recording.changes_since(before)).unwrap().assert_one(created("todo").key(1));
    block_on(recording.finish()).unwrap();
}

#[tokio::test]
async fn more_changes_than_a_page_are_all_there() {
    let app = App::new().await;
    let recording = app.record().await;
    let many = "INSERT INTO todo SELECT id, 'x' FROM generate_series(1, 10001) AS id";
    let (_, made) = recording.changes_of(app.sql(many)).await.unwrap();
    let keys = made.changes().iter().map(|change| change.primary_key.clone().unwrap());
    assert!(keys.eq((1..=10_001).map(|key| key.to_string())));
}
