//! Pools under load, broken connections, servers that cannot be written to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bemi_sqlx::{BemiPool, spawn, with_context};
use bemi_tests::journal::{by, inserted, user};
use bemi_tests::{Cluster, ClusterOptions, StopMode, eventually};
use sqlx::Executor;
use sqlx::postgres::PgListener;

use crate::app::App;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_on_five_connections_do_not_mix_up_their_contexts() {
    let app = Arc::new(App::with_connections(5).await);
    let tasks: Vec<_> = (0..200)
        .map(|id| {
            let pool = app.pool.clone();
            tokio::spawn(with_context(user(id), async move {
                let insert = "INSERT INTO todo VALUES ($1, 'x')";
                sqlx::query(insert).bind(id).execute(&pool).await.unwrap();
                let mut tx = pool.begin().await.unwrap();
                sqlx::query("UPDATE todo SET task = $1 WHERE id = $2")
                    .bind("y")
                    .bind(id)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
                // A task of a task, with the scope carried along, and one whose write is cancelled.
                let last = pool.clone();
                spawn(async move {
                    sqlx::query("DELETE FROM todo WHERE id = $1")
                        .bind(id)
                        .execute(&last)
                        .await
                        .unwrap();
                })
                .await
                .unwrap();
                let write = sqlx::query(insert).bind(id).execute(&pool);
                let _ = tokio::time::timeout(
                    Duration::from_micros(u64::try_from(id).unwrap() * 20),
                    write,
                )
                .await;
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut kinds = HashMap::new();
    for (user, change) in app.changes().await.into_iter().flatten() {
        let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(user, Some(id), "{change}");
        *kinds.entry(change.split(": ").nth(1).unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!((kinds["UPDATE"], kinds["DELETE"]), (200, 200));
    assert!((200..=400).contains(&kinds["INSERT"]));
    eventually(Duration::from_secs(10), "every transaction to end", async || {
        (app.idle_in_transaction().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_backend_is_an_error_and_the_pool_recovers() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut tx = app.pool.begin().await.unwrap();
        tx.execute("INSERT INTO todo VALUES (1, 'x')").await.unwrap();
        let pid: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
        app.client.execute("SELECT pg_terminate_backend($1, 10000)", &[&pid]).await.unwrap();
        sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
            .bind(2)
            .execute(&mut *tx)
            .await
            .unwrap_err();
        tx.commit().await.unwrap_err();

        let mut connection = app.pool.acquire().await.unwrap();
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        app.client.execute("SELECT pg_terminate_backend($1, 10000)", &[&pid]).await.unwrap();
        sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
            .bind(3)
            .execute(&mut *connection)
            .await
            .unwrap_err();
        drop(connection);

        sqlx::query("INSERT INTO todo VALUES ($1, 'x')").bind(4).execute(&app.pool).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(4, "x"))]]);
}

#[tokio::test]
async fn on_a_standby_and_in_read_only_sessions_a_write_fails_as_with_plain_sqlx() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let client = cluster.connect("postgres").await.unwrap();
    client.batch_execute("CREATE TABLE todo (id int PRIMARY KEY, task text)").await.unwrap();
    client
        .batch_execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        .await
        .unwrap();
    assert_refused_as_with_plain_sqlx(&cluster).await;

    client.batch_execute("RESET ALL; SET default_transaction_read_only = off").await.unwrap();
    client
        .batch_execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        .await
        .unwrap();
    drop(client);
    // A server that waits for WAL from nowhere takes reads, and is in recovery for ever.
    cluster.stop(StopMode::Fast).unwrap();
    std::fs::write(cluster.data_dir().join("standby.signal"), "").unwrap();
    cluster.start_again().unwrap();
    let client = cluster.connect("postgres").await.unwrap();
    let in_recovery: bool =
        client.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get(0);
    assert!(in_recovery);
    assert_refused_as_with_plain_sqlx(&cluster).await;
}

async fn assert_refused_as_with_plain_sqlx(cluster: &Cluster) {
    let ours = BemiPool::connect(&cluster.url("postgres")).await.unwrap();
    let plain = sqlx::PgPool::connect(&cluster.url("postgres")).await.unwrap();
    let sql = "INSERT INTO todo VALUES (1, 'x')";
    let plain_error = sqlx::query(sql).execute(&plain).await.unwrap_err();
    assert_eq!(plain_error.as_database_error().unwrap().code().unwrap(), "25006");
    with_context(user(1), async {
        let autocommit = sqlx::query(sql).execute(&ours).await.unwrap_err();
        let simple = sqlx::raw_sql(sql).execute(&ours).await.unwrap_err();
        let mut tx = ours.begin().await.unwrap();
        let in_transaction = sqlx::query(sql).execute(&mut *tx).await.unwrap_err();
        for error in [autocommit, simple, in_transaction] {
            assert_eq!(error.to_string(), plain_error.to_string());
        }
    })
    .await;
    ours.close().await;
    plain.close().await;
}

#[tokio::test]
async fn a_listener_runs_on_the_untracked_pool_and_hears_writes_with_context() {
    let app = App::new().await;
    let mut listener = PgListener::connect_with(app.pool.untracked()).await.unwrap();
    listener.listen("todos").await.unwrap();
    app.run(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY todos; RETURN NULL; END $$;
         CREATE TRIGGER tell AFTER INSERT ON todo EXECUTE FUNCTION tell()",
    )
    .await;
    with_context(user(1), app.pool.execute("INSERT INTO todo VALUES (1, 'x')")).await.unwrap();
    assert_eq!(listener.recv().await.unwrap().channel(), "todos");
}

#[tokio::test]
async fn the_pool_answers_as_sqlxs_does() {
    let app = App::with_connections(2).await;
    assert_eq!(app.pool.options().get_max_connections(), 2);
    let held = app.pool.acquire().await.unwrap();
    assert_eq!(app.pool.size(), 1);
    assert!(app.pool.try_begin().await.unwrap().is_none(), "none is idle");
    held.close().await.unwrap();
    assert_eq!(app.pool.size(), 0);
    app.pool.close().await;
    assert!(app.pool.is_closed());
    assert!(matches!(app.pool.begin().await, Err(sqlx::Error::PoolClosed)));
    assert!(matches!(
        app.pool.execute("INSERT INTO todo VALUES (1)").await,
        Err(sqlx::Error::PoolClosed)
    ));
}
