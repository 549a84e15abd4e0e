//! Columns that must not be stored, by the rules that setup keeps in the source.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::config::pattern::{ColumnPattern, NamePattern, TablePattern};
use crate::error::WorkerError;
use crate::render::Table;

/// The rules, as `bemi.excluded_columns` has them.
#[derive(Debug)]
pub(super) struct HiddenColumns {
    rules: Vec<ColumnPattern>,
}

impl HiddenColumns {
    pub(super) async fn read(client: &Client) -> Result<Self, WorkerError> {
        let read = || WorkerError::database("read bemi.excluded_columns in the source");
        let rows = client
            .query("SELECT schema_name, table_name, column_name FROM bemi.excluded_columns", &[])
            .await
            .map_err(|error| match error.code().map(SqlState::code) {
                // Neither the table nor its schema.
                Some("42P01" | "3F000") => WorkerError::NotSetUp {
                    what: "the source has no table bemi.excluded_columns".to_owned(),
                },
                _ => read()(error),
            })?;
        let rules = rows
            .iter()
            .map(|row| {
                let pattern = |column| Ok(NamePattern::of_glob(row.try_get(column)?));
                let table = TablePattern { schema: pattern(0)?, table: pattern(1)? };
                Ok(ColumnPattern { table, column: pattern(2)? })
            })
            .collect::<Result<_, _>>()
            .map_err(read())?;
        Ok(Self { rules })
    }

    pub(super) fn apply(&self, table: &mut Table) {
        let of_table: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| rule.table.matches(&table.schema, &table.name))
            .map(|rule| rule.column.clone())
            .collect();
        table.hide_columns(|column| of_table.iter().any(|pattern| pattern.matches(column)));
    }
}
