//! Futures that are dropped before they are done, at every place where they can be.
//!
//! The clients here reach the server through a relay in the test's own thread: an answer can only come while the future that waits
//! for it is suspended, so that each round trip is a place to cancel it, every time.

use std::pin::pin;

use bemi_tests::journal::{by, inserted, user};
use bemi_tests::{
    Relay, at_each_await_point, cancelled_after, happens_or_not_at_each_await_point, shared_cluster,
};
use bemi_tokio_postgres::{BemiClient, Settings, with_context};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::NoTls;

use crate::app::{App, INSERT};

async fn relayed(app: &App) -> BemiClient {
    let relay = Relay::start(shared_cluster()).await;
    let url = relay.url(&app.database.url());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    BemiClient::new(client).with_settings(Settings::new().without_sql())
}

/// Drops `operation` at each of its await points in turn. After each, the client must work, no transaction may be open, and
/// what was written must be there with its context, or not at all. If it was dropped with all of it sent, it must be there.
async fn at_every_await_point(
    what: &str,
    round_trips: usize,
    operation: impl AsyncFn(&mut BemiClient),
) {
    let app = App::new().await;
    let mut client = relayed(&app).await;
    happens_or_not_at_each_await_point(&app, what, round_trips, async |polls| {
        let done = cancelled_after(polls, with_context(user(1), operation(&mut client))).await;
        with_context(user(2), client.execute(INSERT, &[&100, &"after"])).await.unwrap_or_else(
            |error| panic!("{what}: after {polls} polls the client does not work: {error}"),
        );
        assert!(!client.is_in_transaction(), "{what}: after {polls} polls");
        done
    })
    .await;
}

#[tokio::test]
async fn an_autocommit_write_has_happened_or_not() {
    at_every_await_point("a write", 2, async |client| {
        client.execute(INSERT, &[&1, &"x"]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_write_with_types_has_happened_or_not() {
    at_every_await_point("a write", 1, async |client| {
        client.execute_typed("INSERT INTO todo VALUES (1, 'x')", &[]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_happened_or_not() {
    at_every_await_point("a stream", 2, async |client| {
        let sql = "INSERT INTO todo VALUES ($1, 'x') RETURNING id";
        let mut rows = pin!(client.query_raw(sql, [1]).await.unwrap());
        while rows.try_next().await.unwrap().is_some() {}
    })
    .await;
}

#[tokio::test]
async fn a_simple_text_has_happened_or_not() {
    at_every_await_point("a text", 1, async |client| {
        client.batch_execute("INSERT INTO todo VALUES (1, 'x'); SELECT 1").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_script_has_happened_or_not() {
    at_every_await_point("a script", 1, async |client| {
        client.batch_execute("BEGIN; INSERT INTO todo VALUES (1, 'x'); COMMIT").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_one_inside_has_happened_or_not() {
    at_every_await_point("a transaction", 7, async |client| {
        let mut tx = client.transaction().await.unwrap();
        let nested = tx.transaction().await.unwrap();
        nested.execute(INSERT, &[&1, &"x"]).await.unwrap();
        nested.commit().await.unwrap();
        let dropped = tx.transaction().await.unwrap();
        dropped.execute(INSERT, &[&2, &"x"]).await.unwrap();
        drop(dropped);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_copy_has_happened_or_not() {
    at_every_await_point("a copy", 3, async |client| {
        let mut sink = pin!(client.copy_in("COPY todo FROM STDIN").await.unwrap());
        sink.send(Bytes::from_static(b"1\tx\n")).await.unwrap();
        sink.finish().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing_wherever_it_is_cancelled() {
    let app = App::new().await;
    let client = relayed(&app).await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    app.journal().await;
    at_each_await_point(async |polls| {
        let done = cancelled_after(polls, async {
            with_context(user(1), client.execute(INSERT, &[&1, &"x"])).await.unwrap_err();
        })
        .await;
        client.execute(INSERT, &[&2, &"y"]).await.unwrap();
        app.run("DELETE FROM todo WHERE id = 2").await;
        assert_eq!(app.idle_in_transaction().await, 0, "after {polls} polls");
        done
    })
    .await;
}

/// The transaction goes on, with or without what was cancelled in it.
#[tokio::test]
async fn a_transaction_goes_on_after_each_call_that_was_cancelled_in_it() {
    let app = App::new().await;
    let mut client = relayed(&app).await;
    at_each_await_point(async |polls| {
        app.run("TRUNCATE todo").await;
        app.journal().await;
        let mut tx = client.transaction().await.unwrap();
        with_context(user(1), tx.execute(INSERT, &[&1, &"x"])).await.unwrap();
        let nested = with_context(user(2), async {
            let nested = tx.transaction().await.unwrap();
            nested.execute(INSERT, &[&2, &"y"]).await.unwrap();
            nested.rollback().await.unwrap();
        });
        let done = cancelled_after(polls, nested).await;
        let write = with_context(user(2), async {
            tx.execute(INSERT, &[&3, &"x"]).await.unwrap();
        });
        let written = cancelled_after(polls, write).await;
        with_context(user(1), tx.execute(INSERT, &[&4, &"z"])).await.unwrap();
        tx.commit().await.unwrap();
        let mut changes = app.changes().await.remove(0);
        let there = changes.contains(&by(2, inserted(3, "x")));
        assert!(there || !written, "after {polls} polls: {changes:?}");
        changes.retain(|change| *change != by(2, inserted(3, "x")));
        assert_eq!(
            changes,
            [by(1, inserted(1, "x")), by(1, inserted(4, "z"))],
            "after {polls} polls"
        );
        done && written
    })
    .await;
}
