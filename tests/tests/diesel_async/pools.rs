//! Pools under load, broken connections, connections that are made in another way.

use std::collections::HashMap;
use std::time::Duration;

use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPool, Settings, with_context};
use bemi_tests::eventually;
use bemi_tests::journal::{by, inserted, user};
use diesel::prelude::*;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, RecyclingMethod, bb8};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio_postgres::NoTls;

use crate::app::{App, insert, todo};

const TASKS: i32 = 200;

/// What each task does with one connection.
async fn work(connection: &mut BemiAsyncPgConnection, id: i32) {
    insert(connection, id).await.unwrap();
    connection
        .transaction(async |connection| {
            let todo = todo::table.find(id);
            diesel::update(todo).set(todo::task.eq("y")).execute(connection).await?;
            connection
                .transaction(async |connection| {
                    diesel::update(todo).set(todo::task.eq("z")).execute(connection).await
                })
                .await
        })
        .await
        .unwrap();
}

/// What it does with the next: this call may be cancelled.
async fn work_more(connection: &mut BemiAsyncPgConnection, id: i32) {
    let todo = todo::table.find(id);
    let delete = diesel::delete(todo).execute(connection);
    let soon = Duration::from_micros(u64::try_from(id).unwrap() * 20);
    let _ = tokio::time::timeout(soon, delete).await;
    let _ = tokio::time::timeout(
        soon,
        connection.transaction(async |connection| diesel::delete(todo).execute(connection).await),
    )
    .await;
}

async fn assert_nothing_was_mixed_up(app: &App) {
    eventually(Duration::from_secs(10), "every transaction to end", async || {
        (app.in_transaction().await == 0).then_some(())
    })
    .await;
    let mut kinds = HashMap::new();
    for (user, change) in app.changes().await.into_iter().flatten() {
        let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(user, Some(id), "{change}");
        *kinds.entry(change.split(": ").nth(1).unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!((kinds["INSERT"], kinds["UPDATE"]), (TASKS, TASKS * 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_on_five_connections_of_deadpool_do_not_mix_up_their_contexts() {
    let app = App::new().await;
    let pool = app.pool(5);
    let tasks: Vec<_> = (0..TASKS)
        .map(|id| {
            let pool = pool.clone();
            tokio::spawn(with_context(user(id), async move {
                work(&mut pool.get().await.unwrap(), id).await;
                work_more(&mut pool.get().await.unwrap(), id).await;
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_nothing_was_mixed_up(&app).await;
    assert_eq!(pool.status().size, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_on_five_connections_of_bb8_do_not_mix_up_their_contexts() {
    let app = App::new().await;
    let config = BemiAsyncPgConnection::manager_config(Settings::new().without_sql());
    let manager = AsyncDieselConnectionManager::new_with_config(app.database.url(), config);
    let pool: bb8::Pool<BemiAsyncPgConnection> =
        bb8::Pool::builder().max_size(5).build(manager).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|id| {
            let pool = pool.clone();
            tokio::spawn(with_context(user(id), async move {
                work(&mut pool.get().await.unwrap(), id).await;
                work_more(&mut pool.get().await.unwrap(), id).await;
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_nothing_was_mixed_up(&app).await;
}

/// bb8 looks at a connection when it gets it back, and closes one in an open transaction.
#[tokio::test]
async fn bb8_closes_a_connection_on_which_a_transaction_was_cancelled() {
    let app = App::new().await;
    let manager = AsyncDieselConnectionManager::<BemiAsyncPgConnection>::new(app.database.url());
    let pool = bb8::Pool::builder().max_size(1).build(manager).await.unwrap();
    let mut connection = pool.get().await.unwrap();
    let cancelled = connection.transaction(async |connection| {
        insert(connection, 1).await?;
        std::future::pending::<QueryResult<()>>().await
    });
    tokio::select! {
        _ = cancelled => unreachable!(),
        () = async { while app.in_transaction().await == 0 {} } => {}
    }
    drop(connection);
    eventually(Duration::from_secs(10), "the transaction to end", async || {
        (app.in_transaction().await == 0).then_some(())
    })
    .await;
    insert(&mut pool.get().await.unwrap(), 1).await.unwrap();
}

#[tokio::test]
async fn a_killed_backend_is_an_error_and_the_pool_recovers() {
    let app = App::new().await;
    let pool = app.pool(1);
    with_context(user(1), async {
        let mut connection = pool.get().await.unwrap();
        let killed = connection
            .transaction(async |connection| {
                insert(connection, 1).await?;
                app.kill_others().await;
                insert(connection, 2).await
            })
            .await;
        killed.unwrap_err();
        drop(connection);

        let mut connection = pool.get().await.unwrap();
        app.kill_others().await;
        insert(&mut connection, 3).await.unwrap_err();
        drop(connection);
        insert(&mut pool.get().await.unwrap(), 4).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(4, "x"))]]);
}

/// As for TLS: the connection is made by the application.
#[tokio::test]
async fn a_pool_may_make_its_connections_in_another_way() {
    let app = App::new().await;
    let settings = Settings::new().without_sql();
    let mut config = BemiAsyncPgConnection::manager_config(Settings::new());
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |url| {
        let settings = settings.clone();
        async move {
            let refused =
                |error: tokio_postgres::Error| ConnectionError::BadConnection(error.to_string());
            let (client, connection) =
                tokio_postgres::connect(url, NoTls).await.map_err(refused)?;
            let raw = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
            Ok(BemiAsyncPgConnection::new(raw).with_settings(settings))
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(app.database.url(), config);
    let pool = BemiAsyncPool::builder(manager).max_size(2).build().unwrap();
    with_context(user(1), async {
        for id in 1..=3 {
            insert(&mut pool.get().await.unwrap(), id).await.unwrap();
        }
    })
    .await;
    assert_eq!(app.changes().await.len(), 3);
}

#[tokio::test]
async fn in_a_read_only_session_a_write_fails_as_with_plain_diesel_async() {
    let app = App::new().await;
    app.run(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        app.database.name()
    ))
    .await;
    let (mut ours, mut plain) = (app.connection().await, app.plain().await);
    let sql = "INSERT INTO todo VALUES (1, 'x')";
    let expected = diesel::sql_query(sql).execute(&mut plain).await.unwrap_err();
    with_context(user(1), async {
        let autocommit = diesel::sql_query(sql).execute(&mut ours).await.unwrap_err();
        let simple = ours.batch_execute(sql).await.unwrap_err();
        let in_transaction =
            ours.transaction(async |ours| insert(ours, 1).await).await.unwrap_err();
        for error in [autocommit, simple, in_transaction] {
            assert_eq!(error.to_string(), expected.to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn code_that_is_generic_over_async_connections_runs_on_a_pooled_one() {
    async fn insert_one<C>(connection: &mut C) -> QueryResult<usize>
    where
        C: AsyncConnection<Backend = diesel::pg::Pg>,
    {
        connection
            .transaction(async |connection| {
                let insert = diesel::insert_into(todo::table);
                insert.values((todo::id.eq(1), todo::task.eq("x"))).execute(connection).await
            })
            .await
    }
    let app = App::new().await;
    let mut pooled = app.pool(1).get().await.unwrap();
    with_context(user(1), insert_one(&mut pooled)).await.unwrap();
    with_context(user(2), async {
        diesel::delete(todo::table).execute(&mut pooled).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(2, "todo: DELETE: id:1")]]);
}
