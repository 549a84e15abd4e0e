//! As of a point: rows and tables of the past.
//!
//! What is known of a row at the point comes from the nearest change of its key up to there, or from
//! the nearest one behind it, or, where there is none, from the row that is there now. In between
//! nothing may be missing: not the time before the table was tracked, no gap, no change in quarantine.
//! Else the row is [`Unknown`](super::RowAt::Unknown), with the reason.
//!
//! Invariant: what is told is a prefix of the order of commits, up to the position of the point.

mod live;
mod read;
pub(super) mod sql;

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;

use self::live::Live;
pub(super) use self::read::{Facts, Wanted};
use super::slot::Slot;
use super::{Database, Key, Point, Record, RecordError, Row, RowAt, TableName};
use crate::CommitPosition;

/// How many keys are asked for at a time where a table is read whole: so few that the server does not take
/// the time to compile the statement.
const PAGE_KEYS: u64 = 2_000;
const PAGE_ROWS: usize = 2_000;

/// The record as of a point. From [`Record::as_of`].
///
/// The point is resolved with the first question, and stays.
#[derive(Debug)]
pub struct AsOf<'a, D, S = D> {
    record: &'a mut Record<D>,
    point: Point,
    at: Option<At>,
    live: Live<'a, S>,
}

/// The point, resolved.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) slot: Slot,
    pub(super) position: CommitPosition,
}

/// A row of a table as of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowOf {
    /// Its key; `None` in a table without one.
    pub key: Option<Key>,
    /// What is known of it.
    pub row: RowAt<Row>,
}

/// Rows of a table as of a point, those that were there and those of which it is not known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TableAsOf {
    /// The rows, in the order of their keys as the destination sorts texts, and then those that only the
    /// source has. Those that are known to be absent are not among them.
    pub rows: Vec<RowOf>,
    /// Whether these are all the rows that there were, each known: nothing is missing in the record
    /// between a moment when all of them were known and the point.
    pub is_complete: bool,
    /// The key behind which the next page begins; `None` where there is none.
    pub next: Option<Key>,
}

impl<D: Database> Record<D> {
    /// The record as of a point in time.
    ///
    /// ```no_run
    /// # use bemi_core::record::{Database, Record, RowAt, TableName};
    /// # #[derive(serde::Deserialize)]
    /// # struct Todo { task: String }
    /// # async fn example<D: Database>(database: D) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut record = Record::new(database);
    /// let mut then = record.as_of("-2h".parse()?);
    /// match then.get::<Todo>(&TableName::new("public", "todo"), &26.into()).await? {
    ///     RowAt::Present(todo) => println!("it was {}", todo.task),
    ///     RowAt::Absent => println!("there was none"),
    ///     RowAt::Unknown(why) => println!("nobody knows: {why}"),
    ///     _ => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_of(&mut self, point: Point) -> AsOf<'_, D> {
        AsOf { record: self, point, at: None, live: Live::None }
    }
}

impl<'a, D: Database, S: Database<Error = D::Error>> AsOf<'a, D, S> {
    /// The same, where rows that have not changed since are taken from the source as they are now. It
    /// is asked through this connection; where the record is in its source, see
    /// [`with_live_here`](Self::with_live_here).
    #[must_use]
    pub fn with_live<L: Database<Error = D::Error>>(self, source: &'a mut L) -> AsOf<'a, D, L> {
        AsOf { record: self.record, point: self.point, at: self.at, live: Live::There(source) }
    }

    /// The same, through the record's own connection.
    #[must_use]
    pub fn with_live_here(self) -> Self {
        Self { live: Live::Here, ..self }
    }

    /// The commit position of the point.
    ///
    /// # Errors
    /// As [`Record::resolve`].
    pub async fn position(&mut self) -> Result<CommitPosition, RecordError<D::Error>> {
        Ok(self.at().await?.position)
    }

    /// A row, with the columns of that time.
    ///
    /// # Errors
    /// As [`Record::resolve`]; [`RecordError::Database`] where a database refuses.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn row(
        &mut self,
        table: &TableName,
        key: &Key,
    ) -> Result<RowAt<Row>, RecordError<D::Error>> {
        let mut rows = self.rows(table, std::slice::from_ref(key)).await?;
        // A table without a key has no row of any.
        Ok(rows.pop().map_or(RowAt::Absent, |row| row.row))
    }

    /// The rows of these keys, present or not, in any order.
    ///
    /// # Errors
    /// As [`row`](Self::row).
    pub async fn rows(
        &mut self,
        table: &TableName,
        keys: &[Key],
    ) -> Result<Vec<RowOf>, RecordError<D::Error>> {
        let at = self.at().await?;
        let facts = self.record.facts(&at, table).await?;
        let mut rows = self.record.told(&at, table, &facts, Wanted::These(keys)).await?;
        self.ask_live(&at, table, &mut rows).await?;
        Ok(rows)
    }

    /// A row as a value of `T`. It has the columns of that time: those that were dropped since are left
    /// out where `T` does not know them, and those that `T` wants and that were not there yet are as
    /// serde has them: `None`, a default, or an error.
    ///
    /// # Errors
    /// As [`row`](Self::row); [`RecordError::OtherType`] where serde cannot make a `T` of it.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        table: &TableName,
        key: &Key,
    ) -> Result<RowAt<T>, RecordError<D::Error>> {
        Ok(match self.row(table, key).await? {
            RowAt::Present(row) => {
                RowAt::Present(row.to().map_err(|source| RecordError::OtherType {
                    table: table.to_string(),
                    source,
                })?)
            }
            RowAt::Absent => RowAt::Absent,
            RowAt::Unknown(why) => RowAt::Unknown(why),
        })
    }

    /// A whole table, in memory. Of a large one, take [pages](Self::page).
    ///
    /// # Errors
    /// As [`row`](Self::row).
    ///
    /// # Cancellation
    /// Safe.
    pub async fn table(&mut self, table: &TableName) -> Result<TableAsOf, RecordError<D::Error>> {
        let at = self.at().await?;
        // First: whatever goes from here on has a change that the pages find.
        let live = self.live.keys(self.record, &at, table).await?;
        let mut whole = self.page(table, None, PAGE_KEYS).await?;
        while let Some(next) = whole.next.take() {
            let page = self.page(table, Some(&next), PAGE_KEYS).await?;
            whole.rows.extend(page.rows);
            whole.is_complete &= page.is_complete;
            whole.next = page.next;
        }
        let Some(mut live) = live else { return Ok(whole) };
        let told: HashSet<&Key> = whole.rows.iter().filter_map(|row| row.key.as_ref()).collect();
        live.retain(|key| !told.contains(key));
        for keys in live.chunks(PAGE_ROWS) {
            let rows = self.rows(table, keys).await?;
            whole.rows.extend(rows.into_iter().filter(|row| row.row != RowAt::Absent));
        }
        let facts = self.record.facts(&at, table).await?;
        let is_known = whole.rows.iter().all(|row| matches!(row.row, RowAt::Present(_)));
        whole.is_complete = is_known && facts.is_keyed && (facts.is_complete || facts.is_open);
        Ok(whole)
    }

    /// The rows of the next `limit` keys behind one: those that were there, and those of which it is
    /// not known. A table without a key is one page. Rows that the record has never had are on none;
    /// [`table`](Self::table) finds them.
    ///
    /// # Errors
    /// As [`row`](Self::row).
    ///
    /// # Cancellation
    /// Safe.
    pub async fn page(
        &mut self,
        table: &TableName,
        after: Option<&Key>,
        limit: u64,
    ) -> Result<TableAsOf, RecordError<D::Error>> {
        let at = self.at().await?;
        let facts = self.record.facts(&at, table).await?;
        let limit = limit.max(1);
        let mut rows = self.record.told(&at, table, &facts, Wanted::Next { after, limit }).await?;
        let is_last = !facts.is_keyed || u64::try_from(rows.len()).is_ok_and(|keys| keys < limit);
        let next = if is_last { None } else { rows.last().and_then(|row| row.key.clone()) };
        self.ask_live(&at, table, &mut rows).await?;
        rows.retain(|row| row.row != RowAt::Absent);
        let is_known = rows.iter().all(|row| matches!(row.row, RowAt::Present(_)));
        Ok(TableAsOf { is_complete: facts.is_complete && is_known, rows, next })
    }

    async fn at(&mut self) -> Result<At, RecordError<D::Error>> {
        if let Some(at) = &self.at {
            return Ok(at.clone());
        }
        let position = self.record.resolve(self.point).await?;
        let at = At { slot: self.record.slot().await?, position };
        self.at = Some(at.clone());
        Ok(at)
    }

    /// Has the rows that are there now tell of those that the record does not.
    async fn ask_live(
        &mut self,
        at: &At,
        table: &TableName,
        rows: &mut [RowOf],
    ) -> Result<(), RecordError<D::Error>> {
        let unknown = rows.iter_mut().filter(|row| matches!(row.row, RowAt::Unknown(_)));
        let mut unknown: Vec<(Key, &mut RowOf)> =
            unknown.filter_map(|row| row.key.clone().map(|key| (key, row))).collect();
        let keys: Vec<Key> = unknown.iter().map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let Some(live) = self.live.read(self.record, at, table, &keys).await? else {
            return Ok(());
        };
        let told = self.record.told_by_all(at, table, Some(&keys), Some(&live)).await?;
        let mut told: HashMap<Key, RowAt<Row>> =
            told.into_iter().filter_map(|row| Some((row.key?, row.row))).collect();
        for (key, row) in &mut unknown {
            if let Some(told) = told.remove(key) {
                row.row = told;
            }
        }
        Ok(())
    }
}
