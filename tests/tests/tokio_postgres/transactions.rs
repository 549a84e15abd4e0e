//! Transactions, savepoints, and which message governs what in them.

use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};
use bemi_tokio_postgres::{BemiTransaction, ContextFutureExt, add_context, with_context};
use tokio_postgres::IsolationLevel;

use crate::app::{App, INSERT};

async fn insert(tx: &BemiTransaction<'_>, id: i32) {
    tx.execute(INSERT, &[&id, &"x"]).await.unwrap();
}

#[tokio::test]
async fn a_transaction_has_one_message_as_long_as_the_context_stays_the_same() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let tx = app.client.transaction().await.unwrap();
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
    let mut client = app.with_sql().await;
    with_context(user(1), async {
        let tx = client.transaction().await.unwrap();
        insert(&tx, 1).await;
        insert(&tx, 2).await;
        tx.execute("DELETE FROM todo WHERE id = $1", &[&1]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (2, 5), "{journal:?}");
}

#[tokio::test]
async fn each_write_is_governed_by_the_scope_that_it_runs_in() {
    let mut app = App::new().await;
    let tx = app.client.transaction().await.unwrap();
    insert(&tx, 1).await;
    insert(&tx, 2).with_context(user(1)).await;
    insert(&tx, 3).await;
    insert(&tx, 4).with_context(user(2)).await;
    with_context(user(2), async {
        insert(&tx, 5).await;
        add_context([("user_id", 3)]);
        insert(&tx, 6).await;
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
    let mut app = App::new().await;
    with_context(user(1), async {
        let tx = app.client.transaction().await.unwrap();
        tx.query("SELECT * FROM todo WHERE id = $1", &[&1]).await.unwrap();
        let xid = "SELECT pg_current_xact_id_if_assigned()::text";
        assert_eq!(tx.query_one_scalar::<Option<String>, _>(xid, &[]).await.unwrap(), None);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn three_transactions_deep_what_is_rolled_back_takes_its_message_along() {
    let mut app = App::new().await;
    let mut outer = app.client.transaction().await.unwrap();
    insert(&outer, 1).with_context(user(1)).await;
    let mut middle = outer.transaction().await.unwrap();
    insert(&middle, 2).with_context(user(2)).await;
    let inner = middle.transaction().await.unwrap();
    insert(&inner, 3).with_context(user(3)).await;
    inner.rollback().await.unwrap();
    // The message of user 2 governs again, that of user 3 does not exist.
    insert(&middle, 4).with_context(user(2)).await;
    insert(&middle, 5).with_context(user(3)).await;
    middle.commit().await.unwrap();
    insert(&outer, 6).with_context(user(3)).await;
    let dropped = outer.savepoint("Mine").await.unwrap();
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
async fn after_a_rollback_to_a_savepoint_the_next_write_emits_what_was_undone() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.client.transaction().await.unwrap();
        for keep in [false, true] {
            let nested = tx.transaction().await.unwrap();
            insert(&nested, 1).await;
            if keep { nested.commit().await.unwrap() } else { nested.rollback().await.unwrap() }
        }
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_or_rolled_back_leaves_nothing() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let dropped = app.client.transaction().await.unwrap();
        insert(&dropped, 1).await;
        drop(dropped);
        let rolled_back = app.client.transaction().await.unwrap();
        insert(&rolled_back, 1).await;
        rolled_back.rollback().await.unwrap();
        app.client.check_connection().await.unwrap();
        assert_eq!(app.count("todo").await, 0);
        app.client.execute(INSERT, &[&2, &"y"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn a_transaction_can_have_properties_of_ones_own() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let builder = app.client.build_transaction().isolation_level(IsolationLevel::Serializable);
        let tx = builder.read_only(false).deferrable(true).start().await.unwrap();
        let of = async |name| {
            tx.query_one_scalar::<String, _>(&format!("SHOW {name}"), &[]).await.unwrap()
        };
        assert_eq!(of("transaction_isolation").await, "serializable");
        assert_eq!(of("transaction_read_only").await, "off");
        assert_eq!(of("transaction_deferrable").await, "on");
        insert(&tx, 1).await;
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn in_a_read_only_transaction_a_write_fails_as_with_the_plain_client_and_reads_go_on() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let ours = app.client.build_transaction().read_only(true).start().await.unwrap();
        let plain = app.plain.build_transaction().read_only(true).start().await.unwrap();
        let ours_error = ours.execute(INSERT, &[&1, &"x"]).await.unwrap_err();
        let plain_error = plain.execute(INSERT, &[&1, &"x"]).await.unwrap_err();
        assert_eq!(ours_error.code(), plain_error.code());
        assert_eq!(ours_error.code().unwrap().code(), "25006");
        ours.rollback().await.unwrap();
        plain.rollback().await.unwrap();

        // A table of the session's own may be written in a read-only transaction, and needs no message there.
        app.client.batch_execute("CREATE TEMPORARY TABLE scratch (id int)").await.unwrap();
        let tx = app.client.build_transaction().read_only(true).start().await.unwrap();
        tx.execute("INSERT INTO scratch VALUES ($1)", &[&1]).await.unwrap();
        let count = tx.query_one_scalar::<i64, _>("SELECT count(*) FROM scratch", &[]).await;
        assert_eq!(count.unwrap(), 1);
        tx.commit().await.unwrap();
    })
    .await;
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn what_is_done_on_the_untracked_client_does_not_mislead() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.client.transaction().await.unwrap();
        insert(&tx, 1).await;
        let untracked = tx.untracked();
        untracked
            .execute("SELECT pg_logical_emit_message(true, '_bemi', '{}')", &[])
            .await
            .unwrap();
        insert(&tx, 2).await;
        tx.commit().await.unwrap();
        app.client.untracked().execute(INSERT, &[&3, &"x"]).await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "x")), by(1, inserted(2, "x"))], vec![by_nobody(inserted(3, "x"))]]
    );
}

#[tokio::test]
async fn a_transaction_on_top_of_one_that_was_begun_as_text_keeps_its_context() {
    let mut app = App::new().await;
    with_context(user(1), async {
        app.client.batch_execute("BEGIN; INSERT INTO todo VALUES (1, 'x')").await.unwrap();
        // The server warns, and goes on with the one that is open.
        let tx = app.client.transaction().await.unwrap();
        insert(&tx, 2).await;
        tx.commit().await.unwrap();
        assert!(!app.client.is_in_transaction());
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "x"))]]);
}
