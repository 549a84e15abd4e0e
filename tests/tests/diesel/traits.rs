//! What else diesel's connection can do, a connection of ours can.

use std::sync::{Arc, Mutex};

use bemi_diesel::{BemiPgConnection, with_context_sync};
use bemi_tests::journal::{by, inserted, user};
use diesel::connection::{InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;

use crate::app::{App, Todo, a_todo, insert, todo};

#[derive(diesel::MultiConnection)]
enum Either {
    Ours(BemiPgConnection),
    Plain(PgConnection),
}

#[tokio::test]
async fn it_can_be_one_of_several_kinds() {
    let app = App::new().await;
    for connection in [Either::Ours(app.connection()), Either::Plain(app.plain())] {
        let connection = &mut { connection };
        with_context_sync(user(1), || {
            let new = (todo::id.eq(1), todo::task.eq("x"));
            diesel::insert_into(todo::table).values(new).execute(connection).unwrap();
            let all: Vec<(i32, Option<String>)> = todo::table.load(connection).unwrap();
            assert_eq!(all, [(1, Some("x".to_owned()))]);
            diesel::delete(todo::table).execute(connection).unwrap();
        });
    }
    let changes = app.changes().await;
    assert_eq!(changes[..2], [[by(1, inserted(1, "x"))], [by(1, "todo: DELETE: id:1")]]);
    assert_eq!(changes.len(), 4);
}

#[tokio::test]
async fn instrumentation_sees_what_is_sent_around_a_write() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&seen);
    connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let event = match event {
            InstrumentationEvent::BeginTransaction { depth, .. } => format!("begin {depth}"),
            InstrumentationEvent::CommitTransaction { depth, .. } => format!("commit {depth}"),
            InstrumentationEvent::RollbackTransaction { depth, .. } => format!("rollback {depth}"),
            InstrumentationEvent::FinishQuery { error, .. } => format!("query {}", error.is_none()),
            _ => return,
        };
        events.lock().unwrap().push(event);
    });
    with_context_sync(user(1), || {
        insert(connection, 1).unwrap();
        insert(connection, 1).unwrap_err();
        connection.transaction(|connection| insert(connection, 2)).unwrap();
    });
    let begin = ["begin 1", "query true"];
    let expected = [
        [&begin[..], &["query true", "commit 1", "query true"]].concat(),
        [&begin[..], &["query false", "rollback 1", "query true"]].concat(),
        [&begin[..], &["query true", "query true", "commit 1", "query true"]].concat(),
    ];
    assert_eq!(*seen.lock().unwrap(), expected.concat());
}

#[tokio::test]
async fn notifications_are_received() {
    let app = App::new().await;
    let connection = &mut app.connection();
    connection.batch_execute("LISTEN news; NOTIFY news, 'first'").unwrap();
    let news: Vec<_> =
        connection.notifications_iter().map(|notification| notification.unwrap().payload).collect();
    assert_eq!(news, ["first"]);
}

#[tokio::test]
async fn without_a_cache_of_prepared_statements_everything_runs_as_well() {
    let app = App::new().await;
    let connection = &mut app.connection();
    connection.set_prepared_statement_cache_size(diesel::connection::CacheSize::Disabled);
    with_context_sync(user(1), || {
        for id in [1, 2] {
            insert(connection, id).unwrap();
        }
        let all: Vec<Todo> = todo::table.order(todo::id).load(connection).unwrap();
        assert_eq!(all, [a_todo(1, "x"), a_todo(2, "x")]);
    });
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(2, "x"))]]);
}
