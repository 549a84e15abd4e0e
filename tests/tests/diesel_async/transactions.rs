//! Transactions, savepoints, and which message governs what in them.

use bemi_diesel::{ContextFutureExt, add_context, with_context};
use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};
use diesel::prelude::*;
use diesel::result::Error;
use diesel_async::{AsyncConnection, RunQueryDsl};

use crate::app::{App, Todo, insert, todo};

#[tokio::test]
async fn a_transaction_has_one_message_as_long_as_the_context_stays_the_same() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        ours.transaction(async |ours| {
            for id in 1..=3 {
                insert(ours, id).await?;
            }
            QueryResult::Ok(())
        })
        .await
    })
    .await
    .unwrap();
    let journal = app.journal().await;
    assert_eq!(journal.len(), 1);
    assert_eq!((messages(&journal[0]), journal[0].len()), (1, 4));
}

#[tokio::test]
async fn with_the_statements_text_each_different_statement_has_its_own_message() {
    let app = App::new().await;
    let mut ours = app.with_sql().await;
    with_context(user(1), async {
        ours.transaction(async |ours| {
            insert(ours, 1).await?;
            insert(ours, 2).await?;
            diesel::delete(todo::table.find(1)).execute(ours).await
        })
        .await
    })
    .await
    .unwrap();
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (2, 5), "{journal:?}");
}

#[tokio::test]
async fn each_write_is_governed_by_the_scope_that_it_runs_in() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    ours.transaction(async |ours| {
        insert(ours, 1).await?;
        insert(ours, 2).with_context(user(1)).await?;
        insert(ours, 3).await?;
        insert(ours, 4).with_context(user(2)).await?;
        with_context(user(2), async {
            insert(ours, 5).await?;
            add_context([("user_id", 3)]);
            insert(ours, 6).await
        })
        .await
    })
    .await
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
async fn three_transactions_deep_what_is_rolled_back_takes_its_message_along() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    ours.transaction(async |outer| {
        insert(outer, 1).with_context(user(1)).await?;
        outer
            .transaction(async |middle| {
                insert(middle, 2).with_context(user(2)).await?;
                let undone = middle
                    .transaction(async |inner| {
                        insert(inner, 3).with_context(user(3)).await?;
                        Err::<(), _>(Error::RollbackTransaction)
                    })
                    .await;
                assert_eq!(undone, Err(Error::RollbackTransaction));
                // The message of user 2 governs again, that of user 3 does not exist.
                insert(middle, 4).with_context(user(2)).await?;
                insert(middle, 5).with_context(user(3)).await
            })
            .await?;
        insert(outer, 6).with_context(user(3)).await
    })
    .await
    .unwrap();
    let journal = app.journal().await;
    assert_eq!(messages(&journal[0]), 3, "of users 1, 2 and 3: {journal:?}");
    assert_eq!(
        stitch(journal[0].clone()),
        [
            by(1, inserted(1, "x")),
            by(2, inserted(2, "x")),
            by(2, inserted(4, "x")),
            by(3, inserted(5, "x")),
            by(3, inserted(6, "x")),
        ]
    );
}

#[tokio::test]
async fn after_a_rollback_to_a_savepoint_the_next_write_emits_what_was_undone() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        ours.transaction(async |ours| {
            for keep in [false, true] {
                let _ = ours
                    .transaction(async |ours| {
                        insert(ours, 1).await?;
                        if keep { Ok(()) } else { Err(Error::RollbackTransaction) }
                    })
                    .await;
            }
            QueryResult::Ok(())
        })
        .await
    })
    .await
    .unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_nothing_and_the_connection_works() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        let rolled_back = ours
            .transaction(async |ours| {
                insert(ours, 1).await?;
                assert!(ours.is_in_transaction());
                Err::<(), _>(Error::RollbackTransaction)
            })
            .await;
        assert_eq!(rolled_back, Err(Error::RollbackTransaction));
        assert!(!ours.is_in_transaction());
        insert(&mut ours, 2).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_failed_write_is_undone_to_its_savepoint() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        ours.transaction(async |ours| {
            insert(ours, 1).await?;
            let nested = ours.transaction(async |ours| insert(ours, 1).await).await;
            assert!(matches!(nested, Err(Error::DatabaseError(..))), "{nested:?}");
            insert(ours, 2).await
        })
        .await
    })
    .await
    .unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_transaction_can_be_built_with_isolation_and_access() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let show = "SELECT current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only') \
                || ' ' || current_setting('transaction_deferrable') AS value";
    with_context(user(1), async {
        let built = ours
            .build_transaction()
            .serializable()
            .read_only()
            .deferrable()
            .run(async |ours| diesel::sql_query(show).get_result::<Setting>(ours).await)
            .await;
        assert_eq!(built.unwrap().value, "serializable on on");
        let refused =
            ours.build_transaction().read_only().run(async |ours| insert(ours, 1).await).await;
        let refused = refused.unwrap_err().to_string();
        assert_eq!(refused, "cannot execute INSERT in a read-only transaction");
        let nested = ours
            .transaction(async |ours| {
                ours.build_transaction().run(async |_| QueryResult::Ok(())).await
            })
            .await;
        assert_eq!(nested, Err(Error::AlreadyInTransaction));
        ours.build_transaction().repeatable_read().run(async |ours| insert(ours, 2).await).await
    })
    .await
    .unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

/// Also as part of a task that may move from thread to thread.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_run_in_spawned_tasks() {
    let app = App::new().await;
    let pool = app.pool(1);
    let task = tokio::spawn(with_context(user(1), async move {
        let mut pooled = pool.get().await.unwrap();
        pooled
            .transaction(async |ours| {
                insert(ours, 1).await?;
                ours.transaction(async |ours| insert(ours, 2).await).await
            })
            .await
            .unwrap();
        pooled.build_transaction().run(async |ours| insert(ours, 3).await).await.unwrap();
    }));
    task.await.unwrap();
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "x")), by(1, inserted(2, "x"))], vec![by(1, inserted(3, "x"))]]
    );
}

#[tokio::test]
async fn a_test_transaction_is_never_committed() {
    let app = App::new().await;
    let pool = app.pool(1);
    with_context(user(1), async {
        pool.get().await.unwrap().begin_test_transaction().await.unwrap();
        // The pool hands it out again, as diesel-async wants it for tests.
        insert(&mut pool.get().await.unwrap(), 1).await.unwrap();
        let seen: Vec<Todo> = todo::table.load(&mut pool.get().await.unwrap()).await.unwrap();
        assert_eq!(seen.len(), 1);
    })
    .await;
    drop(pool);
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn on_the_untracked_connection_a_write_has_the_context_of_the_write_before_it() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        let delete = diesel::delete(todo::table);
        delete.execute(ours.untracked().unwrap()).await.unwrap();
        ours.transaction(async |ours| {
            insert(ours, 1).await?;
            diesel::sql_query("INSERT INTO todo VALUES (2, 'x')")
                .execute(ours.untracked()?)
                .await?;
            insert(ours, 3).await
        })
        .await
        .unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!(messages(&journal[0]), 2, "what went by unseen may have been a message");
    assert_eq!(stitch(journal[0].clone()).len(), 3);
}
