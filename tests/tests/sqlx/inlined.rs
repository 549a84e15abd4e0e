//! Messages inside of statements, as `Settings::inline_messages` asks.

use bemi_sqlx::{BemiPool, ContextFutureExt, Settings, with_context};
use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};

use crate::app::App;

fn inlining(pool: &BemiPool) -> BemiPool {
    BemiPool::new(pool.untracked().clone())
        .with_settings(Settings::new().without_sql().inline_messages())
}

#[tokio::test]
async fn an_autocommit_write_is_one_statement() {
    let app = App::new().await;
    let pool = inlining(&app.logged().await);
    let insert = sqlx::query("INSERT INTO todo (id, task) VALUES ($1, $2)").bind(1).bind("Sleep");
    let inserted_rows = insert.execute(&pool).with_context(user(1)).await.unwrap();
    assert_eq!(inserted_rows.rows_affected(), 1);
    let sent = app.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].starts_with("INSERT INTO todo (id, task) SELECT $1, $2 WHERE"), "{sent:?}");
    assert_eq!(app.changes().await, [[by(1, inserted(1, "Sleep"))]]);
}

#[tokio::test]
async fn what_cannot_have_its_message_inside_has_it_before() {
    let app = App::new().await;
    let pool = inlining(&app.pool);
    let insert =
        sqlx::query("INSERT INTO todo (id, task) VALUES ($1, lower($2))").bind(1).bind("EAT");
    insert.execute(&pool).with_context(user(1)).await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "eat"))]]);
}

/// The server may leave a message out where no row can match, so it must not be relied on.
#[tokio::test]
async fn in_a_transaction_a_write_that_changed_nothing_lends_its_message_to_none() {
    let app = App::new().await;
    let pool = inlining(&app.pool);
    with_context(user(1), async {
        let mut tx = pool.begin().await?;
        sqlx::query("DELETE FROM todo WHERE $1").bind(false).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO todo VALUES (1, $1)").bind("Sleep").execute(&mut *tx).await?;
        sqlx::query("INSERT INTO todo (id, task) VALUES (2, $1)")
            .bind("Eat")
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    })
    .await
    .unwrap();
    let journal = app.journal().await;
    assert_eq!(messages(&journal[0]), 1, "{journal:?}");
    assert_eq!(
        journal.into_iter().map(stitch).collect::<Vec<_>>(),
        [[by(1, inserted(1, "Sleep")), by(1, inserted(2, "Eat"))]]
    );
}

#[tokio::test]
async fn a_later_write_outside_the_scope_ends_the_reach_of_a_message() {
    let app = App::new().await;
    let pool = inlining(&app.pool);
    let insert = "INSERT INTO todo (id, task) VALUES ($1, 'x')";
    let mut tx = pool.begin().await.unwrap();
    sqlx::query(insert).bind(1).execute(&mut *tx).with_context(user(1)).await.unwrap();
    sqlx::query(insert).bind(2).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by_nobody(inserted(2, "x"))]]);
}
