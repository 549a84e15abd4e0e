//! A tracked database whose changes are taken back.

use bemi_core::record::{
    ConflictKind, Handling, Key, OnConflict, Plan, Record, RevertOptions, Selection, TableName,
};
use bemi_core::{CommitPosition, Lsn};
use bemi_tests::Tracked;
use bemi_worker::connect::Session;

/// A tracked database, a connection for the record, and one for the source.
pub(crate) struct Case {
    pub(crate) tracked: Tracked,
    pub(crate) record: Record<Session>,
    pub(crate) source: Session,
}

impl Case {
    pub(crate) async fn new(schema: &str) -> Self {
        Self::of(Tracked::new(schema).await).await
    }

    pub(crate) async fn of(tracked: Tracked) -> Self {
        let record = Record::new(Session::new(tracked.database.connect().await.unwrap()));
        let source = Session::new(tracked.database.connect().await.unwrap());
        Self { tracked, record, source }
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.tracked.sql(sql).await;
    }

    /// Runs statements as one transaction, and stores it.
    pub(crate) async fn committed(&self, sql: &str) -> Selection {
        self.sql(&format!("BEGIN; {sql}; COMMIT")).await;
        Selection::Committed(self.stored().await)
    }

    /// Stores everything; gives the last commit.
    pub(crate) async fn stored(&self) -> CommitPosition {
        self.tracked.store().await;
        let last = "SELECT coalesce(max(commit_position), 0) FROM changes";
        CommitPosition(Lsn::from_bigint(self.tracked.value(last).await))
    }

    /// The plan, made in a transaction that is rolled back.
    pub(crate) async fn plan(&mut self, selection: &Selection, way: OnConflict) -> Plan {
        let set = self.record.reverse(selection).await.unwrap();
        self.source.client().batch_execute("BEGIN").await.unwrap();
        let options = RevertOptions::new().on_conflict(way);
        let plan = set.plan(&mut self.source, &options).await.unwrap();
        self.source.client().batch_execute("ROLLBACK").await.unwrap();
        plan
    }

    /// Plans and applies; gives the plan.
    pub(crate) async fn revert_by(&mut self, selection: &Selection, way: OnConflict) -> Plan {
        let set = self.record.reverse(selection).await.unwrap();
        self.source.client().batch_execute("BEGIN").await.unwrap();
        let options = RevertOptions::new().on_conflict(way).reason("test");
        let plan = set.plan(&mut self.source, &options).await.unwrap();
        let applied = plan.apply(&mut self.source).await;
        let applied = applied.unwrap_or_else(|error| panic!("{error}: {:#?}", plan.conflicts()));
        assert_eq!(applied.rows, plan.statements().len());
        self.source.client().batch_execute("COMMIT").await.unwrap();
        plan
    }

    /// The same, where nothing stands in the way.
    pub(crate) async fn revert(&mut self, selection: &Selection) -> Plan {
        let plan = self.revert_by(selection, OnConflict::Abort).await;
        assert!(plan.conflicts().is_empty(), "{:?}", plan.conflicts());
        plan
    }

    /// The rows of a table, one a line, in order.
    pub(crate) async fn rows(&self, table: &str) -> String {
        let sql = format!(
            "SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\"), '') FROM {table} AS t"
        );
        self.tracked.value(&sql).await
    }

    /// Kinds of conflicts, and what becomes of each.
    pub(crate) async fn conflicts(
        &mut self,
        selection: &Selection,
        way: OnConflict,
    ) -> Vec<(ConflictKind, Handling)> {
        let plan = self.plan(selection, way).await;
        plan.conflicts().iter().map(|conflict| (conflict.kind, conflict.handling)).collect()
    }
}

/// A row of a table in `public`, since a commit.
pub(crate) fn row(table: &str, key: impl Into<Key>, since: CommitPosition) -> Selection {
    Selection::Row {
        table: TableName::new("public", table),
        key: key.into(),
        since: bemi_core::record::Point::Lsn(since.0),
    }
}

/// What the statements do, in their order: `DELETE a 1`.
pub(crate) fn shown(plan: &Plan) -> Vec<String> {
    plan.statements()
        .iter()
        .map(|statement| {
            let key = statement.key().map_or("-", Key::as_str);
            let columns: Vec<&str> =
                statement.columns().iter().map(|change| change.column.as_str()).collect();
            match statement.action() {
                bemi_core::record::Action::Update => {
                    format!("UPDATE {} {key} ({})", statement.table(), columns.join(", "))
                }
                action => format!("{action} {} {key}", statement.table()),
            }
        })
        .collect()
}
