//! Asking what was there, and reading the answer.

use std::collections::HashMap;

use serde::Deserialize;

use super::{At, RowOf, sql};
use crate::record::{Database, Key, Record, RecordError, Row, RowAt, Sql, TableName, Unknown};

const DOING: &str = "read what was there";
const WHAT: &str = "a row of the past";

/// How many keys that take more than their nearest change are asked for at a time: so few that the server
/// does not take seconds to compile the statement (`jit_above_cost`).
const CHUNK_KEYS: usize = 64;

/// Which rows are asked for.
#[derive(Clone, Copy)]
pub(in crate::record) enum Wanted<'a> {
    /// Those of these keys.
    These(&'a [Key]),
    /// The next ones, up to `limit` keys.
    Next { after: Option<&'a Key>, limit: u64 },
}

/// What can be said about the table as a whole.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::record) struct Facts {
    /// Whether its rows have keys.
    pub(in crate::record) is_keyed: bool,
    /// Whether a key that the record does not have was there for no row.
    pub(in crate::record) is_complete: bool,
    /// Up to where nothing is missing from the point on.
    pub(in crate::record) ceiling_position: i64,
    /// Whether nothing is missing from the point on.
    pub(in crate::record) is_open: bool,
    /// Behind this place, a change tells the row as it is.
    settled_position: i64,
    settled_sequence: i64,
    /// Where the table was empty; nothing is missing since.
    cleared_position: Option<i64>,
    cleared_sequence: Option<i64>,
    /// Behind this place, it has the columns of the point; before that, it takes these, a JSON array.
    shaped_position: i64,
    shaped_sequence: i64,
    reshapings: Option<String>,
}

/// What the statement says of a row.
#[derive(Deserialize)]
struct Told {
    key: Option<Key>,
    state: State,
    row: Option<Row>,
    #[serde(default)]
    why: Option<Unknown>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Present,
    Absent,
    Unknown,
    /// A table of the same name in another schema has the key.
    Elsewhere,
    /// It takes more than the nearest change.
    Undecided,
}

impl Told {
    fn read(self) -> RowOf {
        let row = match (self.state, self.row) {
            (State::Present, Some(row)) => RowAt::Present(row),
            (State::Absent | State::Elsewhere, _) => RowAt::Absent,
            (State::Unknown | State::Undecided | State::Present, _) => {
                RowAt::Unknown(self.why.unwrap_or(Unknown::BeforeRecord))
            }
        };
        RowOf { key: self.key, row }
    }
}

impl<D: Database> Record<D> {
    pub(in crate::record) async fn facts(
        &mut self,
        at: &At,
        table: &TableName,
    ) -> Result<Facts, RecordError<D::Error>> {
        let facts = sql::facts(&self.changes_table());
        let mut sql = Sql::new(format!("SELECT row_to_json(f)::text FROM ({facts}) AS f"));
        sql.parameter(at.slot.name.clone());
        bind(&mut sql, at, table);
        // It always has one.
        let mut facts = self.ask(DOING, WHAT, &sql).await?.into_iter();
        facts.next().ok_or_else(|| RecordError::Unreadable {
            what: WHAT,
            source: serde::de::Error::custom("there is nothing about the table"),
        })
    }

    /// What the record tells of these rows, in the order of their keys. Most are told by their nearest
    /// change alone; the others are asked for again.
    pub(in crate::record) async fn told(
        &mut self,
        at: &At,
        table: &TableName,
        facts: &Facts,
        wanted: Wanted<'_>,
    ) -> Result<Vec<RowOf>, RecordError<D::Error>> {
        if !facts.is_keyed {
            return match wanted {
                Wanted::These(..) => Ok(Vec::new()),
                Wanted::Next { .. } => self.told_by_all(at, table, None, None).await,
            };
        }
        let mut rows = self.told_by_nearest(at, table, facts, wanted).await?;
        let undecided: Vec<Key> = rows
            .iter()
            .filter(|told| matches!(told.state, State::Undecided))
            .filter_map(|told| told.key.clone())
            .collect();
        if undecided.is_empty() {
            return Ok(rows.into_iter().map(Told::read).collect());
        }
        let told = self.told_by_all(at, table, Some(&undecided), None).await?;
        let mut told: HashMap<Option<Key>, RowAt<Row>> =
            told.into_iter().map(|row| (row.key, row.row)).collect();
        Ok(rows
            .drain(..)
            .map(|row| match told.remove(&row.key) {
                Some(told) => RowOf { key: row.key, row: told },
                None => row.read(),
            })
            .collect())
    }

    async fn told_by_nearest(
        &mut self,
        at: &At,
        table: &TableName,
        facts: &Facts,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Told>, RecordError<D::Error>> {
        let rows = sql::nearest(&self.changes_table());
        let mut sql = Sql::new(format!("SELECT row_to_json(r)::text FROM ({rows}) AS r"));
        bind(&mut sql, at, table);
        let (keys, after, limit) = match wanted {
            Wanted::These(keys) => (Some(texts(keys)), None, keys.len().to_string()),
            Wanted::Next { after, limit } => (None, after, limit.to_string()),
        };
        sql.parameter(keys);
        sql.parameter(after.map(|key| key.as_str().to_owned()));
        sql.parameter(limit);
        sql.parameter(facts.settled_position.to_string());
        sql.parameter(facts.settled_sequence.to_string());
        sql.parameter(facts.cleared_position.map(|position| position.to_string()));
        sql.parameter(facts.cleared_sequence.map(|sequence| sequence.to_string()));
        sql.parameter(facts.shaped_position.to_string());
        sql.parameter(facts.shaped_sequence.to_string());
        sql.parameter(facts.reshapings.clone());
        self.ask(DOING, WHAT, &sql).await
    }

    /// What all changes around the point tell, and the rows that are there now; of all rows of a table
    /// without a key.
    pub(in crate::record) async fn told_by_all(
        &mut self,
        at: &At,
        table: &TableName,
        keys: Option<&[Key]>,
        live: Option<&str>,
    ) -> Result<Vec<RowOf>, RecordError<D::Error>> {
        let rows = sql::rows(&self.changes_table());
        let text = format!("SELECT row_to_json(r)::text FROM ({rows}) AS r");
        let chunks: Vec<Option<&[Key]>> = match keys {
            Some(keys) => keys.chunks(CHUNK_KEYS).map(Some).collect(),
            None => vec![None],
        };
        let mut all = Vec::new();
        for keys in chunks {
            let mut sql = Sql::new(text.as_str());
            sql.parameter(at.slot.name.clone());
            bind(&mut sql, at, table);
            sql.parameter(keys.map(texts));
            sql.parameter(None);
            sql.parameter(keys.map_or(0, <[Key]>::len).to_string());
            sql.parameter(live.map(ToOwned::to_owned));
            let told: Vec<Told> = self.ask(DOING, WHAT, &sql).await?;
            all.extend(told.into_iter().map(Told::read));
        }
        Ok(all)
    }
}

fn texts(keys: &[Key]) -> String {
    serde_json::json!(keys).to_string()
}

/// The parameters that all statements have: database, schema, table and position.
fn bind(sql: &mut Sql, at: &At, table: &TableName) {
    sql.parameter(at.slot.database.clone());
    sql.parameter(table.schema().to_owned());
    sql.parameter(table.table().to_owned());
    sql.parameter(at.position.0.to_bigint().to_string());
}
