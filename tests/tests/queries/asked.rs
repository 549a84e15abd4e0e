//! The record of a tracked database, and changes in short.

use bemi_core::Change;
use bemi_core::record::{Changes, Record, TableName};
use bemi_tests::Tracked;
use bemi_worker::connect::Session;

/// The record of the database.
pub(crate) async fn record(tracked: &Tracked) -> Record<Session> {
    Record::new(Session::new(tracked.database.connect().await.unwrap()))
}

/// The table `todo`, which most tests have.
pub(crate) fn todo() -> TableName {
    TableName::new("public", "todo")
}

/// Operation and key, as a person would note them: `CREATE 1`.
pub(crate) fn noted(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| {
            format!("{} {}", change.operation, change.primary_key.as_deref().unwrap_or("-"))
        })
        .collect()
}

/// What fulfils the filter, as it happened.
pub(crate) async fn those(record: &mut Record<Session>, changes: Changes) -> Vec<String> {
    let page = record.changes(&changes.oldest_first()).await.unwrap();
    assert_eq!(page.next, None, "more than a page");
    noted(&page.items)
}

/// A transaction that begins with a context.
pub(crate) fn under(context: &str, statements: &str) -> String {
    let context = context.replace('\'', "''");
    format!(
        "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{context}'); {statements}; COMMIT"
    )
}
