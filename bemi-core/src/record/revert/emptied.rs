//! The rows that a TRUNCATE took away.
//!
//! They are those as of just before its transaction, with what that transaction did before it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::ReversibleSet;
use crate::record::{
    Changes, Database, Key, LIMIT_MAX, Point, Record, RecordError, Row, RowAt, TableName,
};
use crate::{Change, ChangeId, CommitPosition, Operation};

/// What a TRUNCATE took away.
#[derive(Clone, Debug, Default)]
pub(super) struct Emptied {
    pub(super) rows: Vec<Gone>,
    /// There may have been more, for this reason.
    pub(super) lacks: Option<String>,
}

/// A row that a TRUNCATE took away.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) key: Option<Key>,
    /// The row, or why it is not known.
    pub(super) row: Result<Row, String>,
}

impl<D: Database> Record<D> {
    /// Finds the rows that each TRUNCATE of the set took away; of these keys only, where some are given.
    pub(super) async fn fill_emptied(
        &mut self,
        set: &mut ReversibleSet,
        only: Option<&HashSet<Key>>,
    ) -> Result<(), RecordError<D::Error>> {
        let truncated: BTreeSet<(CommitPosition, TableName)> = set
            .changes
            .iter()
            .filter(|change| change.operation == Operation::Truncate)
            .map(|change| (change.commit_position, TableName::new(&change.schema, &change.table)))
            .collect();
        for (at, table) in truncated {
            for (change, emptied) in self.emptied_at(at, &table, only).await? {
                set.emptied.insert(change, emptied);
            }
        }
        Ok(())
    }

    /// For each TRUNCATE of a table in a transaction.
    async fn emptied_at(
        &mut self,
        at: CommitPosition,
        table: &TableName,
        only: Option<&HashSet<Key>>,
    ) -> Result<Vec<(ChangeId, Emptied)>, RecordError<D::Error>> {
        let mut content = Content::default();
        let before = Point::BeforeLsn(at.0);
        let known = match only {
            Some(keys) => {
                let keys: Vec<Key> = keys.iter().cloned().collect();
                self.as_of(before).rows(table, &keys).await?
            }
            None => {
                let whole = self.as_of(before).table(table).await?;
                if !whole.is_complete {
                    content.lacks = Some(
                        "the record does not go back to a moment when all of them were known"
                            .to_owned(),
                    );
                }
                whole.rows
            }
        };
        for row in known {
            match row.row {
                RowAt::Present(present) => content.add(row.key, Ok(present)),
                RowAt::Unknown(why) => content.add(row.key, Err(why.to_string())),
                RowAt::Absent => {}
            }
        }
        let mut emptied = Vec::new();
        let mut filter =
            Changes::new().commit(at).table(table.clone()).oldest_first().limit(LIMIT_MAX);
        loop {
            let page = self.changes(&filter).await?;
            for change in &page.items {
                if change.operation == Operation::Truncate {
                    let mut gone = std::mem::take(&mut content).emptied();
                    if let Some(keys) = only {
                        gone.rows
                            .retain(|gone| gone.key.as_ref().is_some_and(|key| keys.contains(key)));
                    }
                    emptied.push((change.id, gone));
                } else {
                    content.replay(change);
                }
            }
            match page.next {
                Some(next) => filter = filter.after(next),
                None => return Ok(emptied),
            }
        }
    }
}

/// The rows of a table, at a moment inside of a transaction.
#[derive(Default)]
struct Content {
    by_key: BTreeMap<Key, Result<Row, String>>,
    /// Rows of a table without a key.
    without: Vec<Result<Row, String>>,
    lacks: Option<String>,
}

impl Content {
    fn add(&mut self, key: Option<Key>, row: Result<Row, String>) {
        match key {
            Some(key) => {
                self.by_key.insert(key, row);
            }
            None => self.without.push(row),
        }
    }

    /// What a change did to it.
    fn replay(&mut self, change: &Change) {
        let key = change.primary_key.clone().map(Key::from);
        let was = change.previous_key.clone().map(Key::from).or_else(|| key.clone());
        let mut before = None;
        if matches!(change.operation, Operation::Update | Operation::Delete) {
            before = match &was {
                Some(was) => self.by_key.remove(was),
                None => self.take(&change.before),
            };
        }
        if matches!(change.operation, Operation::Create | Operation::Update) {
            self.add(key, after(change, before));
        }
    }

    /// Takes out a row of a table without a key.
    fn take(&mut self, row: &Row) -> Option<Result<Row, String>> {
        let place = self.without.iter().position(|one| one.as_ref() == Ok(row));
        if place.is_none() {
            self.lacks = Some("a row that it changed before was not known".to_owned());
        }
        place.map(|place| self.without.swap_remove(place))
    }

    fn emptied(self) -> Emptied {
        let keyed = self.by_key.into_iter().map(|(key, row)| Gone { key: Some(key), row });
        let without = self.without.into_iter().map(|row| Gone { key: None, row });
        Emptied { rows: keyed.chain(without).collect(), lacks: self.lacks }
    }
}

/// The row after a change; what PostgreSQL did not send is as it was.
fn after(change: &Change, before: Option<Result<Row, String>>) -> Result<Row, String> {
    let mut row = change.after.clone();
    let Some(unavailable) = &change.unavailable else { return Ok(row) };
    let unknown = || format!("the record does not tell {}", unavailable.join(", "));
    let mut before = before.ok_or_else(unknown)??;
    for column in unavailable {
        row.insert(column.clone(), before.remove(column).ok_or_else(unknown)?);
    }
    Ok(row)
}
