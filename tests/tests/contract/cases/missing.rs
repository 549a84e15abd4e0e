//! Writes outside any scope, where that is to be told.

use bemi_core::{MissingContext, Settings, with_context};
use bemi_tests::journal::user;

use super::values;
use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::driver::Failure;
use crate::log::lines_with;
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    a_denied_write_does_not_run,
    a_denied_write_leaves_its_transaction_usable,
    a_warning_is_logged_and_the_write_runs
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

fn denying() -> Settings {
    Settings::new().missing_context(MissingContext::Deny)
}

/// The refusal is ours, and says what to do.
#[track_caller]
fn assert_denied<T: std::fmt::Debug>(result: Result<T, Failure>) {
    let failure = result.expect_err("it must be refused");
    assert_eq!(failure.sqlstate, None, "{failure:?}");
    assert!(
        failure.message.contains("outside any scope") && failure.message.contains("with_context"),
        "{failure:?}"
    );
    assert!(!failure.message.contains("hush"), "{failure:?}");
}

async fn a_denied_write_does_not_run(stage: Stage) {
    let driver = stage.with_settings(denying()).await;
    assert_denied(driver.execute(INSERT, &[Int(1), Text("hush")]).await);
    assert_denied(
        driver.query("INSERT INTO todo VALUES (1, 'hush') RETURNING task AS value", &[]).await,
    );
    assert_denied(driver.script("SELECT 1; INSERT INTO todo VALUES (1, 'hush')").await);
    let read = "SELECT count(*)::text AS value FROM todo";
    assert_eq!(driver.query(read, &[]).await.unwrap(), values(["0"]));
    with_context(user(7), driver.execute(INSERT, &[Int(2), Text("a")])).await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(2, "a")).by(7, INSERT)]);
}

async fn a_denied_write_leaves_its_transaction_usable(stage: Stage) {
    let driver = stage.with_settings(denying()).await;
    let mut tx = driver.begin(Begin::Default).await.unwrap();
    assert_denied(tx.execute(INSERT, &[Int(1), Text("hush")]).await);
    with_context(user(7), tx.execute(INSERT, &[Int(2), Text("a")])).await.unwrap();
    assert_denied(tx.script("INSERT INTO todo VALUES (1, 'hush')").await);
    tx.commit().await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(2, "a")).by(7, INSERT)]);
}

async fn a_warning_is_logged_and_the_write_runs(stage: Stage) {
    let settings = Settings::new().missing_context(MissingContext::Warn);
    let driver = stage.with_settings(settings).await;
    // Others log the same of their own tables.
    let table = format!("{}_warned", stage.database());
    stage.sql(&format!("ALTER TABLE todo RENAME TO {table}")).await;
    let sql = format!("INSERT INTO {table} VALUES ($1, 'hush')");
    assert_eq!(driver.execute(&sql, &[Int(1)]).await.unwrap(), 1);
    let lines = lines_with(&table);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("VALUES ($1, ?)"), "{lines:?}");
    with_context(user(7), driver.execute(&sql, &[Int(2)])).await.unwrap();
    assert_eq!(lines_with(&table).len(), 1);
    let redacted = format!("INSERT INTO {table} VALUES ($1, ?)");
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "hush")).of(&table), created(todo(2, "hush")).of(&table).by(7, &redacted),]
    );
}
