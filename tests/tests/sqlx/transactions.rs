//! Transactions, savepoints, and which message governs what in them.

use bemi_sqlx::{BemiTransaction, ContextFutureExt, add_context, with_context};
use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};
use sqlx::{Connection, Executor, Row};

use crate::app::App;

async fn insert(tx: &mut BemiTransaction<'_>, id: i32) {
    sqlx::query("INSERT INTO todo VALUES ($1, 'x')").bind(id).execute(&mut **tx).await.unwrap();
}

#[tokio::test]
async fn a_transaction_has_one_message_as_long_as_the_context_stays_the_same() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.pool.begin().await.unwrap();
        for id in 1..=3 {
            insert(&mut tx, id).await;
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
        let mut tx = app.with_sql().begin().await.unwrap();
        insert(&mut tx, 1).await;
        insert(&mut tx, 2).await;
        sqlx::query("DELETE FROM todo WHERE id = $1").bind(1).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (2, 5), "{journal:?}");
}

#[tokio::test]
async fn each_write_is_governed_by_the_scope_that_it_runs_in() {
    let app = App::new().await;
    let mut tx = app.pool.begin().await.unwrap();
    insert(&mut tx, 1).await;
    insert(&mut tx, 2).with_context(user(1)).await;
    insert(&mut tx, 3).await;
    insert(&mut tx, 4).with_context(user(2)).await;
    with_context(user(2), async {
        insert(&mut tx, 5).await;
        add_context([("user_id", 3)]);
        insert(&mut tx, 6).await;
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
            by(2, inserted(5, "x")),
            by(3, inserted(6, "x")),
        ]]
    );
}

#[tokio::test]
async fn a_transaction_that_only_reads_gets_no_transaction_id() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.pool.begin().await.unwrap();
        sqlx::query("SELECT * FROM todo WHERE id = $1").bind(1).fetch_all(&mut *tx).await.unwrap();
        let xid: Option<String> =
            sqlx::query_scalar("SELECT pg_current_xact_id_if_assigned()::text")
                .fetch_one(&mut *tx)
                .await
                .unwrap();
        assert_eq!(xid, None);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn three_transactions_deep_what_is_rolled_back_takes_its_message_along() {
    let app = App::new().await;
    let mut outer = app.pool.begin().await.unwrap();
    insert(&mut outer, 1).with_context(user(1)).await;
    let mut middle = outer.begin().await.unwrap();
    insert(&mut middle, 2).with_context(user(2)).await;
    let mut inner = middle.begin().await.unwrap();
    insert(&mut inner, 3).with_context(user(3)).await;
    inner.rollback().await.unwrap();
    // The message of user 2 governs again, that of user 3 does not exist.
    insert(&mut middle, 4).with_context(user(2)).await;
    insert(&mut middle, 5).with_context(user(3)).await;
    middle.commit().await.unwrap();
    insert(&mut outer, 6).with_context(user(3)).await;
    let mut dropped = outer.begin().await.unwrap();
    insert(&mut dropped, 7).with_context(user(7)).await;
    drop(dropped);
    insert(&mut outer, 8).with_context(user(7)).await;
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
async fn after_a_rollback_to_a_savepoint_the_next_write_emits_what_was_undone() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.pool.begin().await.unwrap();
        for keep in [false, true] {
            let mut nested = tx.begin().await.unwrap();
            insert(&mut nested, 1).await;
            if keep { nested.commit().await.unwrap() } else { nested.rollback().await.unwrap() }
        }
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_or_rolled_back_leaves_nothing() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut dropped = app.pool.begin().await.unwrap();
        insert(&mut dropped, 1).await;
        drop(dropped);
        let mut rolled_back = app.pool.begin().await.unwrap();
        insert(&mut rolled_back, 1).await;
        rolled_back.rollback().await.unwrap();
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM todo").fetch_one(&app.pool).await.unwrap();
        assert_eq!(count, 0);
    })
    .await;
    assert!(app.journal().await.is_empty());
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn the_connection_of_a_dropped_transaction_is_kept() {
    let app = App::with_connections(1).await;
    let pid = "SELECT pg_backend_pid()";
    let mut tx = app.pool.begin().await.unwrap();
    let before: i32 = sqlx::query_scalar(pid).fetch_one(&mut *tx).await.unwrap();
    insert(&mut tx, 1).await;
    drop(tx);
    let after: i32 = sqlx::query_scalar(pid).fetch_one(&app.pool).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_transaction_can_be_begun_with_a_statement_of_ones_own() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await.unwrap();
        let level: String =
            sqlx::query_scalar("SHOW transaction_isolation").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(level, "serializable");
        insert(&mut tx, 1).await;
        let nested = tx.begin_with("BEGIN").await.map(drop);
        assert!(matches!(nested, Err(sqlx::Error::InvalidSavePointStatement)));
        tx.commit().await.unwrap();
        assert!(matches!(app.pool.begin_with("SELECT 1").await, Err(sqlx::Error::BeginFailed)));
        assert!(matches!(app.plain.begin_with("SELECT 1").await, Err(sqlx::Error::BeginFailed)));
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_connection_begins_transactions_too() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut connection = app.pool.acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        insert(&mut tx, 1).await;
        assert!(tx.is_in_transaction());
        drop(tx);
        sqlx::query("INSERT INTO todo VALUES ($1, 'y')")
            .bind(2)
            .execute(&mut *connection)
            .await
            .unwrap();
        assert!(!connection.is_in_transaction());
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
}

#[tokio::test]
async fn transactions_that_are_begun_as_text_are_followed() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut connection = app.pool.acquire().await.unwrap();
        for text in [
            "BEGIN",
            "INSERT INTO todo VALUES (1, 'x')",
            "SAVEPOINT a",
            "INSERT INTO todo VALUES (2, 'x')",
            "ROLLBACK TO SAVEPOINT a",
            "INSERT INTO todo VALUES (3, 'x')",
            "COMMIT AND CHAIN",
            "INSERT INTO todo VALUES (4, 'x')",
            "END",
            "INSERT INTO todo VALUES (5, 'x')",
        ] {
            sqlx::query(text).execute(&mut *connection).await.unwrap();
        }
    })
    .await;
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(1, "x")), by(1, inserted(3, "x"))],
            vec![by(1, inserted(4, "x"))],
            vec![by(1, inserted(5, "x"))]
        ]
    );
}

#[tokio::test]
async fn a_transaction_that_was_begun_as_text_and_never_ended_does_not_reach_the_pool() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut connection = app.pool.acquire().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        connection.execute("INSERT INTO todo VALUES (1, 'x')").await.unwrap();
        drop(connection);
        sqlx::query("INSERT INTO todo VALUES ($1, 'y')").bind(2).execute(&app.pool).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn in_a_read_only_transaction_a_write_fails_as_with_plain_sqlx_and_reads_go_on() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut ours = app.pool.begin_with("BEGIN READ ONLY").await.unwrap();
        let mut plain = app.plain.begin_with("BEGIN READ ONLY").await.unwrap();
        let sql = "INSERT INTO todo VALUES ($1, 'x')";
        let ours_error = sqlx::query(sql).bind(1).execute(&mut *ours).await.unwrap_err();
        let plain_error = sqlx::query(sql).bind(1).execute(&mut *plain).await.unwrap_err();
        assert_eq!(ours_error.to_string(), plain_error.to_string());
        ours.rollback().await.unwrap();

        let mut tx = app.pool.begin_with("BEGIN READ ONLY").await.unwrap();
        tx.execute("CREATE TEMPORARY TABLE scratch (id int)").await.unwrap_err();
        tx.rollback().await.unwrap();
        // A table of the session's own may be written in a read-only transaction, and needs no message there.
        let mut connection = app.pool.acquire().await.unwrap();
        connection.execute("CREATE TEMPORARY TABLE scratch (id int)").await.unwrap();
        let mut tx = connection.begin_with("BEGIN READ ONLY").await.unwrap();
        sqlx::query("INSERT INTO scratch VALUES ($1)").bind(1).execute(&mut *tx).await.unwrap();
        let count = sqlx::query("SELECT count(*) FROM scratch").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(count.get::<i64, _>(0), 1);
        tx.commit().await.unwrap();
    })
    .await;
    assert!(app.journal().await.is_empty());
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
        sqlx::query("CALL commits()").execute(&app.pool).await.unwrap();
        let mut tx = app.pool.begin().await.unwrap();
        sqlx::query("CALL writes()").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [[by_nobody(inserted(1, "x"))], [by_nobody(inserted(2, "x"))], [by(1, inserted(3, "x"))]]
    );
}

#[tokio::test]
async fn what_is_done_on_the_untracked_connection_does_not_mislead() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.pool.begin().await.unwrap();
        insert(&mut tx, 1).await;
        let raw = tx.untracked().await.unwrap();
        raw.ping().await.unwrap();
        raw.execute("SELECT pg_logical_emit_message(true, '_bemi', '{}')").await.unwrap();
        insert(&mut tx, 2).await;
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "x"))]]);
}
