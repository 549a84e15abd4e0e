//! Futures that are dropped before they are done, at every place where they can be.
//!
//! The pools here reach the server through a relay in the test's own thread: an answer can only come while the future that waits
//! for it is suspended, so that each round trip is a place to cancel it, every time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bemi_sqlx::{BemiPool, Settings, with_context};
use bemi_tests::eventually;
use futures_util::TryStreamExt;
use sqlx::Executor;
use sqlx::postgres::PgPoolOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::app::{App, Stitched, by, inserted, user};

/// More polls than any of the futures here needs.
const POLLS_MAX: usize = 100;

/// Polls a future `polls` times, each time after it was woken, and drops it. True if it was done by then.
async fn cancelled_after(polls: usize, future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut polled = false;
        let done = poll_fn(|context| {
            if polled {
                return Poll::Ready(false);
            }
            polled = true;
            match future.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if done {
            return true;
        }
    }
    false
}

/// A pool of one connection.
async fn relayed(app: &App) -> BemiPool {
    let server = app.pool.connect_options();
    let address = (server.get_host().to_owned(), server.get_port());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let options = PgPoolOptions::new().max_connections(1);
    let pool = options.connect_with(server.as_ref().clone().port(port)).await.unwrap();
    BemiPool::new(pool).with_settings(Settings::new().without_sql())
}

/// Drops `operation` at each of its await points in turn, on a pool of one connection. After each, the pool must work, no
/// transaction may be open, and what was written must be there with its context, or not at all.
async fn at_every_await_point(what: &str, round_trips: usize, operation: impl AsyncFn(BemiPool)) {
    let app = App::new().await;
    let pool = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = cancelled_after(polls, with_context(user(1), operation(pool.clone()))).await;
        eventually(Duration::from_secs(10), "the connection to return to the pool", async || {
            (usize::try_from(pool.size()) == Ok(pool.num_idle())).then_some(())
        })
        .await;
        assert_eq!(app.idle_in_transaction().await, 0, "{what}: after {polls} polls");
        with_context(
            user(2),
            sqlx::query("INSERT INTO todo VALUES ($1, 'after')").bind(100).execute(&pool),
        )
        .await
        .unwrap_or_else(|error| {
            panic!("{what}: after {polls} polls the pool does not work: {error}")
        });
        let mut changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
        let after = changes.iter().position(|change| *change == by(2, inserted(100, "after")));
        changes.remove(after.unwrap_or_else(|| panic!("{what}: after {polls} polls: {changes:?}")));
        assert!(
            all_or_nothing(&changes) && (!done || !changes.is_empty()),
            "{what}: after {polls} polls (done: {done}): {changes:?}"
        );
        if done {
            assert!(polls > round_trips, "{what} was cancelled at {} places only", polls - 1);
            return;
        }
    }
    panic!("{what} is never done");
}

fn all_or_nothing(changes: &[Stitched]) -> bool {
    changes.is_empty() || changes == [by(1, inserted(1, "x"))]
}

#[tokio::test]
async fn an_autocommit_write_has_happened_or_not() {
    at_every_await_point("a write", 4, async |pool| {
        sqlx::query("INSERT INTO todo VALUES ($1, 'x')").bind(1).execute(&pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_happened_or_not() {
    at_every_await_point("a stream", 4, async |pool| {
        let mut rows =
            sqlx::query("INSERT INTO todo VALUES ($1, 'x') RETURNING id").bind(1).fetch(&pool);
        while rows.try_next().await.unwrap().is_some() {}
    })
    .await;
}

#[tokio::test]
async fn a_simple_text_has_happened_or_not() {
    at_every_await_point("a text", 1, async |pool| {
        sqlx::raw_sql("INSERT INTO todo VALUES (1, 'x'); SELECT 1").execute(&pool).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_script_has_happened_or_not() {
    at_every_await_point("a script", 1, async |pool| {
        sqlx::raw_sql("BEGIN; INSERT INTO todo VALUES (1, 'x'); COMMIT")
            .execute(&pool)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_script_that_leaves_its_transaction_open_is_rolled_back() {
    at_every_await_point("a script without an end", 1, async |pool| {
        sqlx::raw_sql(
            "INSERT INTO todo VALUES (1, 'x'); COMMIT; BEGIN; INSERT INTO todo VALUES (2, 'x')",
        )
        .execute(&pool)
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_one_inside_has_happened_or_not() {
    at_every_await_point("a transaction", 7, async |pool| {
        let mut tx = pool.begin().await.unwrap();
        let mut nested = tx.begin().await.unwrap();
        sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
            .bind(1)
            .execute(&mut *nested)
            .await
            .unwrap();
        nested.commit().await.unwrap();
        let mut dropped = tx.begin().await.unwrap();
        sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
            .bind(2)
            .execute(&mut *dropped)
            .await
            .unwrap();
        drop(dropped);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_copy_has_happened_or_not() {
    at_every_await_point("a copy", 3, async |pool| {
        let mut copy = pool.copy_in_raw("COPY todo FROM STDIN").await.unwrap();
        copy.send(&b"1\tx\n"[..]).await.unwrap();
        copy.finish().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_as_text_has_happened_or_not() {
    at_every_await_point("a transaction as text", 4, async |pool| {
        let mut connection = pool.acquire().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
            .bind(1)
            .execute(&mut *connection)
            .await
            .unwrap();
        connection.execute("COMMIT").await.unwrap();
    })
    .await;
}

/// The caller keeps the connection and goes on with it.
#[tokio::test]
async fn a_connection_goes_on_after_each_call_that_was_cancelled_on_it() {
    let app = App::new().await;
    let mut connection = relayed(&app).await.acquire().await.unwrap();
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = with_context(user(1), async {
            let done = cancelled_after(polls, async {
                sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
                    .bind(1)
                    .execute(&mut *connection)
                    .await
                    .unwrap();
            })
            .await;
            sqlx::query("INSERT INTO todo VALUES ($1, 'y')")
                .bind(2)
                .execute(&mut *connection)
                .await
                .unwrap();
            done
        })
        .await;
        let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
        let (second, first) = changes.split_last().unwrap();
        assert_eq!(*second, by(1, inserted(2, "y")));
        assert!(all_or_nothing(first), "after {polls} polls: {changes:?}");
        if done {
            return;
        }
    }
    panic!("never done");
}

/// A nested `begin` that is cancelled must not end the transaction around it, as sqlx's does.
#[tokio::test]
async fn a_transaction_goes_on_after_each_call_that_was_cancelled_in_it() {
    let app = App::new().await;
    let pool = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = with_context(user(1), async {
            let mut tx = pool.begin().await.unwrap();
            sqlx::query("INSERT INTO todo VALUES ($1, 'x')")
                .bind(1)
                .execute(&mut *tx)
                .await
                .unwrap();
            let done = cancelled_after(polls, async {
                let mut nested = tx.begin().await.unwrap();
                sqlx::query("INSERT INTO todo VALUES ($1, 'y')")
                    .bind(2)
                    .execute(&mut *nested)
                    .await
                    .unwrap();
                nested.rollback().await.unwrap();
            })
            .await;
            sqlx::query("INSERT INTO todo VALUES ($1, 'z')")
                .bind(3)
                .execute(&mut *tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            done
        })
        .await;
        assert_eq!(
            app.changes().await,
            [[by(1, inserted(1, "x")), by(1, inserted(3, "z"))]],
            "after {polls} polls"
        );
        if done {
            return;
        }
    }
    panic!("never done");
}

/// The server has rolled back and released by the time that the next call undoes what the cancelled one may have left.
#[tokio::test]
async fn a_cancelled_end_of_a_nested_transaction_leaves_the_one_around_it_usable() {
    let insert = "INSERT INTO todo VALUES ($1, 'x')";
    for commit in [false, true] {
        let app = App::new().await;
        let mut tx = app.pool.begin().await.unwrap();
        let ended = with_context(user(1), async {
            let mut nested = tx.begin().await.unwrap();
            sqlx::query(insert).bind(1).execute(&mut *nested).await.unwrap();
            let end =
                async move { if commit { nested.commit().await } else { nested.rollback().await } };
            cancelled_after(1, async { end.await.unwrap() }).await
        });
        assert!(!ended.await, "it was to be cancelled");
        with_context(user(1), sqlx::query(insert).bind(2).execute(&mut *tx))
            .await
            .unwrap_or_else(|error| panic!("commit: {commit}: {error}"));
        tx.commit().await.unwrap();
        let mut expected = vec![by(1, inserted(1, "x")), by(1, inserted(2, "x"))];
        if !commit {
            expected.remove(0);
        }
        assert_eq!(app.changes().await, [expected], "commit: {commit}");
    }
}

/// The message of a cancelled write may have reached the server; it must not govern the next one.
#[tokio::test]
async fn the_context_of_a_cancelled_write_does_not_reach_the_next() {
    let app = App::new().await;
    let pool = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let insert = "INSERT INTO todo VALUES ($1, 'x')";
        let mut tx = pool.begin().await.unwrap();
        with_context(user(1), sqlx::query(insert).bind(1).execute(&mut *tx)).await.unwrap();
        let cancelled = with_context(user(2), async {
            sqlx::query(insert).bind(2).execute(&mut *tx).await.unwrap();
        });
        let done = cancelled_after(polls, cancelled).await;
        with_context(user(1), sqlx::query(insert).bind(3).execute(&mut *tx)).await.unwrap();
        tx.commit().await.unwrap();
        let mut changes = app.changes().await.remove(0);
        changes.retain(|change| *change != by(2, inserted(2, "x")));
        assert_eq!(
            changes,
            [by(1, inserted(1, "x")), by(1, inserted(3, "x"))],
            "after {polls} polls"
        );
        if done {
            return;
        }
    }
    panic!("never done");
}

/// What was cancelled fails later, and sqlx hands that error to the next caller: here to our own rollback.
#[tokio::test]
async fn a_cancelled_write_that_fails_does_not_spoil_the_next_call() {
    let app = App::new().await;
    let mut connection = relayed(&app).await.acquire().await.unwrap();
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    for polls in 1..POLLS_MAX {
        let insert = "INSERT INTO todo VALUES ($1, 'y')";
        let done = with_context(user(1), async {
            let mut tx = connection.begin().await.unwrap();
            let done = cancelled_after(polls, async {
                assert!(sqlx::query(insert).bind(1).execute(&mut *tx).await.is_err());
            })
            .await;
            tx.rollback().await.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
            let cancelled_too = cancelled_after(polls, async {
                assert!(sqlx::query(insert).bind(1).execute(&mut *connection).await.is_err());
            })
            .await;
            sqlx::query(insert)
                .bind(2)
                .execute(&mut *connection)
                .await
                .unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
            done && cancelled_too
        })
        .await;
        app.run("DELETE FROM todo WHERE id = 2").await;
        if done {
            return;
        }
    }
    panic!("never done");
}

#[tokio::test]
async fn a_cancelled_write_that_fails_does_not_spoil_the_rollback() {
    let app = App::new().await;
    let pool = relayed(&app).await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    app.journal().await;
    for polls in 1..POLLS_MAX {
        let done = with_context(user(1), async {
            cancelled_after(polls, async {
                let again =
                    sqlx::query("INSERT INTO todo VALUES ($1, 'x')").bind(1).execute(&pool).await;
                assert!(again.is_err());
            })
            .await
        })
        .await;
        let inserted = sqlx::query("INSERT INTO todo VALUES (2, 'y')").execute(&pool).await;
        inserted.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
        app.run("DELETE FROM todo WHERE id = 2").await;
        assert_eq!(app.idle_in_transaction().await, 0);
        if done {
            return;
        }
    }
    panic!("never done");
}
