//! Transactions of the caller's own, and those inside them.

use bemi_seaorm::{BemiDatabaseTransaction, ContextFutureExt, add_context, with_context};
use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};
use futures_util::future::{join, try_join_all};
use sea_orm::{
    AccessMode, ConnectionTrait, DbErr, IsolationLevel, TransactionError, TransactionOptions,
    TransactionTrait,
};

use crate::app::{App, insert, statement, try_insert};

#[tokio::test]
async fn a_transaction_has_one_message_as_long_as_the_context_stays_the_same() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        for id in 1..=3 {
            insert(&tx, id).await;
        }
        tx.commit().await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!(journal.len(), 1);
    assert_eq!((messages(&journal[0]), journal[0].len()), (1, 4));
}

#[tokio::test]
async fn with_the_statements_text_each_different_statement_has_its_own_message() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.with_sql().begin().await.unwrap();
        insert(&tx, 1).await;
        insert(&tx, 2).await;
        tx.execute_raw(statement("DELETE FROM todo WHERE id = $1", [1.into()])).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (2, 5), "{journal:?}");
}

#[tokio::test]
async fn each_write_is_governed_by_the_scope_that_it_runs_in() {
    let app = App::new().await;
    let tx = app.db.begin().await.unwrap();
    insert(&tx, 1).await;
    insert(&tx, 2).with_context(user(1)).await;
    insert(&tx, 3).await;
    with_context(user(2), async {
        insert(&tx, 4).await;
        add_context([("user_id", 3)]);
        insert(&tx, 5).await;
    })
    .await;
    tx.commit().await.unwrap();
    assert_eq!(
        app.changes().await,
        [[
            by_nobody(inserted(1, "x")),
            by(1, inserted(2, "x")),
            by_nobody(inserted(3, "x")),
            by(2, inserted(4, "x")),
            by(3, inserted(5, "x")),
        ]]
    );
}

#[tokio::test]
async fn a_transaction_that_only_reads_gets_no_transaction_id() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        tx.query_all_raw(statement("SELECT * FROM todo WHERE id = $1", [1.into()])).await.unwrap();
        let read = "SELECT pg_current_xact_id_if_assigned()::text AS xid";
        let row = tx.query_one_raw(statement(read, [])).await.unwrap().unwrap();
        assert_eq!(row.try_get::<Option<String>>("", "xid").unwrap(), None);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn three_transactions_deep_what_is_rolled_back_takes_its_message_along() {
    let app = App::new().await;
    let outer = app.db.begin().await.unwrap();
    insert(&outer, 1).with_context(user(1)).await;
    let middle = outer.begin().await.unwrap();
    insert(&middle, 2).with_context(user(2)).await;
    let inner = middle.begin().await.unwrap();
    insert(&inner, 3).with_context(user(3)).await;
    inner.rollback().await.unwrap();
    // The message of user 2 governs again, that of user 3 does not exist.
    insert(&middle, 4).with_context(user(2)).await;
    insert(&middle, 5).with_context(user(3)).await;
    middle.commit().await.unwrap();
    insert(&outer, 6).with_context(user(3)).await;
    let dropped = outer.begin().await.unwrap();
    insert(&dropped, 7).with_context(user(7)).await;
    drop(dropped);
    insert(&outer, 8).with_context(user(7)).await;
    outer.commit().await.unwrap();

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
async fn a_transaction_that_is_dropped_or_rolled_back_leaves_nothing_and_keeps_its_connection() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let pid = || statement("SELECT pg_backend_pid() AS pid", []);
        let dropped = app.db.begin().await.unwrap();
        let before = dropped.query_one_raw(pid()).await.unwrap().unwrap();
        insert(&dropped, 1).await;
        drop(dropped);
        let rolled_back = app.db.begin().await.unwrap();
        insert(&rolled_back, 1).await;
        rolled_back.rollback().await.unwrap();
        let after = app.db.query_one_raw(pid()).await.unwrap().unwrap();
        let pid = |row: sea_orm::QueryResult| row.try_get::<i32>("", "pid").unwrap();
        assert_eq!(pid(before), pid(after));
    })
    .await;
    assert!(app.journal().await.is_empty());
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn closures_commit_what_succeeds_and_roll_back_what_fails() {
    let app = App::new().await;
    with_context(user(1), async {
        let value = app
            .db
            .transaction::<_, i32, DbErr>(|tx| {
                Box::pin(async move {
                    insert(tx, 1).await;
                    let inside = tx.transaction::<_, (), DbErr>(|tx| {
                        Box::pin(async move {
                            insert(tx, 2).await;
                            Err(DbErr::Custom("on purpose".to_owned()))
                        })
                    });
                    assert!(matches!(inside.await, Err(TransactionError::Transaction(_))));
                    insert(tx, 3).await;
                    Ok(7)
                })
            })
            .await
            .unwrap();
        assert_eq!(value, 7);
        let failed = app.db.transaction_async(async |tx| {
            insert(tx, 4).await;
            tx.transaction_async(async |tx| try_insert(tx, 1, "again").await).await.map_err(
                |error| match error {
                    TransactionError::Transaction(error) | TransactionError::Connection(error) => {
                        error
                    }
                },
            )
        });
        assert!(matches!(failed.await, Err(TransactionError::Transaction(_))));
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn isolation_and_access_mode_are_those_that_were_asked_for() {
    let app = App::new().await;
    async fn modes(tx: &impl ConnectionTrait) -> (String, String) {
        let sql = "SELECT current_setting('transaction_isolation') AS level, \
                   current_setting('transaction_read_only') AS read_only";
        let row = tx.query_one_raw(statement(sql, [])).await.unwrap().unwrap();
        (row.try_get("", "level").unwrap(), row.try_get("", "read_only").unwrap())
    }
    let levels = [
        None,
        Some(IsolationLevel::ReadCommitted),
        Some(IsolationLevel::RepeatableRead),
        Some(IsolationLevel::Serializable),
    ];
    for isolation_level in levels {
        for access_mode in [None, Some(AccessMode::ReadOnly), Some(AccessMode::ReadWrite)] {
            let plain = app.plain.begin_with_config(isolation_level, access_mode).await.unwrap();
            let ours = app.db.begin_with_config(isolation_level, access_mode).await.unwrap();
            assert_eq!(modes(&ours).await, modes(&plain).await);
            let options = TransactionOptions { isolation_level, access_mode, ..Default::default() };
            let ours = app.db.begin_with_options(options).await.unwrap();
            assert_eq!(modes(&ours).await, modes(&plain).await);
        }
    }
    let tx = app.db.begin().await.unwrap();
    let inside = tx.begin_with_config(None, Some(AccessMode::ReadOnly)).await.unwrap();
    assert_eq!(modes(&inside).await.1, "on");
    inside.commit().await.unwrap();
    assert_eq!(modes(&tx).await.1, "off");
}

#[tokio::test]
async fn in_a_read_only_transaction_a_write_fails_as_with_plain_sea_orm() {
    let app = App::new().await;
    with_context(user(1), async {
        let read_only = Some(AccessMode::ReadOnly);
        let plain = app.plain.begin_with_config(None, read_only).await.unwrap();
        let ours = app.db.begin_with_config(None, read_only).await.unwrap();
        let plain_error = try_insert(&plain, 1, "x").await.unwrap_err();
        assert_eq!(try_insert(&ours, 1, "x").await.unwrap_err(), plain_error);
        ours.rollback().await.unwrap();
    })
    .await;
    assert!(app.journal().await.is_empty());
}

/// Where it is read only, nothing is emitted: the transaction around does not have the message.
#[tokio::test]
async fn what_was_not_emitted_in_a_read_only_transaction_is_emitted_in_the_one_around_it() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        tx.execute_unprepared("CREATE TEMPORARY TABLE scratch (id int)").await.unwrap();
        let inside = tx.begin_with_config(None, Some(AccessMode::ReadOnly)).await.unwrap();
        inside.execute_raw(statement("INSERT INTO scratch VALUES ($1)", [1.into()])).await.unwrap();
        inside.commit().await.unwrap();
        insert(&tx, 1).await;
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn an_isolation_level_inside_a_transaction_is_refused_and_the_transaction_goes_on() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        insert(&tx, 1).await;
        let level = Some(IsolationLevel::Serializable);
        let plain = app.plain.begin().await.unwrap();
        plain.query_one_raw(statement("SELECT 1", [])).await.unwrap();
        let plain_error = plain.begin_with_config(level, None).await.unwrap_err();
        assert_eq!(tx.begin_with_config(level, None).await.unwrap_err(), plain_error);
        insert(&tx, 2).await;
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn futures_of_one_transaction_may_run_at_the_same_time() {
    let app = App::new().await;
    let tx = app.db.begin().await.unwrap();
    let writes = (1..=20).map(|id| {
        let tx = &tx;
        async move { try_insert(tx, id, "x").with_context(user(id)).await }
    });
    try_join_all(writes).await.unwrap();
    tx.commit().await.unwrap();
    let changes = app.changes().await.remove(0);
    let expected: Vec<_> = (1..=20).map(|id| by(i64::from(id), inserted(id, "x"))).collect();
    assert_eq!(changes, expected);
}

/// As in `try_join_all(models.map(|model| model.save(&tx)))`, where each makes a transaction inside.
#[tokio::test]
async fn transactions_that_overlap_inside_another_are_all_committed_with_it() {
    let app = App::new().await;
    let tx = app.db.begin().await.unwrap();
    let write = |id: i32| {
        let tx = &tx;
        async move {
            let inside = tx.begin().await.unwrap();
            insert(&inside, id).await;
            inside.commit().await.unwrap();
        }
    };
    with_context(user(1), join(write(1), write(2))).await;
    tx.commit().await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "x"))]]);
}

async fn overlapping(app: &App) -> [BemiDatabaseTransaction; 3] {
    let tx = app.db.begin().await.unwrap();
    let elder = tx.begin().await.unwrap();
    let younger = tx.begin().await.unwrap();
    insert(&elder, 1).await;
    insert(&younger, 2).await;
    [tx, elder, younger]
}

#[tokio::test]
async fn a_transaction_that_cannot_be_rolled_back_alone_takes_all_with_it() {
    let app = App::with_connections(1).await;
    let [tx, elder, younger] = overlapping(&app).await;
    elder.commit().await.unwrap();
    let refused = younger.rollback().await.unwrap_err();
    assert!(refused.to_string().contains("do not let nested transactions overlap"), "{refused}");
    let over = try_insert(&tx, 3, "x").await.unwrap_err();
    assert!(over.to_string().contains("this transaction is over"), "{over}");
    assert!(tx.commit().await.unwrap_err().to_string().contains("this transaction is over"));

    let [tx, elder, younger] = overlapping(&app).await;
    elder.commit().await.unwrap();
    drop(younger);
    assert!(tx.commit().await.is_err());
    insert(&app.db, 4).await;
    assert_eq!(app.changes().await, [[by_nobody(inserted(4, "x"))]]);
}

#[tokio::test]
async fn a_transaction_inside_one_that_was_rolled_back_is_over() {
    let app = App::with_connections(1).await;
    let [tx, elder, younger] = overlapping(&app).await;
    elder.rollback().await.unwrap();
    assert!(try_insert(&younger, 3, "x").await.is_err());
    assert!(younger.commit().await.is_err());
    insert(&tx, 4).await;
    tx.commit().await.unwrap();

    let [tx, elder, younger] = overlapping(&app).await;
    drop(tx);
    assert!(try_insert(&younger, 3, "x").await.is_err());
    younger.rollback().await.unwrap();
    assert!(elder.commit().await.is_err());
    insert(&app.db, 5).await;
    assert_eq!(app.changes().await, [[by_nobody(inserted(4, "x"))], [by_nobody(inserted(5, "x"))]]);
}

/// As in plain sea-orm, where what cannot be committed is rolled back when it is dropped.
#[tokio::test]
async fn a_failed_one_inside_is_rolled_back_by_its_commit_and_the_one_around_goes_on() {
    let app = App::new().await;
    let tx = app.db.begin().await.unwrap();
    let inside = tx.begin().await.unwrap();
    insert(&inside, 1).await;
    try_insert(&inside, 1, "again").await.unwrap_err();
    inside.commit().await.unwrap_err();
    insert(&tx, 2).await;
    tx.commit().await.unwrap();
    assert_eq!(app.changes().await, [[by_nobody(inserted(2, "x"))]]);
}

#[tokio::test]
async fn transactions_that_are_divided_as_text_are_followed() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        for text in [
            "INSERT INTO todo VALUES (1, 'x')",
            "SAVEPOINT a",
            "INSERT INTO todo VALUES (2, 'x')",
            "ROLLBACK TO SAVEPOINT a",
            "INSERT INTO todo VALUES (3, 'x')",
            "COMMIT AND CHAIN",
            "INSERT INTO todo VALUES (4, 'x')",
        ] {
            tx.execute_raw(statement(text, [])).await.unwrap();
        }
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "x")), by(1, inserted(3, "x"))], vec![by(1, inserted(4, "x"))],]
    );
}

#[tokio::test]
async fn a_procedure_commits_as_it_likes_and_has_the_context_of_a_transaction_that_is_open() {
    let app = App::new().await;
    app.run(
        "CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO todo VALUES (1, 'x'); COMMIT; INSERT INTO todo VALUES (2, 'x'); END $$;
         CREATE PROCEDURE writes() LANGUAGE sql AS $$ INSERT INTO todo VALUES (3, 'x') $$",
    )
    .await;
    with_context(user(1), async {
        app.db.execute_unprepared("CALL commits()").await.unwrap();
        let tx = app.db.begin().await.unwrap();
        tx.execute_raw(statement("CALL writes()", [])).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [[by_nobody(inserted(1, "x"))], [by_nobody(inserted(2, "x"))], [by(1, inserted(3, "x"))]]
    );
}
