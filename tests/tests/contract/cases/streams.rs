//! Rows that are read one by one, and left before the last.

use bemi_core::with_context;
use bemi_tests::journal::user;

use super::values;
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    a_write_whose_rows_are_dropped_is_committed needs Stream,
    a_read_whose_rows_are_dropped_leaves_the_pool_usable needs Stream,
    a_write_that_fails_after_its_first_row_fails needs Stream,
];

async fn a_write_whose_rows_are_dropped_is_committed(stage: Stage) {
    let sql = "INSERT INTO todo VALUES (1, 'a'), (2, 'b'), (3, 'c') RETURNING task AS value";
    let first = with_context(user(7), stage.driver.first(sql)).await.unwrap();
    assert_eq!(first.as_deref(), Some("a"));
    stage.settled().await;
    assert_eq!(stage.todos().await, ["1 a", "2 b", "3 c"]);
    let sql = "INSERT INTO todo VALUES (?, ?), (?, ?), (?, ?) RETURNING task AS value";
    let rows = [(1, "a"), (2, "b"), (3, "c")];
    assert_eq!(stage.stored().await, rows.map(|(id, task)| created(todo(id, task)).by(7, sql)));
}

async fn a_read_whose_rows_are_dropped_leaves_the_pool_usable(stage: Stage) {
    let driver = stage.with_one_connection().await;
    let sql = "SELECT i::text AS value FROM generate_series(1, 20000) AS i";
    with_context(user(7), async {
        for _ in 0..3 {
            assert_eq!(driver.first(sql).await.unwrap().as_deref(), Some("1"));
            let again = driver.query("SELECT 'x' AS value", &[]).await.unwrap();
            assert_eq!(again, values(["x"]));
        }
        driver.script("INSERT INTO todo VALUES (1, 'a')").await.unwrap();
    })
    .await;
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).by(7, "INSERT INTO todo VALUES (?, ?)")]
    );
}

async fn a_write_that_fails_after_its_first_row_fails(stage: Stage) {
    let sql = "INSERT INTO todo VALUES (1, 'a'), (1, 'b') RETURNING task AS value";
    let first = with_context(user(7), stage.driver.first(sql)).await;
    assert!(first.is_ok_and(|row| row.as_deref() == Some("a")) || stage.todos().await.is_empty());
    stage.settled().await;
    assert_eq!(stage.stored().await, []);
}
