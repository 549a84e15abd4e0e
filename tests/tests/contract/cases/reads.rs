//! Reads run as if we were not there.

use bemi_core::with_context;
use bemi_tests::journal::user;

use super::values;
use crate::driver::Begin;
use crate::driver::Bind::Int;
use crate::stage::Stage;

cases![
    a_read_in_a_scope_burns_no_transaction_id,
    a_transaction_that_only_reads_burns_no_transaction_id,
    a_read_gives_all_rows_and_nothing_else,
    a_reading_script_burns_no_transaction_id,
    reads_emit_nothing,
];

/// An emission would have had one assigned.
const TRANSACTION_ID: &str = "SELECT pg_current_xact_id_if_assigned()::text AS value";

async fn a_read_in_a_scope_burns_no_transaction_id(stage: Stage) {
    with_context(user(7), async {
        assert_eq!(stage.driver.query(TRANSACTION_ID, &[]).await.unwrap(), [None]);
        let with = format!("WITH id AS ({TRANSACTION_ID}) SELECT value FROM id WHERE $1 = 1");
        assert_eq!(stage.driver.query(&with, &[Int(1)]).await.unwrap(), [None]);
    })
    .await;
    assert_eq!(stage.stored().await, []);
}

async fn a_transaction_that_only_reads_burns_no_transaction_id(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        let read = "SELECT task AS value FROM todo WHERE id = $1";
        assert_eq!(tx.query(read, &[Int(1)]).await.unwrap(), values(["a"]));
        let mut inner = tx.begin().await.unwrap();
        assert_eq!(inner.query(TRANSACTION_ID, &[]).await.unwrap(), [None]);
        inner.commit().await.unwrap();
        assert_eq!(tx.query(TRANSACTION_ID, &[]).await.unwrap(), [None]);
        tx.commit().await.unwrap();
    })
    .await;
}

async fn a_read_gives_all_rows_and_nothing_else(stage: Stage) {
    let sql = "SELECT CASE WHEN i % 2 = 0 THEN i::text END AS value FROM generate_series(1, $1::int) AS i";
    let rows = with_context(user(7), stage.driver.query(sql, &[Int(1000)])).await.unwrap();
    let expected: Vec<_> = (1..=1000).map(|i| (i % 2 == 0).then(|| i.to_string())).collect();
    assert_eq!(rows, expected);
    let none = "SELECT task AS value FROM todo";
    assert_eq!(with_context(user(7), stage.driver.query(none, &[])).await.unwrap(), []);
}

async fn a_reading_script_burns_no_transaction_id(stage: Stage) {
    let sql = "SELECT 1; SELECT 1 / (pg_current_xact_id_if_assigned() IS NULL)::int; BEGIN; \
               SELECT 1 / (pg_current_xact_id_if_assigned() IS NULL)::int; COMMIT";
    with_context(user(7), stage.driver.script(sql)).await.unwrap();
}

async fn reads_emit_nothing(stage: Stage) {
    let journal = stage.journal().await;
    with_context(user(7).with("case", stage.schema), async {
        stage.driver.query("SELECT task AS value FROM todo", &[]).await.unwrap();
        stage.driver.script("SELECT 1; SHOW timezone; SET LOCAL timezone = 'UTC'").await.unwrap();
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.query("SELECT task AS value FROM todo FOR UPDATE", &[]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(journal.messages_with(stage.schema).await, [""; 0]);
    journal.close().await;
}
