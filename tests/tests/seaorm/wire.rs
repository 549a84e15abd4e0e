//! What goes over the wire, as the server logs it: one line is one statement or text, so one round trip or, where a statement is
//! prepared first, two.

use bemi_seaorm::{Settings, with_context};
use bemi_tests::journal::{by, inserted, user};
use futures_util::TryStreamExt;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, IntoActiveModel, ModelTrait,
    PaginatorTrait, StreamTrait, TransactionTrait,
};

use crate::app::{App, insert, statement, try_insert};
use crate::entities::todo;

const INSERT: &str = r#"INSERT INTO "todo" ("id", "task") VALUES ($1, $2) RETURNING "id", "task""#;

#[tokio::test]
async fn reads_and_writes_outside_a_scope_are_all_that_is_sent() {
    async fn reads(db: &(impl ConnectionTrait + StreamTrait)) {
        todo::Entity::find_by_id(1).one(db).await.unwrap();
        todo::Entity::find().paginate(db, 1).num_items().await.unwrap();
        db.query_all_raw(statement("SELECT * FROM todo WHERE id = $1", [1.into()])).await.unwrap();
        db.execute_unprepared("SELECT 1; SELECT 2").await.unwrap();
        let rows = db.stream_raw(statement("SELECT * FROM todo", [])).await.unwrap();
        rows.try_collect::<Vec<_>>().await.unwrap();
    }
    async fn writes(db: &impl ConnectionTrait) {
        insert(db, 1).await;
        try_insert(db, 1, "again").await.unwrap_err();
        db.execute_unprepared("DELETE FROM todo; SELECT 1").await.unwrap();
    }
    let app = App::new().await;
    let (ours, plain) = app.logged().await;
    reads(&plain).await;
    writes(&plain).await;
    let by_plain = app.sent();
    assert_eq!(by_plain.len(), 8, "{by_plain:?}");
    with_context(user(1), reads(&ours)).await;
    writes(&ours).await;
    assert_eq!(app.sent().split_off(by_plain.len()), by_plain);
}

#[tokio::test]
async fn a_write_in_a_scope_is_between_a_begin_with_the_message_and_a_commit() {
    let app = App::new().await;
    let (db, _) = app.logged().await;
    with_context(user(1), async {
        insert(&db, 1).await;
        try_insert(&db, 1, "again").await.unwrap_err();
    })
    .await;
    assert_eq!(
        app.sent(),
        ["BEGIN; <emit>", INSERT, "COMMIT", "BEGIN; <emit>", INSERT, "ROLLBACK"]
    );
}

#[tokio::test]
async fn where_messages_are_inlined_a_write_is_all_that_is_sent() {
    let app = App::new().await;
    let (db, _) = app.logged().await;
    let db = db.with_settings(Settings::new().without_sql().inline_messages());
    with_context(user(1), async {
        let model = try_insert(&db, 1, "x").await.unwrap();
        let mut changed = model.clone().into_active_model();
        changed.task = Set("y".to_owned());
        changed.update(&db).await.unwrap();
        assert_eq!(model.delete(&db).await.unwrap().rows_affected, 1);
    })
    .await;
    let sent = app.sent();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "x"))],
            [by(1, "todo: UPDATE: id:1 task:'y'")],
            [by(1, "todo: DELETE: id:1")]
        ]
    );
}

#[tokio::test]
async fn a_text_without_values_takes_its_message_along() {
    let app = App::new().await;
    let (db, _) = app.logged().await;
    with_context(user(1), db.execute_unprepared("DELETE FROM todo; SELECT 1")).await.unwrap();
    assert_eq!(app.sent(), ["<emit>; DELETE FROM todo; SELECT 1"]);
}

#[tokio::test]
async fn in_a_transaction_the_message_is_sent_before_the_first_write() {
    let app = App::new().await;
    let (db, _) = app.logged().await;
    with_context(user(1), async {
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("SELECT 1").await.unwrap();
        insert(&tx, 1).await;
        insert(&tx, 2).await;
        drop(tx.begin().await.unwrap());
        tx.execute_unprepared("DELETE FROM todo").await.unwrap();
        tx.commit().await.unwrap();
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
            "SAVEPOINT bemi_savepoint_1",
            "ROLLBACK TO SAVEPOINT bemi_savepoint_1",
            "RELEASE SAVEPOINT bemi_savepoint_1",
            "DELETE FROM todo",
            "COMMIT"
        ]
    );
}

#[tokio::test]
async fn after_a_commit_that_is_refused_there_is_nothing_to_roll_back() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let (db, _) = app.logged().await;
    let insert = "INSERT INTO late VALUES (1), (1)";
    with_context(user(1), db.execute_raw(statement(insert, []))).await.unwrap_err();
    db.execute_unprepared("SELECT 1").await.unwrap();
    assert_eq!(app.sent(), ["BEGIN; <emit>", insert, "COMMIT", "SELECT 1"]);
}
