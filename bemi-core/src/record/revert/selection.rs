//! What is to be reverted.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::ReversibleSet;
use crate::record::{Changes, Database, Key, LIMIT_MAX, Point, Record, RecordError, TableName};
use crate::{Change, ChangeId, CommitPosition, Operation, TransactionId};

/// How many changes can be reverted at once. They are held in memory.
pub const REVERT_CHANGES_MAX: usize = 200_000;

/// What is to be reverted: a set of changes.
///
/// ```
/// use bemi_core::record::{Changes, Selection, TableName};
///
/// // What a request did.
/// let request = Selection::Where(Changes::new().context("request_id", "b7ad6b71"));
/// // What happened to a row in the last two hours.
/// let row = Selection::Row {
///     table: TableName::new("public", "todo"),
///     key: 26.into(),
///     since: "-2h".parse()?,
/// };
/// # Ok::<(), bemi_core::record::InvalidPoint>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Selection {
    /// That change alone.
    Change(ChangeId),
    /// All changes of the last transaction that had this id.
    Transaction(TransactionId),
    /// All changes of the transaction that this change is part of.
    TransactionOf(ChangeId),
    /// All changes of the transaction that committed there.
    Committed(CommitPosition),
    /// Every change of a row since a point: of the row that has the key now, also under keys that it
    /// had before, and of the row that had the key then, also under keys that it got since.
    Row {
        /// Its table.
        table: TableName,
        /// Its key.
        key: Key,
        /// The point; what it shows stays.
        since: Point,
    },
    /// All changes that fulfil a filter. Its order and limit are not looked at.
    Where(Changes),
    /// Everything that committed behind that position.
    After(CommitPosition),
}

impl Selection {
    /// What the context of the revert says was selected.
    fn described(&self) -> Value {
        match self {
            Self::Change(id) => json!({"change": id}),
            Self::Transaction(id) => json!({"transaction": id}),
            Self::TransactionOf(id) => json!({"transaction_of": id}),
            Self::Committed(at) => json!({"commit_position": at.to_string()}),
            Self::Row { table, key, since } => {
                json!({"table": table.to_string(), "key": key, "since": since.to_string()})
            }
            Self::Where(_) => json!("filter"),
            Self::After(at) => json!({"after": at.to_string()}),
        }
    }
}

impl<D: Database> Record<D> {
    /// The changes of a selection, ready to be [planned](ReversibleSet::plan) against the source.
    ///
    /// What the worker has not stored yet is not among them: call
    /// [`catch_up`](Self::catch_up) first, so that changes since are seen as such.
    ///
    /// # Errors
    /// [`RecordError::NoSuchPoint`] where the record has no such change or transaction,
    /// [`RecordError::TooManyChanges`] where there are more than [`REVERT_CHANGES_MAX`], and what
    /// reading gives.
    ///
    /// # Cancellation
    /// Nothing is lost but the answer.
    pub async fn reverse(
        &mut self,
        selection: &Selection,
    ) -> Result<ReversibleSet, RecordError<D::Error>> {
        let described = selection.described();
        let none = |what: String| RecordError::NoSuchPoint { what };
        let mut only = None;
        let changes = match selection {
            Selection::Change(id) => {
                vec![self.change(*id).await?.ok_or_else(|| none(format!("change {id}")))?]
            }
            Selection::Transaction(id) => {
                let last = Changes::new().transaction(*id).newest_first().limit(1);
                let last = self.changes(&last).await?.items.pop();
                let last = last.ok_or_else(|| none(format!("transaction {id}")))?;
                self.all(Changes::new().commit(last.commit_position)).await?
            }
            Selection::TransactionOf(id) => {
                let one = self.change(*id).await?.ok_or_else(|| none(format!("change {id}")))?;
                self.all(Changes::new().commit(one.commit_position)).await?
            }
            Selection::Committed(at) => {
                let changes = self.all(Changes::new().commit(*at)).await?;
                if changes.is_empty() {
                    return Err(none(format!("a transaction that committed at {at}")));
                }
                changes
            }
            Selection::Row { table, key, since } => {
                let since = self.resolve(*since).await?;
                let (changes, keys) = self.of_row(table, key, since).await?;
                only = Some(keys);
                changes
            }
            Selection::Where(filter) => self.all(filter.clone()).await?,
            Selection::After(at) => self.all(Changes::new().behind(*at)).await?,
        };
        let mut set = ReversibleSet::of(described, changes);
        self.fill_emptied(&mut set, only.as_ref()).await?;
        Ok(set)
    }

    /// All changes of a filter, the newest first.
    async fn all(&mut self, filter: Changes) -> Result<Vec<Change>, RecordError<D::Error>> {
        let mut filter = filter.newest_first().limit(LIMIT_MAX);
        let mut changes = Vec::new();
        loop {
            let page = self.changes(&filter).await?;
            changes.extend(page.items);
            if changes.len() > REVERT_CHANGES_MAX {
                return Err(RecordError::TooManyChanges { limit: REVERT_CHANGES_MAX });
            }
            match page.next {
                Some(next) => filter = filter.after(next),
                None => return Ok(changes),
            }
        }
    }

    /// The changes of a row behind a position, the newest first, and the keys that it had.
    async fn of_row(
        &mut self,
        table: &TableName,
        key: &Key,
        since: CommitPosition,
    ) -> Result<(Vec<Change>, HashSet<Key>), RecordError<D::Error>> {
        // All that ever had to do with a key which the row may have had, then what really was the row.
        let mut seen = HashSet::from([key.clone()]);
        let mut unasked = vec![key.clone()];
        let mut candidates: Vec<Change> = Vec::new();
        while let Some(next) = unasked.pop() {
            let found = self.all(Changes::new().record(table.clone(), next).behind(since)).await?;
            for change in &found {
                for key in keys(change) {
                    if seen.insert(key.clone()) {
                        unasked.push(key);
                    }
                }
            }
            candidates.extend(found);
        }
        candidates.sort_by_key(|change| std::cmp::Reverse(change.cursor()));
        candidates.dedup_by_key(|change| change.cursor());
        let mut chosen = walked(candidates.iter(), key, |(was, is)| (is, was));
        chosen.extend(walked(candidates.iter().rev(), key, |(was, is)| (was, is)));
        candidates.retain(|change| chosen.contains(&change.id));
        let keys = candidates.iter().flat_map(keys).chain([key.clone()]).collect();
        Ok((candidates, keys))
    }
}

/// The keys that a change has to do with.
fn keys(change: &Change) -> impl Iterator<Item = Key> + use<> {
    let keys = [change.primary_key.clone(), change.previous_key.clone()];
    keys.into_iter().flatten().map(Key::from)
}

/// Those changes that the row of a key went through, in a direction of time, which tells from which of
/// the two keys, before and after, a change leads to which.
fn walked<'a>(
    changes: impl Iterator<Item = &'a Change>,
    key: &Key,
    direction: impl Fn((Option<Key>, Option<Key>)) -> (Option<Key>, Option<Key>),
) -> HashSet<ChangeId> {
    let mut following = HashSet::from([key.clone()]);
    let mut chosen = HashSet::new();
    for change in changes {
        let is = change.primary_key.clone().map(Key::from);
        let was = change.previous_key.clone().map(Key::from).or_else(|| is.clone());
        let (from, to) = direction(match change.operation {
            Operation::Create => (None, is),
            Operation::Update => (was, is),
            Operation::Delete => (was, None),
            // Whichever row it is, it was taken away.
            Operation::Truncate => {
                chosen.insert(change.id);
                continue;
            }
            Operation::Snapshot | Operation::Ddl => continue,
        });
        let left = from.filter(|from| following.contains(from));
        if left.is_none() && to.as_ref() != Some(key) {
            continue;
        }
        chosen.insert(change.id);
        // The key itself is what was asked about, whoever has it.
        if let Some(left) = left.filter(|left| left != key) {
            following.remove(&left);
        }
        following.extend(to);
    }
    chosen
}
