//! Pools of r2d2.

use std::time::Duration;

use bemi_diesel::{BemiPgConnection, Settings, current_context, with_context_sync};
use bemi_tests::journal::{by, inserted, messages, user};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::sql_types::Integer;

use crate::app::{App, a_todo, insert, todo};

fn pool(app: &App, connections: u32) -> Pool<ConnectionManager<BemiPgConnection>> {
    Pool::builder()
        .max_size(connections)
        .connection_timeout(Duration::from_secs(20))
        .connection_customizer(Box::new(Settings::new().without_sql()))
        .build(ConnectionManager::new(app.database.url()))
        .unwrap()
}

#[tokio::test]
async fn fifty_threads_on_five_connections_each_write_under_their_own_context() {
    let app = App::new().await;
    let pool = pool(&app, 5);
    std::thread::scope(|threads| {
        for id in 0..50 {
            let pool = pool.clone();
            threads.spawn(move || {
                with_context_sync(user(id), || {
                    let connection = &mut pool.get().unwrap();
                    diesel::insert_into(todo::table)
                        .values(a_todo(id, "x"))
                        .execute(connection)
                        .unwrap();
                    connection
                        .transaction(|connection| {
                            diesel::insert_into(todo::table)
                                .values(a_todo(id + 100, "y"))
                                .execute(connection)
                        })
                        .unwrap();
                });
            });
        }
    });
    assert_eq!(current_context(), None);
    let mut changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    changes.sort();
    let mut expected: Vec<_> = (0..50)
        .flat_map(|id| [by(id.into(), inserted(id, "x")), by(id.into(), inserted(id + 100, "y"))])
        .collect();
    expected.sort();
    assert_eq!(changes, expected);
}

#[tokio::test]
async fn the_settings_of_a_pool_are_those_of_its_connections() {
    let app = App::new().await;
    with_context_sync(user(1), || {
        pool(&app, 1)
            .get()
            .unwrap()
            .transaction(|connection| {
                insert(connection, 1)?;
                diesel::delete(todo::table).execute(connection)
            })
            .unwrap();
    });
    assert_eq!(messages(&app.journal().await[0]), 1, "without the statement's text");
}

#[tokio::test]
async fn a_pooled_connection_is_as_good_as_any() {
    let app = App::new().await;
    let connection = &mut pool(&app, 1).get().unwrap();
    with_context_sync(user(1), || {
        diesel::insert_into(todo::table).values(a_todo(1, "x")).execute(connection).unwrap();
        diesel::copy_from(todo::table)
            .from_insertable(vec![a_todo(2, "x")])
            .execute(connection)
            .unwrap();
        connection.batch_execute("INSERT INTO todo VALUES (3, 'x')").unwrap();
        connection
            .build_transaction()
            .repeatable_read()
            .run(|connection| insert(connection, 4))
            .unwrap();
    });
    assert_eq!(app.changes().await, [1, 2, 3, 4].map(|id| [by(1, inserted(id, "x"))]));
}

fn pid(connection: &mut BemiPgConnection) -> i32 {
    diesel::select(sql::<Integer>("pg_backend_pid()")).get_result(connection).unwrap()
}

#[tokio::test]
async fn a_connection_goes_back_after_an_error_and_not_inside_a_transaction() {
    let app = App::new().await;
    let pool = pool(&app, 1);
    let mut connection = pool.get().unwrap();
    let first = pid(&mut connection);
    with_context_sync(user(1), || {
        insert(&mut connection, 1).unwrap();
        insert(&mut connection, 1).unwrap_err();
    });
    drop(connection);
    let mut connection = pool.get().unwrap();
    assert_eq!(pid(&mut connection), first);

    with_context_sync(user(1), || {
        connection.batch_execute("BEGIN; INSERT INTO todo VALUES (2, 'x')").unwrap();
    });
    drop(connection);
    let mut connection = pool.get().unwrap();
    assert_ne!(pid(&mut connection), first);
    with_context_sync(user(1), || insert(&mut connection, 3)).unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn the_connection_of_a_killed_backend_is_replaced() {
    let app = App::new().await;
    let pool = pool(&app, 1);
    let mut connection = pool.get().unwrap();
    let pid = pid(&mut connection);
    app.client.execute("SELECT pg_terminate_backend($1, 10000)", &[&pid]).await.unwrap();
    with_context_sync(user(1), || insert(&mut connection, 1)).unwrap_err();
    drop(connection);
    with_context_sync(user(1), || insert(&mut pool.get().unwrap(), 2)).unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}
