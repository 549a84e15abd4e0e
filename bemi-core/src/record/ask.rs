//! Asking the database, and reading what it answers.

use serde::de::DeserializeOwned;

use super::{Database, Record, RecordError, Sql};

/// A table or a schema that is not there.
const UNDEFINED: [&str; 2] = ["42P01", "3F000"];

impl<D: Database> Record<D> {
    /// The rows of an answer, each the JSON of a `T`. `doing` is a verb, `what` a noun: for errors.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        doing: &'static str,
        what: &'static str,
        sql: &Sql,
    ) -> Result<Vec<T>, RecordError<D::Error>> {
        let rows = match self.database.query(sql).await {
            Ok(rows) => rows,
            Err(source) => return Err(self.refused(doing, source)),
        };
        rows.iter()
            .map(|row| serde_json::from_str(row))
            .collect::<Result<_, _>>()
            .map_err(|source| RecordError::Unreadable { what, source })
    }

    /// Why the database has refused.
    pub(crate) fn refused(&self, doing: &'static str, source: D::Error) -> RecordError<D::Error> {
        match D::sqlstate(&source) {
            Some(state) if UNDEFINED.contains(&state.as_str()) => RecordError::NotSetUp {
                what: format!("{} or a table of schema bemi", self.changes_table()),
            },
            _ => RecordError::Database { doing, source },
        }
    }
}
