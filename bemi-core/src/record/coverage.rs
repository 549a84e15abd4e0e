//! What the record covers: since when, of which rows, and where something is missing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::as_of::sql;
use super::slot::Slot;
use super::{Database, Record, RecordError, Sql, TableName, Unknown};
use crate::{CommitPosition, Lsn};

/// What the record covers of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// The table.
    pub table: TableName,
    /// Since when all its changes are recorded: as-of can go back to here. `None` where it is not
    /// tracked, or has no change yet.
    pub since: Option<Place>,
    /// From where on all its rows are known, but for the holes. Before that, those that have not
    /// changed since are unknown. `None` where that is so up to now: `bemi-worker backfill` stores them.
    pub complete_since: Option<Place>,
    /// How much its changes tell of the row before; `None` where it is not tracked, or setup was made by
    /// a version that did not note it.
    pub identity: Option<Identity>,
    /// Where something is missing.
    pub holes: Vec<Hole>,
}

/// A position in the order of commits, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// The position.
    pub position: CommitPosition,
    /// When the transaction that is there committed, by the source's clock.
    pub at: Option<Timestamp>,
}

/// How much the changes of a table tell of the row before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Identity {
    /// All of it.
    Full,
    /// Its key.
    Key,
    /// UPDATE and DELETE are not recorded.
    None,
}

/// A stretch in which something is missing. What was known before says nothing about what was behind it,
/// and the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hole {
    /// Where it begins.
    pub from: Lsn,
    /// Where it ends; `None` where it has not ended.
    pub to: Option<Lsn>,
    /// Why.
    pub why: Unknown,
}

#[derive(Deserialize)]
struct Told {
    since: Option<Place>,
    whole: Option<Whole>,
    identity: Option<Identity>,
    is_whole_before: bool,
    holes: Vec<Hole>,
}

/// Where all rows of the table were known at once.
#[derive(Deserialize)]
struct Whole {
    #[serde(flatten)]
    place: Place,
    /// From the table itself.
    was_read: bool,
}

const DOING: &str = "read what the record covers";
const WHAT: &str = "a table of the record";

impl<D: Database> Record<D> {
    /// What the record covers of each table that it knows, in the order of their names.
    ///
    /// # Errors
    /// [`RecordError::NotSetUp`] where there is no record, [`RecordError::Database`] where the server
    /// refuses.
    ///
    /// # Cancellation
    /// Safe.
    ///
    /// ```no_run
    /// # use bemi_core::record::{Database, Record, RecordError};
    /// # async fn example<D: Database>(database: D) -> Result<(), RecordError<D::Error>> {
    /// for table in Record::new(database).coverage().await? {
    ///     match table.since.and_then(|since| since.at) {
    ///         Some(at) => println!("{} can go back to {at}", table.table),
    ///         None => println!("{} is not recorded", table.table),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn coverage(&mut self) -> Result<Vec<Coverage>, RecordError<D::Error>> {
        let slot = self.slot().await?;
        let mut coverage = Vec::new();
        for table in self.known_tables(&slot).await? {
            coverage.push(self.coverage_at(&slot, table).await?);
        }
        Ok(coverage)
    }

    /// What the record covers of a table.
    ///
    /// # Errors
    /// As [`coverage`](Self::coverage).
    ///
    /// # Cancellation
    /// Safe.
    pub async fn coverage_of(
        &mut self,
        table: &TableName,
    ) -> Result<Coverage, RecordError<D::Error>> {
        let slot = self.slot().await?;
        self.coverage_at(&slot, table.clone()).await
    }

    async fn coverage_at(
        &mut self,
        slot: &Slot,
        table: TableName,
    ) -> Result<Coverage, RecordError<D::Error>> {
        let mut sql = Sql::new(sql::coverage(&self.changes_table()));
        sql.parameter(slot.name.clone());
        sql.parameter(slot.database.clone());
        sql.parameter(table.schema().to_owned());
        sql.parameter(table.table().to_owned());
        sql.parameter(slot.position.to_bigint().to_string());
        let told: Vec<Told> = self.ask(DOING, WHAT, &sql).await?;
        Ok(told.into_iter().next().map_or_else(
            || Coverage {
                table: table.clone(),
                since: None,
                complete_since: None,
                identity: None,
                holes: Vec::new(),
            },
            |told| told.read(table.clone()),
        ))
    }

    /// The tables that have events, or changes. The latter are found by jumping through the index.
    async fn known_tables(&mut self, slot: &Slot) -> Result<Vec<TableName>, RecordError<D::Error>> {
        let changes = self.changes_table();
        let mut sql = Sql::default();
        let name = sql.parameter(slot.name.clone());
        let database = sql.parameter(slot.database.clone());
        sql.push(&format!(
            "WITH RECURSIVE names AS (\
                 (SELECT c.\"table\" AS name FROM {changes} AS c ORDER BY c.\"table\" LIMIT 1) \
                 UNION ALL \
                 SELECT (SELECT c.\"table\" FROM {changes} AS c WHERE c.\"table\" > n.name \
                         ORDER BY c.\"table\" LIMIT 1) \
                 FROM names AS n WHERE n.name IS NOT NULL), \
             tables AS (\
                 SELECT e.schema, e.\"table\" FROM bemi.table_events AS e WHERE e.slot = {name} \
                 UNION \
                 SELECT c.schema, n.name FROM names AS n \
                 CROSS JOIN LATERAL (\
                     SELECT c.schema FROM {changes} AS c \
                     WHERE c.\"table\" = n.name AND c.database = {database} \
                       AND c.operation <> 'DDL' LIMIT 1) AS c) \
             SELECT json_build_object('schema', t.schema, 'table', t.\"table\")::text \
             FROM tables AS t ORDER BY t.schema, t.\"table\""
        ));
        self.ask(DOING, WHAT, &sql).await
    }
}

impl Told {
    fn read(self, table: TableName) -> Coverage {
        let complete_since = self.whole.map(|whole| {
            // Where changes tell the whole row before, what was read later tells of what was before.
            let since = self.since.filter(|since| {
                whole.was_read
                    && self.is_whole_before
                    && since.position <= whole.place.position
                    && !self.holes.iter().any(|hole| {
                        hole.from <= whole.place.position.0
                            && hole.to.is_none_or(|to| to >= since.position.0)
                    })
            });
            since.unwrap_or(whole.place)
        });
        Coverage {
            table,
            since: self.since,
            complete_since,
            identity: self.identity,
            holes: self.holes,
        }
    }
}
