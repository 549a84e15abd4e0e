//! Futures that are dropped before they are done, at every place where they can be.
//!
//! The pools here reach the server through a relay in the test's own thread: an answer can only come while the future that waits
//! for it is suspended, so that each round trip is a place to cancel it, every time.

use std::time::Duration;

use bemi_sqlx::{BemiPool, with_context};
use bemi_tests::journal::{by, inserted, user};
use bemi_tests::{
    Relay, at_each_await_point, cancelled_after, eventually, happened_or_not,
    happens_or_not_at_each_await_point, shared_cluster,
};
use futures_util::TryStreamExt;
use sqlx::Executor;

use crate::app::{App, one_connection};

/// A pool of one connection.
async fn relayed(app: &App) -> BemiPool {
    let relay = Relay::start(shared_cluster()).await;
    one_connection(&relay.url(&app.database.url())).await
}

/// Drops `operation` at each of its await points in turn, on a pool of one connection. After each, the pool must work, no
/// transaction may be open, and what was written must be there with its context, or not at all.
async fn at_every_await_point(what: &str, round_trips: usize, operation: impl AsyncFn(BemiPool)) {
    let app = App::new().await;
    let pool = relayed(&app).await;
    happens_or_not_at_each_await_point(&app, what, round_trips, async |polls| {
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
        done
    })
    .await;
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
    at_each_await_point(async |polls| {
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
        assert!(happened_or_not(first), "after {polls} polls: {changes:?}");
        done
    })
    .await;
}

/// A nested `begin` that is cancelled must not end the transaction around it, as sqlx's does.
#[tokio::test]
async fn a_transaction_goes_on_after_each_call_that_was_cancelled_in_it() {
    let app = App::new().await;
    let pool = relayed(&app).await;
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}

/// The server has rolled back and released by the time that the next call undoes what the cancelled one may have left.
#[tokio::test]
async fn a_cancelled_end_of_a_nested_transaction_leaves_the_one_around_it_usable() {
    let insert = "INSERT INTO todo VALUES ($1, 'x')";
    for commit in [false, true] {
        let app = App::new().await;
        let pool = relayed(&app).await;
        let mut tx = pool.begin().await.unwrap();
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
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}

/// What was cancelled fails later, and sqlx hands that error to the next caller: here to our own rollback.
#[tokio::test]
async fn a_cancelled_write_that_fails_does_not_spoil_the_next_call() {
    let app = App::new().await;
    let mut connection = relayed(&app).await.acquire().await.unwrap();
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_write_that_fails_does_not_spoil_the_rollback() {
    let app = App::new().await;
    let pool = relayed(&app).await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    app.journal().await;
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}
