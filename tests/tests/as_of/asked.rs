//! A database that is tracked, and its record, asked in the words of the tests.

use std::time::Duration;

use bemi_core::record::{AsOf, Key, Point, Record, RowAt, TableName, Unknown};
use bemi_core::{CommitPosition, Lsn};
use bemi_tests::Tracked;
use bemi_worker::connect::Session;

/// The table of most tests.
pub(crate) const TODO: &str =
    "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean DEFAULT false)";

/// A record that is asked through a connection of its own, and waits for nobody.
pub(crate) async fn record(tracked: &Tracked) -> Record<Session> {
    Record::new(session(tracked).await).waiting(Duration::ZERO)
}

pub(crate) async fn session(tracked: &Tracked) -> Session {
    Session::new(tracked.database.connect().await.unwrap())
}

pub(crate) fn todo() -> TableName {
    TableName::new("public", "todo")
}

/// The point of everything that has committed by now, in whatever way.
pub(crate) async fn now(tracked: &Tracked) -> Point {
    Point::Lsn(lsn(tracked).await)
}

pub(crate) async fn lsn(tracked: &Tracked) -> Lsn {
    // Behind the end, so that no transaction begins to commit there.
    let lsn: i64 = tracked.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").await;
    tracked.sql("SELECT pg_logical_emit_message(true, 'nobody', '')").await;
    Lsn::from_bigint(lsn)
}

/// Where the last change that is stored committed.
pub(crate) async fn last_position(tracked: &Tracked) -> CommitPosition {
    let position: i64 = tracked.value("SELECT max(commit_position) FROM changes").await;
    CommitPosition(Lsn::from_bigint(position))
}

/// A row of `todo`, in short: its JSON, `absent`, or why it is unknown.
pub(crate) async fn told(as_of: &mut AsOf<'_, Session>, key: &str) -> String {
    told_of(as_of, &todo(), key).await
}

pub(crate) async fn told_of(as_of: &mut AsOf<'_, Session>, table: &TableName, key: &str) -> String {
    short(as_of.row(table, &Key::from(key)).await.unwrap())
}

pub(crate) fn short(row: RowAt) -> String {
    match row {
        RowAt::Present(row) => row.to_string(),
        RowAt::Absent => "absent".to_owned(),
        RowAt::Unknown(why) => reason(&why),
        _ => "?".to_owned(),
    }
}

/// The name of the reason, and what columns it is about.
pub(crate) fn reason(why: &Unknown) -> String {
    match why {
        Unknown::BeforeRecord => "before_record".to_owned(),
        Unknown::NotTracked => "not_tracked".to_owned(),
        Unknown::Gap { .. } => "gap".to_owned(),
        Unknown::Quarantined { .. } => "quarantined".to_owned(),
        Unknown::KeyUntold { .. } => "key_untold".to_owned(),
        Unknown::Rewritten { .. } => "rewritten".to_owned(),
        Unknown::Incomplete { columns } => {
            format!("incomplete {}", columns.join(",")).trim().to_owned()
        }
        _ => "?".to_owned(),
    }
}
