//! Statements on whole tables: TRUNCATE, CREATE TABLE AS, SELECT INTO, EXPLAIN ANALYZE, DDL.

use bemi_core::with_context;
use bemi_tests::journal::user;
use serde_json::json;

use super::values;
use crate::stage::Stage;
use crate::stored::{created, todo, truncated};

cases![
    truncate_is_one_row_with_context,
    create_table_as_makes_the_table,
    select_into_makes_the_table,
    explain_analyze_of_a_write_writes,
    explain_of_a_write_does_not,
    definitions_run_as_they_are,
];

async fn truncate_is_one_row_with_context(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    assert_eq!(with_context(user(7), stage.driver.execute("TRUNCATE todo", &[])).await.unwrap(), 0);
    assert_eq!(stage.todos().await, [""; 0]);
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")), created(todo(2, "b")), truncated().by(7, "TRUNCATE todo")]
    );
}

/// What such a statement writes comes before the table is tracked: its rows are not stored, later ones are. Its message is there.
async fn create_table_as_makes_the_table(stage: Stage) {
    made_by("CREATE TABLE copied AS SELECT * FROM todo", &stage).await;
}

async fn select_into_makes_the_table(stage: Stage) {
    made_by("SELECT * INTO copied FROM todo", &stage).await;
}

async fn made_by(sql: &str, stage: &Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let journal = stage.journal().await;
    let context = user(7).with("case", stage.schema);
    with_context(context, stage.driver.execute(sql, &[])).await.unwrap();
    let messages = journal.messages_with(stage.schema).await;
    journal.close().await;
    assert!(messages.len() == 1 && messages[0].contains(sql), "{messages:?}");
    let insert = "INSERT INTO copied VALUES (2, 'b')";
    assert_eq!(with_context(user(7), stage.driver.execute(insert, &[])).await.unwrap(), 1);
    let copied = stage.look("SELECT task FROM copied ORDER BY id").await;
    assert_eq!(copied, values(["a", "b"]));
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            created(todo(2, "b")).of("copied").by(7, "INSERT INTO copied VALUES (?, ?)"),
        ]
    );
}

async fn explain_analyze_of_a_write_writes(stage: Stage) {
    let sql = "EXPLAIN (ANALYZE, TIMING off) INSERT INTO todo VALUES (1, 'a')";
    with_context(user(7), stage.driver.script(sql)).await.unwrap();
    assert_eq!(stage.todos().await, ["1 a"]);
    let sql = "EXPLAIN (ANALYZE, TIMING off) INSERT INTO todo VALUES (?, ?)";
    assert_eq!(stage.stored().await, [created(todo(1, "a")).by(7, sql)]);
}

async fn explain_of_a_write_does_not(stage: Stage) {
    let sql = "EXPLAIN INSERT INTO todo VALUES (1, 'a')";
    with_context(user(7), stage.driver.script(sql)).await.unwrap();
    assert_eq!(stage.todos().await, [""; 0]);
    assert_eq!(stage.stored().await, []);
}

/// Some of them, such as VACUUM, refuse to run inside a transaction.
async fn definitions_run_as_they_are(stage: Stage) {
    let insert = "INSERT INTO note VALUES (1)";
    with_context(user(7), async {
        stage.driver.execute("CREATE TABLE note (id int PRIMARY KEY)", &[]).await.unwrap();
        stage.driver.execute("CREATE INDEX CONCURRENTLY ON note (id)", &[]).await.unwrap();
        stage.driver.execute("VACUUM note", &[]).await.unwrap();
        stage.driver.execute(insert, &[]).await.unwrap();
    })
    .await;
    assert_eq!(
        stage.stored().await,
        [created(json!({"id": 1})).of("note").by(7, "INSERT INTO note VALUES (?)")]
    );
}
