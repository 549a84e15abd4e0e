//! What goes over the wire, as the server logs it.

use bemi_diesel::{Settings, with_context};
use bemi_tests::journal::user;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::app::{App, Todo, insert, todo};

const INSERT: &str = r#"INSERT INTO "todo" ("id", "task") VALUES ($1, $2)"#;

fn without_sql() -> Settings {
    Settings::new().without_sql()
}

#[tokio::test]
async fn reads_and_writes_outside_a_scope_are_all_that_is_sent() {
    let app = App::new().await;
    let mut ours = app.logged(without_sql()).await;
    with_context(user(1), async {
        todo::table.load::<Todo>(&mut ours).await.unwrap();
        ours.batch_execute("SELECT 1; SELECT 2").await.unwrap();
    })
    .await;
    insert(&mut ours, 1).await.unwrap();
    ours.batch_execute("DELETE FROM todo; SELECT 1").await.unwrap();
    assert_eq!(
        app.sent(),
        [
            r#"SELECT "todo"."id", "todo"."task" FROM "todo""#,
            "SELECT 1; SELECT 2",
            INSERT,
            "DELETE FROM todo; SELECT 1"
        ]
    );
}

#[tokio::test]
async fn a_write_in_a_scope_is_between_a_begin_with_the_message_and_a_commit() {
    let app = App::new().await;
    let mut ours = app.logged(without_sql()).await;
    with_context(user(1), async {
        insert(&mut ours, 1).await.unwrap();
        insert(&mut ours, 1).await.unwrap_err();
        // It is never kept, so it is prepared each time.
        diesel::update(todo::table).set(todo::task.eq("y")).execute(&mut ours).await.unwrap();
    })
    .await;
    let update = r#"UPDATE "todo" SET "task" = $1"#;
    assert_eq!(
        app.sent(),
        [
            ["BEGIN", "<emit>", INSERT, "COMMIT"],
            ["BEGIN", "<emit>", INSERT, "ROLLBACK"],
            ["BEGIN", "<emit>", update, "COMMIT"]
        ]
        .as_flattened()
    );
}

#[tokio::test]
async fn a_text_takes_its_message_along() {
    let app = App::new().await;
    let mut ours = app.logged(without_sql()).await;
    with_context(user(1), ours.batch_execute("DELETE FROM todo; SELECT 1")).await.unwrap();
    assert_eq!(app.sent(), ["<emit>; DELETE FROM todo; SELECT 1"]);
}

#[tokio::test]
async fn in_a_transaction_the_message_is_sent_before_the_first_write() {
    let app = App::new().await;
    let mut ours = app.logged(without_sql()).await;
    with_context(user(1), async {
        ours.transaction(async |ours| {
            ours.batch_execute("SELECT 1").await?;
            insert(ours, 1).await?;
            insert(ours, 2).await?;
            ours.transaction(async |ours| insert(ours, 3).await).await
        })
        .await
        .unwrap();
    })
    .await;
    assert_eq!(
        app.sent(),
        [
            "BEGIN",
            "SELECT 1",
            "<emit>",
            INSERT,
            INSERT,
            "SAVEPOINT diesel_savepoint_1",
            INSERT,
            "RELEASE SAVEPOINT diesel_savepoint_1",
            "COMMIT"
        ]
    );
}

#[tokio::test]
async fn after_a_commit_that_is_refused_there_is_nothing_to_roll_back() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let mut ours = app.logged(without_sql()).await;
    let insert = "INSERT INTO late VALUES (1), (1)";
    with_context(user(1), diesel::sql_query(insert).execute(&mut ours)).await.unwrap_err();
    ours.batch_execute("SELECT 1").await.unwrap();
    assert_eq!(app.sent(), ["BEGIN", "<emit>", insert, "COMMIT", "SELECT 1"]);
}

#[tokio::test]
async fn a_write_takes_two_round_trips_and_in_a_transaction_one() {
    let app = App::new().await;
    let (ours, relay) = app.relayed().await;
    let ours = &mut ours.with_settings(without_sql());
    insert(ours, 1).await.unwrap();
    let update = || diesel::update(todo::table).set(todo::task.eq("y"));
    with_context(user(1), async {
        relay.round_trips();
        insert(ours, 2).await.unwrap();
        assert_eq!(relay.round_trips(), 2, "what comes before the write, the write; COMMIT");
        // It is never kept.
        update().execute(ours).await.unwrap();
        assert_eq!(relay.round_trips(), 3, "to prepare");
        ours.transaction(async |ours| {
            assert_eq!(relay.round_trips(), 1, "BEGIN");
            insert(ours, 3).await?;
            assert_eq!(relay.round_trips(), 1, "message and write");
            insert(ours, 4).await?;
            assert_eq!(relay.round_trips(), 1, "write");
            update().execute(ours).await?;
            assert_eq!(relay.round_trips(), 2, "to prepare; write");
            QueryResult::Ok(())
        })
        .await
        .unwrap();
        assert_eq!(relay.round_trips(), 1, "COMMIT");
        todo::table.find(1).load::<Todo>(ours).await.unwrap();
        relay.round_trips();
        todo::table.find(1).load::<Todo>(ours).await.unwrap();
        assert_eq!(relay.round_trips(), 1, "a read");
    })
    .await;
}
