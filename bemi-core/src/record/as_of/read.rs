//! Asking what was there, and reading the answer.

use serde::Deserialize;

use super::{At, RowOf, sql};
use crate::record::{Database, Key, Record, RecordError, Row, RowAt, Sql, TableName, Unknown};

const DOING: &str = "read what was there";
const WHAT: &str = "a row of the past";

/// Which rows are asked for.
#[derive(Clone, Copy)]
pub(in crate::record) enum Wanted<'a> {
    /// Those of these keys, and what is there now of them.
    These(&'a [Key], Option<&'a str>),
    /// The next ones, up to `limit` keys.
    Next { after: Option<&'a Key>, limit: u64 },
}

/// What can be said about the table as a whole.
#[derive(Clone, Copy, Deserialize)]
pub(in crate::record) struct Facts {
    /// Whether its rows have keys.
    pub(in crate::record) is_keyed: bool,
    /// Whether a key that the record does not have was there for no row.
    pub(in crate::record) is_complete: bool,
}

/// What the statement says of a row.
#[derive(Deserialize)]
struct Told {
    key: Option<Key>,
    state: State,
    row: Option<Row>,
    why: Option<Unknown>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Present,
    Absent,
    Unknown,
}

impl Told {
    fn read(self) -> RowOf {
        let row = match (self.state, self.row) {
            (State::Present, Some(row)) => RowAt::Present(row),
            (State::Absent, _) => RowAt::Absent,
            (State::Unknown | State::Present, _) => {
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
        bind(&mut sql, at, table);
        let facts: Vec<Facts> = self.ask(DOING, WHAT, &sql).await?;
        Ok(facts.first().copied().unwrap_or(Facts { is_keyed: false, is_complete: false }))
    }

    /// What the record tells of these rows, in the order of their keys.
    pub(in crate::record) async fn told(
        &mut self,
        at: &At,
        table: &TableName,
        wanted: Wanted<'_>,
    ) -> Result<Vec<RowOf>, RecordError<D::Error>> {
        let rows = sql::rows(&self.changes_table());
        let mut sql = Sql::new(format!("SELECT row_to_json(r)::text FROM ({rows}) AS r"));
        bind(&mut sql, at, table);
        let (keys, after, limit, live) = match wanted {
            Wanted::These(keys, live) => {
                (Some(serde_json::json!(keys).to_string()), None, keys.len().to_string(), live)
            }
            Wanted::Next { after, limit } => (None, after, limit.to_string(), None),
        };
        sql.parameter(keys);
        sql.parameter(after.map(|key| key.as_str().to_owned()));
        sql.parameter(limit);
        sql.parameter(live.map(ToOwned::to_owned));
        let told: Vec<Told> = self.ask(DOING, WHAT, &sql).await?;
        Ok(told.into_iter().map(Told::read).collect())
    }
}

/// The parameters that all statements have.
fn bind(sql: &mut Sql, at: &At, table: &TableName) {
    sql.parameter(at.slot.name.clone());
    sql.parameter(at.slot.database.clone());
    sql.parameter(table.schema().to_owned());
    sql.parameter(table.table().to_owned());
    sql.parameter(at.position.0.to_bigint().to_string());
}
