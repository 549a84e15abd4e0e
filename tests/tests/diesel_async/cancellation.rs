//! Futures that are dropped before they are done, at every place where they can be.
//!
//! The pools here reach the server through a relay in the test's own thread: an answer can only come while the future that waits
//! for it is suspended, so that each round trip is a place to cancel it, every time.

use std::time::Duration;

use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPoolConnection, ContextFutureExt, with_context};
use bemi_tests::journal::{by, inserted, user};
use bemi_tests::{
    Relay, at_each_await_point, cancelled_after, eventually, happened_or_not,
    happens_or_not_at_each_await_point, shared_cluster,
};
use diesel::prelude::*;
use diesel::result::Error;
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::TryStreamExt;

use crate::app::{App, Todo, insert, insert_task, pool, todo};

/// Drops `operation` at each of its await points in turn, on a pool of one connection. After each, the pool must work, no
/// transaction may be open, and what was written must be there with its context, or not at all.
async fn at_every_await_point(
    what: &str,
    round_trips: usize,
    operation: impl AsyncFn(BemiAsyncPoolConnection),
) {
    let app = App::new().await;
    let relay = Relay::start(shared_cluster()).await;
    let pool = pool(&relay.url(&app.database.url()), 1);
    happens_or_not_at_each_await_point(&app, what, round_trips, async |polls| {
        let connection = pool.get().await.unwrap();
        let done = cancelled_after(polls, with_context(user(1), operation(connection))).await;
        // The connection is back in the pool, and nobody has asked for it.
        eventually(Duration::from_secs(10), "every transaction to end", async || {
            (app.in_transaction().await == 0).then_some(())
        })
        .await;
        let mut connection = pool.get().await.unwrap();
        let write = with_context(user(2), insert_task(&mut connection, 100, "after")).await;
        write.unwrap_or_else(|error| {
            panic!("{what}: after {polls} polls the pool does not work: {error}")
        });
        // Only a connection that works can have been rolled back instead of replaced.
        assert!(!connection.is_broken() && !connection.is_in_transaction());
        done
    })
    .await;
}

#[tokio::test]
async fn an_autocommit_write_has_happened_or_not() {
    at_every_await_point("a write", 2, async |mut connection| {
        insert(&mut connection, 1).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_prepared_each_time_has_happened_or_not() {
    at_every_await_point("a write", 3, async |mut connection| {
        let insert =
            diesel::sql_query(format!("INSERT INTO todo VALUES (1, 'x') -- {:p}", &connection));
        insert.execute(&mut connection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_happened_or_not() {
    at_every_await_point("a stream", 2, async |mut connection| {
        let insert = diesel::insert_into(todo::table).values((todo::id.eq(1), todo::task.eq("x")));
        let rows = insert.load_stream::<Todo>(&mut connection).await.unwrap();
        assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_text_has_happened_or_not() {
    at_every_await_point("a text", 1, async |mut connection| {
        connection.batch_execute("INSERT INTO todo VALUES (1, 'x'); SELECT 1").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_script_has_happened_or_not() {
    at_every_await_point("a script", 1, async |mut connection| {
        let script = "BEGIN; INSERT INTO todo VALUES (1, 'x'); COMMIT";
        connection.batch_execute(script).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_script_that_leaves_its_transaction_open_is_rolled_back() {
    at_every_await_point("a script without an end", 1, async |mut connection| {
        let script =
            "INSERT INTO todo VALUES (1, 'x'); COMMIT; BEGIN; INSERT INTO todo VALUES (2, 'x')";
        connection.batch_execute(script).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_has_happened_or_not() {
    at_every_await_point("a transaction", 5, async |mut connection| {
        connection
            .transaction(async |connection| {
                let undone = connection
                    .transaction(async |connection| {
                        insert(connection, 2).await?;
                        Err::<(), _>(Error::RollbackTransaction)
                    })
                    .await;
                assert!(undone.is_err());
                insert(connection, 1).await
            })
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_built_transaction_has_happened_or_not() {
    at_every_await_point("a transaction", 3, async |mut connection| {
        let transaction = connection.build_transaction().serializable();
        transaction.run(async |connection| insert(connection, 1).await).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_as_text_has_happened_or_not() {
    at_every_await_point("a transaction as text", 3, async |mut connection| {
        diesel::sql_query("BEGIN").execute(&mut connection).await.unwrap();
        insert(&mut connection, 1).await.unwrap();
        diesel::sql_query("COMMIT").execute(&mut connection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_left_open_is_rolled_back_on_the_way_to_the_pool() {
    let app = App::new().await;
    let pool = app.pool(1);
    with_context(user(1), async {
        for begin in ["BEGIN", "BEGIN; SAVEPOINT a"] {
            let mut connection = pool.get().await.unwrap();
            connection.batch_execute(begin).await.unwrap();
            insert(&mut connection, 1).await.unwrap();
        }
        insert(&mut pool.get().await.unwrap(), 2).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

/// The caller keeps the connection and goes on with it.
#[tokio::test]
async fn a_connection_goes_on_after_each_write_that_was_cancelled_on_it() {
    let app = App::new().await;
    let (mut ours, _) = app.relayed().await;
    at_each_await_point(async |polls| {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = with_context(user(1), async {
            let done = cancelled_after(polls, async {
                insert(&mut ours, 1).await.unwrap();
            })
            .await;
            insert(&mut ours, 2).await.unwrap();
            done
        })
        .await;
        let transactions = app.changes().await;
        let (second, first) = transactions.split_last().unwrap();
        assert_eq!(*second, [by(1, inserted(2, "x"))], "after {polls} polls");
        assert!(happened_or_not(&first.concat()), "after {polls} polls: {first:?}");
        done
    })
    .await;
}

/// The message of a cancelled write may have reached the server; it must not govern the next one.
#[tokio::test]
async fn the_context_of_a_cancelled_write_does_not_reach_the_next() {
    let app = App::new().await;
    let (mut ours, _) = app.relayed().await;
    at_each_await_point(async |polls| {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = ours
            .transaction(async |ours| {
                insert(ours, 1).with_context(user(1)).await?;
                let cancelled = with_context(user(2), async {
                    insert(ours, 2).await.unwrap();
                });
                let done = cancelled_after(polls, cancelled).await;
                insert(ours, 3).with_context(user(1)).await?;
                QueryResult::Ok(done)
            })
            .await
            .unwrap();
        let mut changes = app.changes().await.remove(0);
        changes.retain(|change| *change != by(2, inserted(2, "x")));
        let expected = [by(1, inserted(1, "x")), by(1, inserted(3, "x"))];
        assert_eq!(changes, expected, "after {polls} polls");
        done
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_write_that_fails_does_not_spoil_the_next_call() {
    let app = App::new().await;
    let (mut ours, _) = app.relayed().await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    at_each_await_point(async |polls| {
        let done = with_context(user(1), async {
            let done = cancelled_after(polls, async {
                insert(&mut ours, 1).await.unwrap_err();
            })
            .await;
            insert(&mut ours, 2)
                .await
                .unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
            done
        })
        .await;
        app.run("DELETE FROM todo WHERE id = 2").await;
        done
    })
    .await;
}

/// diesel-async believes that the transaction is open. Writes that seem to be part of it would be committed one by one.
#[tokio::test]
async fn after_a_cancelled_commit_nothing_runs_on_a_connection_that_was_kept() {
    let app = App::new().await;
    let (mut ours, _) = app.relayed().await;
    ours.batch_execute("SELECT 1").await.unwrap();
    let transaction = async {
        ours.transaction(async |ours| insert(ours, 1).await).await.unwrap();
    };
    // BEGIN, to prepare, the insert; then the COMMIT waits.
    assert!(!cancelled_after(4, transaction).await);
    assert!(ours.is_broken());
    let refused = [insert(&mut ours, 2).await.map(drop), ours.batch_execute("SELECT 1").await];
    assert!(refused.iter().all(|refused| matches!(refused, Err(Error::BrokenTransactionManager))));
    assert!(ours.untracked().is_err());
}

/// What diesel-async's own pool does: it finds such a connection when it is asked for one.
#[tokio::test]
async fn diesel_asyncs_own_pool_does_not_hand_out_an_open_transaction() {
    use diesel_async::pooled_connection::AsyncDieselConnectionManager;
    use diesel_async::pooled_connection::deadpool::Pool;

    let app = App::new().await;
    let manager = AsyncDieselConnectionManager::<BemiAsyncPgConnection>::new(app.database.url());
    let pool = Pool::builder(manager).max_size(1).build().unwrap();
    let mut connection = pool.get().await.unwrap();
    let cancelled = async {
        connection
            .transaction(async |connection| {
                insert(connection, 1).await?;
                std::future::pending::<QueryResult<()>>().await
            })
            .await
            .unwrap();
    };
    tokio::select! {
        () = cancelled => unreachable!(),
        () = async { while app.in_transaction().await == 0 {} } => {}
    }
    drop(connection);
    insert(&mut pool.get().await.unwrap(), 1).await.unwrap();
}
