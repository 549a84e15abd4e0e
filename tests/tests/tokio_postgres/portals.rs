//! Statements whose rows are had in parts.

use bemi_tests::journal::{by, inserted, messages, stitch, user};
use bemi_tokio_postgres::{ContextFutureExt, with_context};
use futures_util::TryStreamExt;

use crate::app::App;

const DELETE: &str = "DELETE FROM todo WHERE id < $1 RETURNING id";

#[tokio::test]
async fn a_portal_writes_under_the_context_in_which_it_is_first_asked() {
    let mut app = App::new().await;
    app.run("INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 3) n").await;
    app.journal().await;
    let tx = app.client.transaction().await.unwrap();
    let portal = tx.bind(DELETE, &[&9]).with_context(user(1)).await.unwrap();
    assert_eq!(portal.sql(), DELETE);
    with_context(user(2), async {
        for rows in [2, 1, 0] {
            assert_eq!(tx.query_portal(&portal, 2).await.unwrap().len(), rows);
        }
    })
    .await;
    tx.commit().await.unwrap();
    let journal = app.journal().await;
    assert_eq!(messages(&journal[0]), 1, "{journal:?}");
    let deleted: Vec<_> = (1..=3).map(|id| by(2, format!("todo: DELETE: id:{id}"))).collect();
    assert_eq!(stitch(journal[0].clone()), deleted);
}

#[tokio::test]
async fn a_portal_of_a_prepared_statement_streams() {
    let mut app = App::new().await;
    let insert =
        app.client.prepare("INSERT INTO todo VALUES ($1, 'x') RETURNING id").await.unwrap();
    let tx = app.client.transaction().await.unwrap();
    with_context(user(1), async {
        let portal = tx.bind_raw(&insert, [1]).await.unwrap();
        let rows: Vec<_> =
            tx.query_portal_raw(&portal, 0).await.unwrap().try_collect().await.unwrap();
        assert_eq!(rows.len(), 1);
    })
    .await;
    tx.commit().await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_portal_that_reads_emits_nothing() {
    let mut app = App::new().await;
    let tx = app.client.transaction().await.unwrap();
    with_context(user(1), async {
        let portal = tx.bind("SELECT * FROM generate_series(1, $1)", &[&3]).await.unwrap();
        assert_eq!(tx.query_portal(&portal, 2).await.unwrap().len(), 2);
    })
    .await;
    tx.commit().await.unwrap();
    assert!(app.journal().await.is_empty());
}
