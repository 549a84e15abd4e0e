//! A statement that has not run yet, and how it goes to the server.

use bemi_core::adapter::Protocol;
use futures_util::stream::BoxStream;
use sea_orm::{Statement, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Error, Executor, PgConnection};

use crate::answer::Item;

/// A statement, as sea-orm has it.
pub(crate) enum Call {
    /// With its values, or none: prepared, as sea-orm does with it.
    Statement(Statement),
    /// A text without values, of one or several statements.
    Text(String),
}

/// How a statement of sea-orm's goes to the server.
pub(crate) fn protocol(statement: &Statement) -> Protocol {
    let values = statement.values.as_ref();
    Protocol::Extended { parameters: Some(values.map_or(0, |values| values.0.len())) }
}

impl Call {
    pub(crate) fn sql(&self) -> &str {
        match self {
            Self::Statement(statement) => &statement.sql,
            Self::Text(sql) => sql,
        }
    }

    /// How it goes to the server.
    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Statement(statement) => protocol(statement),
            Self::Text(_) => Protocol::Simple,
        }
    }

    /// The same statement with another text, which takes `message` as its last value.
    pub(crate) fn inlined(self, sql: String, message: &str) -> Self {
        match self {
            Self::Statement(mut statement) => {
                statement.sql = sql;
                statement.values.get_or_insert_with(|| Values(Vec::new())).0.push(message.into());
                Self::Statement(statement)
            }
            Self::Text(_) => Self::Text(sql),
        }
    }

    /// Runs it as sea-orm does: with the same text, the same values and the same preparation.
    pub(crate) fn fetch(self, connection: &mut PgConnection) -> BoxStream<'_, Result<Item, Error>> {
        match self {
            Self::Statement(Statement { sql, values, .. }) => {
                let values = SqlxValues(values.unwrap_or(Values(Vec::new())));
                connection.fetch_many(sqlx::query_with(AssertSqlSafe(sql), values))
            }
            Self::Text(sql) => connection.fetch_many(AssertSqlSafe(sql)),
        }
    }
}
