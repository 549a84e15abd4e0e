//! Constraints that are looked at only at COMMIT.

use bemi_core::with_context;
use bemi_tests::journal::user;
use serde_json::json;

use super::assert_refused;
use crate::driver::Begin;
use crate::driver::Bind::Int;
use crate::stage::Stage;
use crate::stored::created;

cases![
    a_deferred_constraint_fails_an_autocommit_write,
    a_deferred_constraint_fails_a_write_that_returns_rows,
    a_deferred_constraint_fails_the_commit_of_a_transaction,
    a_deferred_constraint_that_is_mended_in_time_holds,
];

const TABLES: &str = "CREATE TABLE list (id int PRIMARY KEY); CREATE TABLE item ( \
    id int PRIMARY KEY, list int REFERENCES list DEFERRABLE INITIALLY DEFERRED)";
const ITEM: &str = "INSERT INTO item VALUES ($1, $2)";
const LIST: &str = "INSERT INTO list VALUES ($1)";

async fn a_deferred_constraint_fails_an_autocommit_write(stage: Stage) {
    stage.sql(TABLES).await;
    with_context(user(7), async {
        assert_refused(stage.driver.execute(ITEM, &[Int(1), Int(1)]).await, "23503");
        assert_refused(stage.driver.script("INSERT INTO item VALUES (1, 1)").await, "23503");
    })
    .await;
    nothing_but_what_follows(&stage).await;
}

async fn a_deferred_constraint_fails_a_write_that_returns_rows(stage: Stage) {
    stage.sql(TABLES).await;
    let sql = "INSERT INTO item VALUES ($1, $2) RETURNING id::text AS value";
    let inserted = with_context(user(7), stage.driver.query(sql, &[Int(1), Int(1)])).await;
    assert_refused(inserted, "23503");
    nothing_but_what_follows(&stage).await;
}

async fn a_deferred_constraint_fails_the_commit_of_a_transaction(stage: Stage) {
    stage.sql(TABLES).await;
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        assert_eq!(tx.execute(ITEM, &[Int(1), Int(1)]).await.unwrap(), 1);
        assert_refused(tx.commit().await, "23503");
    })
    .await;
    nothing_but_what_follows(&stage).await;
}

async fn a_deferred_constraint_that_is_mended_in_time_holds(stage: Stage) {
    stage.sql(TABLES).await;
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        assert_eq!(tx.execute(ITEM, &[Int(1), Int(1)]).await.unwrap(), 1);
        assert_eq!(tx.execute(LIST, &[Int(1)]).await.unwrap(), 1);
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        stage.transactions().await,
        [[
            created(json!({"id": 1, "list": 1})).of("item").by(7, ITEM),
            created(json!({"id": 1})).of("list").by(7, LIST),
        ]]
    );
}

async fn nothing_but_what_follows(stage: &Stage) {
    stage.settled().await;
    assert_eq!(with_context(user(8), stage.driver.execute(LIST, &[Int(9)])).await.unwrap(), 1);
    assert_eq!(stage.stored().await, [created(json!({"id": 9})).of("list").by(8, LIST)]);
}
