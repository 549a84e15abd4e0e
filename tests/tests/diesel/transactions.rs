//! Transactions, savepoints, and which message governs what in them.

use bemi_diesel::{add_context, with_context_sync};
use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Nullable, Text};

use crate::app::{App, Todo, insert, todo};

/// Inserts a row in the scope of this user.
fn insert_as(connection: &mut bemi_diesel::BemiPgConnection, user_id: i64, id: i32) {
    with_context_sync(user(user_id), || insert(connection, id)).unwrap();
}

#[tokio::test]
async fn a_transaction_has_one_message_as_long_as_the_context_stays_the_same() {
    let app = App::new().await;
    with_context_sync(user(1), || {
        app.connection().transaction(|connection| {
            insert(connection, 1)?;
            todo::table.load::<Todo>(connection)?;
            insert(connection, 2)?;
            diesel::delete(todo::table.find(1)).execute(connection)
        })
    })
    .unwrap();
    let journal = app.journal().await;
    assert_eq!(journal.len(), 1);
    assert_eq!((messages(&journal[0]), journal[0].len()), (1, 4));
}

#[tokio::test]
async fn with_the_statements_text_each_different_statement_has_its_own_message() {
    let app = App::new().await;
    with_context_sync(user(1), || {
        app.with_sql().transaction(|connection| {
            insert(connection, 1)?;
            insert(connection, 2)?;
            diesel::delete(todo::table.find(1)).execute(connection)
        })
    })
    .unwrap();
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (2, 5), "{journal:?}");
}

#[tokio::test]
async fn each_write_is_governed_by_the_scope_that_it_runs_in() {
    let app = App::new().await;
    app.connection()
        .transaction(|connection| {
            insert(connection, 1)?;
            insert_as(connection, 1, 2);
            insert(connection, 3)?;
            insert_as(connection, 2, 4);
            with_context_sync(user(2), || {
                insert(connection, 5)?;
                add_context([("user_id", 3)]);
                insert(connection, 6)
            })
        })
        .unwrap();
    assert_eq!(
        app.changes().await,
        [[
            by_nobody(inserted(1, "x")),
            by(1, inserted(2, "x")),
            by_nobody(inserted(3, "x")),
            by(2, inserted(4, "x")),
            by(2, inserted(5, "x")),
            by(3, inserted(6, "x")),
        ]]
    );
}

#[tokio::test]
async fn a_transaction_that_only_reads_gets_no_transaction_id() {
    let app = App::new().await;
    let xid = with_context_sync(user(1), || {
        app.connection().transaction(|connection| {
            todo::table.load::<Todo>(connection)?;
            diesel::select(sql::<Nullable<Text>>("pg_current_xact_id_if_assigned()::text"))
                .get_result::<Option<String>>(connection)
        })
    });
    assert_eq!(xid, Ok(None));
}

#[tokio::test]
async fn three_transactions_deep_what_is_rolled_back_takes_its_message_along() {
    let app = App::new().await;
    let roll_back = Err::<(), _>(Error::RollbackTransaction);
    app.connection()
        .transaction(|outer| {
            insert_as(outer, 1, 1);
            outer.transaction(|middle| {
                insert_as(middle, 2, 2);
                let inner = middle.transaction(|inner| {
                    insert_as(inner, 3, 3);
                    Err::<(), _>(Error::RollbackTransaction)
                });
                assert_eq!(inner, roll_back);
                // The message of user 2 governs again, that of user 3 does not exist.
                insert_as(middle, 2, 4);
                insert_as(middle, 3, 5);
                QueryResult::Ok(())
            })?;
            insert_as(outer, 3, 6);
            let undone = outer.transaction(|nested| {
                insert_as(nested, 7, 7);
                Err::<(), _>(Error::RollbackTransaction)
            });
            assert_eq!(undone, roll_back);
            insert_as(outer, 7, 8);
            QueryResult::Ok(())
        })
        .unwrap();

    let journal = app.journal().await;
    assert_eq!(messages(&journal[0]), 4, "of users 1, 2, 3 and 7: {journal:?}");
    assert_eq!(
        stitch(journal[0].clone()),
        [
            by(1, inserted(1, "x")),
            by(2, inserted(2, "x")),
            by(2, inserted(4, "x")),
            by(3, inserted(5, "x")),
            by(3, inserted(6, "x")),
            by(7, inserted(8, "x")),
        ]
    );
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_nothing() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let rolled_back = with_context_sync(user(1), || {
        connection.transaction(|connection| {
            insert(connection, 1)?;
            Err::<(), _>(Error::RollbackTransaction)
        })
    });
    assert_eq!(rolled_back, Err(Error::RollbackTransaction));
    assert!(!connection.is_in_transaction());
    assert!(app.journal().await.is_empty());
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn a_transaction_can_be_built() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let level = |connection: &mut _| {
        diesel::select(sql::<Text>("current_setting('transaction_isolation')"))
            .get_result::<String>(connection)
    };
    with_context_sync(user(1), || {
        let seen = connection.build_transaction().serializable().deferrable().run(|connection| {
            insert(connection, 1)?;
            assert!(connection.is_in_transaction());
            level(connection)
        });
        assert_eq!(seen.as_deref(), Ok("serializable"));
        assert_eq!(level(connection).as_deref(), Ok("read committed"));
        let nested = connection
            .transaction(|connection| connection.build_transaction().run(|_| QueryResult::Ok(())));
        assert_eq!(nested, Err(Error::AlreadyInTransaction));
    });
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn in_a_read_only_transaction_a_write_fails_as_with_plain_diesel() {
    let app = App::new().await;
    let ours = with_context_sync(user(1), || {
        app.connection().build_transaction().read_only().run(|connection| insert(connection, 1))
    });
    let plain = app.plain().build_transaction().read_only().run(|connection| {
        diesel::insert_into(todo::table)
            .values((todo::id.eq(1), todo::task.eq("x")))
            .execute(connection)
    });
    assert_eq!(ours, plain);
    assert!(ours.unwrap_err().to_string().contains("read-only transaction"));
}

#[tokio::test]
async fn a_test_transaction_is_one_of_the_libraries_own() {
    let app = App::new().await;
    let connection = &mut app.connection();
    connection.begin_test_transaction().unwrap();
    with_context_sync(user(1), || insert(connection, 1)).unwrap();
    assert_eq!(todo::table.count().get_result(connection), Ok(1_i64));
    connection.test_transaction(|connection| with_context_sync(user(2), || insert(connection, 2)));
    let only: i32 = todo::table.select(todo::id).get_result(connection).unwrap();
    assert_eq!(only, 1);
    AnsiTransactionManager::rollback_transaction(connection).unwrap();
    assert_eq!(todo::table.count().get_result(connection), Ok(0_i64));
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn a_transaction_that_was_open_before_the_connection_was_wrapped_is_seen() {
    let app = App::new().await;
    let mut plain = app.plain();
    AnsiTransactionManager::begin_transaction(&mut plain).unwrap();
    let connection = &mut bemi_diesel::BemiPgConnection::new(plain);
    insert_as(connection, 1, 1);
    insert_as(connection, 2, 2);
    AnsiTransactionManager::commit_transaction(connection).unwrap();
    insert_as(connection, 3, 3);
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "x")), by(2, inserted(2, "x"))], vec![by(3, inserted(3, "x"))]]
    );
}

#[tokio::test]
async fn what_the_untracked_connection_writes_has_no_context_of_its_own() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        let write = "INSERT INTO todo VALUES (1, 'x')";
        connection.untracked().batch_execute(write).unwrap();
        insert(connection, 2).unwrap();
        connection
            .transaction(|connection| {
                insert(connection, 3)?;
                let emit = "SELECT pg_logical_emit_message(true, '_bemi', '{}')";
                connection.untracked().batch_execute(emit)?;
                insert(connection, 4)
            })
            .unwrap();
    });
    assert_eq!(
        app.changes().await,
        [
            vec![by_nobody(inserted(1, "x"))],
            vec![by(1, inserted(2, "x"))],
            vec![by(1, inserted(3, "x")), by(1, inserted(4, "x"))]
        ]
    );
}
