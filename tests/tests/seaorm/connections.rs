//! The pool: many tasks on few connections, connections that break, and what else a connection of sea-orm offers.

use std::sync::{Arc, Mutex};

use bemi_seaorm::{spawn, with_context};
use bemi_tests::journal::{by, inserted, user};
use sea_orm::{ConnectionTrait, DbBackend, StreamTrait, TransactionTrait};

use crate::app::{App, insert, statement, try_insert};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_on_five_connections_each_keep_their_own_context() {
    let app = App::new().await;
    let tasks: Vec<_> = (1..=200)
        .map(|id| {
            let db = app.db.clone();
            tokio::spawn(with_context(user(id), async move {
                insert(&db, id).await;
                let tx = db.begin().await.unwrap();
                let inside = tx.begin().await.unwrap();
                let update = statement("UPDATE todo SET task = 'y' WHERE id = $1", [id.into()]);
                inside.execute_raw(update).await.unwrap();
                inside.commit().await.unwrap();
                if id % 2 == 0 { tx.commit().await.unwrap() } else { drop(tx) }
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    changes.sort();
    let mut expected: Vec<_> = (1..=200).map(|id| by(i64::from(id), inserted(id, "x"))).collect();
    expected.extend(
        (2..=200).step_by(2).map(|id| by(i64::from(id), format!("todo: UPDATE: id:{id} task:'y'"))),
    );
    expected.sort();
    assert_eq!(changes, expected);
    let mut backends = app
        .client
        .query("SELECT pid FROM pg_stat_activity WHERE datname = current_database()", &[])
        .await
        .unwrap();
    backends.truncate(7);
    assert!(backends.len() <= 6, "five of the pool, and the one that looks");
}

#[tokio::test]
async fn a_task_that_is_spawned_with_its_scope_carries_the_context() {
    let app = App::new().await;
    with_context(user(1), async {
        let db = app.db.clone();
        spawn(async move { insert(&db, 1).await }).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

async fn kill_backends(app: &App) {
    app.run(
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity \
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    .await;
}

#[tokio::test]
async fn after_its_backend_was_killed_a_transaction_fails_and_the_pool_goes_on() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        insert(&tx, 1).await;
        kill_backends(&app).await;
        try_insert(&tx, 2, "x").await.unwrap_err();
        tx.commit().await.unwrap_err();
        insert(&app.db, 3).await;

        let dropped = app.db.begin().await.unwrap();
        insert(&dropped, 4).await;
        kill_backends(&app).await;
        drop(dropped);
        insert(&app.db, 5).await;
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(3, "x"))], [by(1, inserted(5, "x"))]]);
}

#[tokio::test]
async fn a_backend_that_dies_by_the_write_leaves_nothing() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let suicide = "WITH w AS (INSERT INTO todo VALUES ($1, 'x') RETURNING id) \
                       SELECT pg_terminate_backend(pg_backend_pid()) FROM w";
        app.db.execute_raw(statement(suicide, [1.into()])).await.unwrap_err();
        insert(&app.db, 2).await;
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn the_callback_is_told_of_each_statement_and_of_none_of_ours() {
    let app = App::new().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut db = app.db.clone();
    let log = Arc::clone(&told);
    db.set_metric_callback(move |info| {
        log.lock().unwrap().push((info.statement.sql.clone(), info.failed));
    });
    with_context(user(1), async {
        let select = || statement("SELECT 1", []);
        db.query_one_raw(select()).await.unwrap();
        db.execute_raw(statement("DELETE FROM todo", [])).await.unwrap();
        db.execute_raw(statement("DELETE FROM nowhere", [])).await.unwrap_err();
        let tx = db.begin().await.unwrap();
        tx.execute_raw(statement("TRUNCATE todo", [])).await.unwrap();
        drop(tx.stream_raw(select()).await.unwrap());
    })
    .await;
    let told: Vec<_> =
        told.lock().unwrap().iter().map(|(sql, failed)| (sql.clone(), *failed)).collect();
    let expected = [
        ("SELECT 1", false),
        ("DELETE FROM todo", false),
        ("DELETE FROM nowhere", true),
        ("TRUNCATE todo", false),
        ("SELECT 1", false),
    ];
    assert_eq!(told, expected.map(|(sql, failed)| (sql.to_owned(), failed)));
}

#[tokio::test]
async fn a_connection_answers_to_ping_until_it_is_closed() {
    let app = App::new().await;
    assert_eq!(app.db.get_database_backend(), DbBackend::Postgres);
    assert!(app.db.support_returning());
    app.db.ping().await.unwrap();
    app.db.close_by_ref().await.unwrap();
    let closed = with_context(user(1), try_insert(&app.db, 1, "x")).await.unwrap_err();
    assert_eq!(closed, try_insert(app.db.untracked(), 1, "x").await.unwrap_err());
    assert_eq!(app.db.ping().await.unwrap_err(), closed);
}

/// sea-orm panics over a number that PostgreSQL has no type for.
#[tokio::test]
async fn a_value_that_cannot_be_converted_leaves_no_transaction_open() {
    let app = App::with_connections(1).await;
    let insert_it = || statement("INSERT INTO todo VALUES ($1, 'x')", [u64::MAX.into()]);
    with_context(user(1), async {
        let db = app.db.clone();
        let panicked = spawn(async move { db.execute_raw(insert_it()).await.map(drop) });
        assert!(panicked.await.unwrap_err().is_panic());
        let tx = app.db.begin().await.unwrap();
        insert(&tx, 1).await;
        let inside = tx.begin().await.unwrap();
        let panicked = spawn(async move { inside.execute_raw(insert_it()).await.map(drop) });
        assert!(panicked.await.unwrap_err().is_panic());
        insert(&tx, 2).await;
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "x"))]]);
    assert_eq!(app.idle_in_transaction().await, 0);
}
