//! Pools: what they hand out is tracked.

use bb8_postgres::{PostgresConnectionManager, bb8};
use bemi_tests::journal::{Stitched, by, inserted, user};
use bemi_tokio_postgres::{
    BemiConnectionManager, BemiManager, BemiPool, ContextFutureExt, Settings, with_context,
};
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use tokio_postgres::{Config, NoTls};

use crate::app::{App, INSERT};

const TASKS: i32 = 200;
const CONNECTIONS: usize = 5;

fn config(app: &App) -> Config {
    app.database.url().parse().unwrap()
}

fn deadpool(app: &App, connections: usize) -> BemiPool {
    let manager = Manager::from_config(
        config(app),
        NoTls,
        ManagerConfig { recycling_method: RecyclingMethod::Verified },
    );
    let manager = BemiManager::new(manager).with_settings(Settings::new().without_sql());
    BemiPool::builder(manager).max_size(connections).build().unwrap()
}

async fn bb8(app: &App, connections: u32) -> bb8::Pool<BemiConnectionManager<NoTls>> {
    let manager = BemiConnectionManager::new(PostgresConnectionManager::new(config(app), NoTls))
        .with_settings(Settings::new().without_sql());
    bb8::Pool::builder().max_size(connections).build(manager).await.unwrap()
}

/// What each of the tasks leaves, in no order: an insert, then an update in a transaction of its own.
async fn assert_changes_of_all_tasks(app: &App) {
    let mut changes: Vec<Vec<Stitched>> = app.changes().await;
    let mut expected: Vec<Vec<Stitched>> = (0..TASKS)
        .flat_map(|id| {
            let by_task = |change| vec![by(i64::from(id), change)];
            [by_task(inserted(id, "x")), by_task(format!("todo: UPDATE: id:{id} task:'y'"))]
        })
        .collect();
    changes.sort();
    expected.sort();
    assert_eq!(changes, expected);
    assert_eq!(app.idle_in_transaction().await, 0);
}

const UPDATE: &str = "UPDATE todo SET task = $2 WHERE id = $1";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_on_a_deadpool_of_five_have_each_its_context() {
    let app = App::new().await;
    let pool = deadpool(&app, CONNECTIONS);
    let tasks = (0..TASKS).map(|id| {
        let pool = pool.clone();
        let task = async move {
            let mut client = pool.get().await.unwrap();
            let insert = client.prepare_cached(INSERT).await.unwrap();
            client.execute(&insert, &[&id, &"x"]).await.unwrap();
            let tx = client.transaction().await.unwrap();
            let update = tx.prepare_cached(UPDATE).await.unwrap();
            tx.execute(&update, &[&id, &"y"]).await.unwrap();
            tx.commit().await.unwrap();
        };
        tokio::spawn(task.with_context(user(id)))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_changes_of_all_tasks(&app).await;
    assert_eq!(pool.status().size, CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_on_a_bb8_pool_of_five_have_each_its_context() {
    let app = App::new().await;
    let pool = bb8(&app, 5).await;
    let tasks = (0..TASKS).map(|id| {
        let pool = pool.clone();
        let task = async move {
            let mut client = pool.get_owned().await.unwrap();
            client.execute(INSERT, &[&id, &"x"]).await.unwrap();
            let tx = client.transaction().await.unwrap();
            tx.execute(UPDATE, &[&id, &"y"]).await.unwrap();
            tx.commit().await.unwrap();
        };
        tokio::spawn(task.with_context(user(id)))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_changes_of_all_tasks(&app).await;
}

#[tokio::test]
async fn a_statement_of_deadpools_cache_is_prepared_once_and_has_its_text() {
    let app = App::new().await;
    let pool = deadpool(&app, 1);
    let sql = "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'";
    for id in 1..=3 {
        let client = pool.get().await.unwrap();
        let insert = client.prepare_cached(INSERT).await.unwrap();
        assert_eq!(insert.sql(), INSERT);
        with_context(user(1), client.execute(&insert, &[&id, &"x"])).await.unwrap();
        assert_eq!(client.query(sql, &[]).await.unwrap().len(), 1);
    }
    pool.manager().untracked().statement_caches.clear();
    let client = pool.get().await.unwrap();
    assert!(client.query(sql, &[]).await.unwrap().is_empty());
    assert_eq!(app.changes().await.len(), 3);
}

#[tokio::test]
async fn a_connection_inside_an_open_transaction_does_not_come_back_from_deadpool() {
    let app = App::new().await;
    let pool = deadpool(&app, 1);
    let backend = "SELECT pg_backend_pid()";
    let client = pool.get().await.unwrap();
    let before: i32 = client.query_one_scalar(backend, &[]).await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO todo VALUES (1, 'x')").await.unwrap();
    drop(client);
    let client = pool.get().await.unwrap();
    let after: i32 = client.query_one_scalar(backend, &[]).await.unwrap();
    assert_ne!(before, after);
    assert_eq!(app.count("todo").await, 0);
    // One that was ended comes back.
    client.batch_execute("BEGIN; INSERT INTO todo VALUES (1, 'x'); COMMIT").await.unwrap();
    drop(client);
    let client = pool.get().await.unwrap();
    assert_eq!(client.query_one_scalar::<i32, _>(backend, &[]).await.unwrap(), after);
}

#[tokio::test]
async fn a_connection_inside_an_open_transaction_does_not_come_back_from_bb8() {
    let app = App::new().await;
    let pool = bb8(&app, 1).await;
    let backend = "SELECT pg_backend_pid()";
    let client = pool.get().await.unwrap();
    let before: i32 = client.query_one_scalar(backend, &[]).await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO todo VALUES (1, 'x')").await.unwrap();
    drop(client);
    let client = pool.get().await.unwrap();
    let after: i32 = client.query_one_scalar(backend, &[]).await.unwrap();
    assert_ne!(before, after);
    assert_eq!(app.count("todo").await, 0);
    client.batch_execute("BEGIN; INSERT INTO todo VALUES (1, 'x'); COMMIT").await.unwrap();
    drop(client);
    let client = pool.get().await.unwrap();
    assert_eq!(client.query_one_scalar::<i32, _>(backend, &[]).await.unwrap(), after);
}

#[tokio::test]
async fn a_connection_whose_backend_was_killed_is_replaced() {
    let app = App::new().await;
    let deadpool = deadpool(&app, 1);
    let bb8 = bb8(&app, 1).await;
    let kill = async |backend: i32| {
        app.plain.execute("SELECT pg_terminate_backend($1)", &[&backend]).await.unwrap();
    };
    let backend = "SELECT pg_backend_pid()";
    with_context(user(1), async {
        let client = deadpool.get().await.unwrap();
        kill(client.query_one_scalar(backend, &[]).await.unwrap()).await;
        client.execute(INSERT, &[&1, &"x"]).await.unwrap_err();
        drop(client);
        deadpool.get().await.unwrap().execute(INSERT, &[&2, &"x"]).await.unwrap();

        let client = bb8.get().await.unwrap();
        kill(client.query_one_scalar(backend, &[]).await.unwrap()).await;
        client.execute(INSERT, &[&1, &"x"]).await.unwrap_err();
        drop(client);
        bb8.get().await.unwrap().execute(INSERT, &[&3, &"x"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))], [by(1, inserted(3, "x"))]]);
}
