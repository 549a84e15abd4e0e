//! Messages inside of the statements that they govern: `inline_messages()`.

use bemi_diesel::{ContextFutureExt, Settings, with_context};
use bemi_tests::journal::{by, by_nobody, inserted, messages, stitch, user};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};

use crate::app::{App, Todo, a_todo, insert, todo};

fn settings() -> Settings {
    Settings::new().without_sql().inline_messages()
}

#[tokio::test]
async fn a_write_takes_its_message_along_in_its_own_round_trip() {
    let app = App::new().await;
    let (ours, relay) = app.relayed().await;
    let ours = &mut ours.with_settings(settings());
    insert(ours, 1).with_context(user(1)).await.unwrap();
    relay.round_trips();
    with_context(user(2), async {
        assert_eq!(insert(ours, 2).await.unwrap(), 1);
        assert_eq!(relay.round_trips(), 1, "it was prepared before");
        let update = diesel::update(todo::table.find(2)).set(todo::task.eq("y"));
        assert_eq!(update.get_result::<Todo>(ours).await.unwrap(), a_todo(2, "y"));
        assert_eq!(relay.round_trips(), 2, "to prepare, and the write");
        assert_eq!(diesel::delete(todo::table.find(9)).execute(ours).await.unwrap(), 0);
    })
    .await;
    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    assert_eq!(
        changes,
        [by(1, inserted(1, "x")), by(2, inserted(2, "x")), by(2, "todo: UPDATE: id:2 task:'y'")]
    );
}

#[tokio::test]
async fn in_a_transaction_a_message_that_may_have_been_left_out_comes_again() {
    let app = App::new().await;
    let ours = &mut app.connection().await.with_settings(settings());
    ours.transaction(async |ours| {
        with_context(user(1), async {
            // No row, so perhaps no message.
            diesel::delete(todo::table.find(9)).execute(ours).await?;
            insert(ours, 1).await?;
            insert(ours, 2).await
        })
        .await?;
        insert(ours, 3).await?;
        let batch = vec![a_todo(4, "x"), a_todo(5, "x")];
        // Such a one cannot take its message along.
        diesel::insert_into(todo::table).values(batch).execute(ours).with_context(user(2)).await
    })
    .await
    .unwrap();
    let journal = app.journal().await;
    assert!(messages(&journal[0]) <= 4, "{journal:?}");
    assert_eq!(
        stitch(journal[0].clone()),
        [
            by(1, inserted(1, "x")),
            by(1, inserted(2, "x")),
            by_nobody(inserted(3, "x")),
            by(2, inserted(4, "x")),
            by(2, inserted(5, "x")),
        ]
    );
}

/// The text is made when the future is, and the message belongs to the scope that it runs in.
#[tokio::test]
async fn a_future_that_moves_to_another_scope_has_the_context_of_that_one() {
    let app = App::new().await;
    let ours = &mut app.connection().await.with_settings(settings());
    with_context(user(1), async {
        insert(ours, 1).with_context(user(2)).await.unwrap();
        let query = diesel::delete(todo::table.find(1)).execute(ours);
        query.with_context(user(3)).await.unwrap();
        let query = diesel::insert_into(todo::table).values(a_todo(4, "x"));
        query.returning(todo::id).get_result::<i32>(ours).with_context(user(4)).await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [[by(2, inserted(1, "x"))], [by(3, "todo: DELETE: id:1")], [by(4, inserted(4, "x"))]]
    );
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing_and_the_connection_works() {
    let app = App::new().await;
    let ours = &mut app.connection().await.with_settings(settings());
    with_context(user(1), async {
        insert(ours, 1).await.unwrap();
        insert(ours, 1).await.unwrap_err();
        let undone = ours.transaction(async |ours| insert(ours, 1).await).await;
        undone.unwrap_err();
        insert(ours, 2).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(2, "x"))]]);
}
