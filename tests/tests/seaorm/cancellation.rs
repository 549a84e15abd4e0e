//! Futures that are dropped before they are done, at every place where they can be.
//!
//! The pools here reach the server through a relay in the test's own thread: an answer can only come while the future that waits
//! for it is suspended, so that each round trip is a place to cancel it, every time.

use std::time::Duration;

use bemi_seaorm::{BemiDatabaseConnection, with_context};
use bemi_tests::journal::{by, inserted, user};
use bemi_tests::{
    Relay, at_each_await_point, cancelled_after, eventually, happened_or_not,
    happens_or_not_at_each_await_point, shared_cluster,
};
use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DbErr, StreamTrait, TransactionTrait};

use crate::app::{App, insert, one_connection, statement, try_insert};

/// On a pool of one connection.
async fn relayed(app: &App) -> BemiDatabaseConnection {
    let relay = Relay::start(shared_cluster()).await;
    one_connection(&relay.url(&app.database.url())).await
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
    happens_or_not_at_each_await_point(&app, what, round_trips, async |polls| {
        let done = cancelled_after(polls, with_context(user(1), operation(db.clone()))).await;
        eventually(Duration::from_secs(10), "the connection to return to the pool", async || {
            (usize::try_from(pool.size()) == Ok(pool.num_idle())).then_some(())
        })
        .await;
        assert_eq!(app.idle_in_transaction().await, 0, "{what}: after {polls} polls");
        with_context(user(2), try_insert(&db, 100, "after")).await.unwrap_or_else(|error| {
            panic!("{what}: after {polls} polls the pool does not work: {error}")
        });
        done
    })
    .await;
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
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}

/// One inside another is committed or rolled back, and not left to fail what comes after.
#[tokio::test]
async fn a_transaction_goes_on_after_the_commit_of_one_inside_was_cancelled() {
    let app = App::new().await;
    let db = relayed(&app).await;
    at_each_await_point(async |polls| {
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
        assert!(happened_or_not(&changes) && (!done || !changes.is_empty()), "{changes:?}");
        done
    })
    .await;
}

/// The message of a cancelled write may have reached the server; it must not govern the next one.
#[tokio::test]
async fn the_context_of_a_cancelled_write_does_not_reach_the_next() {
    let app = App::new().await;
    let db = relayed(&app).await;
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}

/// What was cancelled fails later, and sqlx hands that error to the next caller: here to our own rollback.
#[tokio::test]
async fn a_cancelled_write_that_fails_does_not_spoil_what_comes_next() {
    let app = App::new().await;
    let db = relayed(&app).await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    app.journal().await;
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}

/// Whoever waits for the connection of a transaction may be cancelled, and so may the one who has it.
#[tokio::test]
async fn futures_of_one_transaction_are_cancelled_one_by_one() {
    let app = App::new().await;
    let db = relayed(&app).await;
    at_each_await_point(async |polls| {
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
        done
    })
    .await;
}
