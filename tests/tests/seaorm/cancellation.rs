//! Futures that are dropped before they are done, at every place where they can be.
//!
//! The pools here reach the server through a relay in the test's own thread: an answer can only come while the future that waits
//! for it is suspended, so that each round trip is a place to cancel it, every time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bemi_seaorm::{BemiDatabaseConnection, Settings, with_context};
use bemi_tests::eventually;
use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DbErr, StreamTrait, TransactionTrait};
use sqlx::postgres::PgPoolOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::app::{App, Stitched, by, insert, inserted, ours, statement, try_insert, user};

/// More polls than any of the futures here needs.
const POLLS_MAX: usize = 150;

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
async fn relayed(app: &App) -> BemiDatabaseConnection {
    let server = app.plain.get_postgres_connection_pool().connect_options();
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
    ours(pool).with_settings(Settings::new().without_sql())
}

/// Drops `operation` at each of its await points in turn, on a pool of one connection. After each, the pool must work, no
/// transaction may be open, and what was written must be there with its context, or not at all.
async fn at_every_await_point(
    what: &str,
    round_trips: usize,
    operation: impl AsyncFn(BemiDatabaseConnection),
) {
    let app = App::new().await;
    let db = relayed(&app).await;
    let pool = db.untracked().get_postgres_connection_pool();
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = cancelled_after(polls, with_context(user(1), operation(db.clone()))).await;
        eventually(Duration::from_secs(10), "the connection to return to the pool", async || {
            (usize::try_from(pool.size()) == Ok(pool.num_idle())).then_some(())
        })
        .await;
        assert_eq!(app.idle_in_transaction().await, 0, "{what}: after {polls} polls");
        with_context(user(2), try_insert(&db, 100, "after")).await.unwrap_or_else(|error| {
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
    at_every_await_point("a write", 4, async |db| insert(&db, 1).await).await;
}

#[tokio::test]
async fn a_stream_has_happened_or_not() {
    at_every_await_point("a stream", 4, async |db| {
        let insert = statement("INSERT INTO todo VALUES (1, 'x') RETURNING id", []);
        let mut rows = db.stream_raw(insert).await.unwrap();
        while rows.try_next().await.unwrap().is_some() {}
    })
    .await;
}

#[tokio::test]
async fn a_text_has_happened_or_not() {
    for text in [
        "INSERT INTO todo VALUES (1, 'x'); SELECT 1",
        "BEGIN; INSERT INTO todo VALUES (1, 'x'); COMMIT",
        "INSERT INTO todo VALUES (1, 'x'); COMMIT; BEGIN; INSERT INTO todo VALUES (2, 'x')",
    ] {
        at_every_await_point(text, 1, async |db| {
            db.execute_unprepared(text).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_transaction_with_one_inside_has_happened_or_not() {
    at_every_await_point("a transaction", 7, async |db| {
        let tx = db.begin().await.unwrap();
        let nested = tx.begin().await.unwrap();
        insert(&nested, 1).await;
        nested.commit().await.unwrap();
        let dropped = tx.begin().await.unwrap();
        insert(&dropped, 2).await;
        drop(dropped);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_closure_has_happened_or_not() {
    at_every_await_point("a closure", 6, async |db| {
        db.transaction::<_, (), DbErr>(|tx| {
            Box::pin(async move {
                let failed = tx.transaction_async(async |tx| {
                    insert(tx, 2).await;
                    Err::<(), _>(DbErr::Custom("on purpose".to_owned()))
                });
                failed.await.unwrap_err();
                insert(tx, 1).await;
                Ok(())
            })
        })
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_cannot_be_rolled_back_alone_leaves_nothing_at_any_place() {
    at_every_await_point("overlapping transactions", 5, async |db| {
        let tx = db.begin().await.unwrap();
        let elder = tx.begin().await.unwrap();
        let younger = tx.begin().await.unwrap();
        insert(&younger, 2).await;
        elder.commit().await.unwrap();
        younger.rollback().await.unwrap_err();
        tx.commit().await.unwrap_err();
        insert(&db, 1).await;
    })
    .await;
}

/// A nested `begin` that is cancelled must not end the transaction around it, as sqlx's does.
#[tokio::test]
async fn a_transaction_goes_on_after_each_call_that_was_cancelled_in_it() {
    let app = App::new().await;
    let db = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = with_context(user(1), async {
            let tx = db.begin().await.unwrap();
            insert(&tx, 1).await;
            let done = cancelled_after(polls, async {
                let nested = tx.begin().await.unwrap();
                try_insert(&nested, 2, "y").await.unwrap();
                nested.rollback().await.unwrap();
            })
            .await;
            insert(&tx, 3).await;
            tx.commit().await.unwrap();
            done
        })
        .await;
        assert_eq!(
            app.changes().await,
            [[by(1, inserted(1, "x")), by(1, inserted(3, "x"))]],
            "after {polls} polls"
        );
        if done {
            return;
        }
    }
    panic!("never done");
}

/// One inside another is committed or rolled back, and not left to fail what comes after.
#[tokio::test]
async fn a_transaction_goes_on_after_the_commit_of_one_inside_was_cancelled() {
    let app = App::new().await;
    let db = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let done = with_context(user(1), async {
            let tx = db.begin().await.unwrap();
            let done = cancelled_after(polls, async {
                let nested = tx.begin().await.unwrap();
                insert(&nested, 1).await;
                nested.commit().await.unwrap();
            })
            .await;
            let again = tx.begin().await.unwrap();
            insert(&again, 2).await;
            again.rollback().await.unwrap();
            insert(&tx, 3).await;
            tx.commit().await.unwrap();
            done
        })
        .await;
        let mut changes = app.changes().await.remove(0);
        assert_eq!(changes.pop(), Some(by(1, inserted(3, "x"))), "after {polls} polls");
        assert!(all_or_nothing(&changes) && (!done || !changes.is_empty()), "{changes:?}");
        if done {
            return;
        }
    }
    panic!("never done");
}

/// The message of a cancelled write may have reached the server; it must not govern the next one.
#[tokio::test]
async fn the_context_of_a_cancelled_write_does_not_reach_the_next() {
    let app = App::new().await;
    let db = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let tx = db.begin().await.unwrap();
        with_context(user(1), insert(&tx, 1)).await;
        let done = cancelled_after(polls, with_context(user(2), insert(&tx, 2))).await;
        with_context(user(1), insert(&tx, 3)).await;
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
async fn a_cancelled_write_that_fails_does_not_spoil_what_comes_next() {
    let app = App::new().await;
    let db = relayed(&app).await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    app.journal().await;
    for polls in 1..POLLS_MAX {
        let done = with_context(user(1), async {
            let tx = db.begin().await.unwrap();
            let failing = async { assert!(try_insert(&tx, 1, "again").await.is_err()) };
            let done = cancelled_after(polls, failing).await;
            tx.rollback().await.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
            let failing = async { assert!(try_insert(&db, 1, "again").await.is_err()) };
            let done_too = cancelled_after(polls, failing).await;
            try_insert(&db, 2, "y")
                .await
                .unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
            done && done_too
        })
        .await;
        app.run("DELETE FROM todo WHERE id = 2").await;
        assert_eq!(app.idle_in_transaction().await, 0);
        if done {
            return;
        }
    }
    panic!("never done");
}

/// Whoever waits for the connection of a transaction may be cancelled, and so may the one who has it.
#[tokio::test]
async fn futures_of_one_transaction_are_cancelled_one_by_one() {
    let app = App::new().await;
    let db = relayed(&app).await;
    for polls in 1..POLLS_MAX {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let tx = db.begin().await.unwrap();
        let cancelled = cancelled_after(polls, with_context(user(2), insert(&tx, 2)));
        let others = async {
            with_context(user(1), insert(&tx, 1)).await;
            with_context(user(3), insert(&tx, 3)).await;
        };
        let (done, ()) = tokio::join!(cancelled, others);
        tx.commit().await.unwrap();
        let mut changes = app.changes().await.remove(0);
        changes.retain(|change| *change != by(2, inserted(2, "x")));
        assert_eq!(changes, [by(1, inserted(1, "x")), by(3, inserted(3, "x"))]);
        if done {
            return;
        }
    }
    panic!("never done");
}
