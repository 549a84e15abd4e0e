//! One condition on a change, as SQL.
//!
//! What comes from outside is a parameter; the text is ours alone. The change is `c`.

use jiff::Timestamp;

use crate::record::Sql;
use crate::{CommitPosition, TransactionId};

/// A condition on a change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Database(String),
    FieldChanged(String),
    /// JSON text, so that no digit is lost.
    Contains(Part, String),
    Context {
        key: String,
        value: String,
    },
    WithoutContext,
    WithoutBaseline,
    Trace(String),
    Transaction(TransactionId),
    Commit(CommitPosition),
    Since(Timestamp),
    Until(Timestamp),
    Behind(CommitPosition),
    UpTo(CommitPosition),
}

/// A column of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Before,
    After,
    Context,
}

impl Part {
    const fn column(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Context => "context",
        }
    }
}

/// The id of the trace that the change `c` is part of. An index on the same expression serves it.
pub(crate) const fn trace_id() -> &'static str {
    "coalesce(c.context ->> 'trace_id', substr(c.context ->> 'traceparent', 4, 32))"
}

impl Condition {
    /// As SQL, with its parameters added to `sql`.
    pub(super) fn to_sql(&self, sql: &mut Sql) -> String {
        match self {
            Self::Database(name) => format!("c.database = {}", sql.parameter(name.clone())),
            Self::FieldChanged(column) => {
                let column = sql.parameter(column.clone());
                // What is not in `before` is unknown, and NULL is distinct from any value.
                format!(
                    "(c.operation = 'UPDATE' AND c.before -> {column} IS DISTINCT FROM c.after -> {column} \
                     AND coalesce({column} <> ALL (c.unavailable), true))"
                )
            }
            Self::Contains(part, json) => {
                format!("c.{} @> {}::jsonb", part.column(), sql.parameter(json.clone()))
            }
            Self::Context { key, value } => {
                let key_parameter = sql.parameter(key.clone());
                let value = sql.parameter(value.clone());
                let at_key = format!("c.context ->> {key_parameter} = {value}");
                if key.contains('.') {
                    let path = format!("string_to_array({key_parameter}, '.')");
                    format!("({at_key} OR c.context #>> {path} = {value})")
                } else {
                    at_key
                }
            }
            Self::WithoutContext => "c.context = '{}'".to_owned(),
            Self::WithoutBaseline => "c.operation <> 'SNAPSHOT'".to_owned(),
            Self::Trace(id) => format!("{} = {}", trace_id(), sql.parameter(id.clone())),
            Self::Transaction(id) => {
                format!("c.transaction_id = {}::bigint", sql.parameter(id.to_string()))
            }
            Self::Commit(at) => format!("c.commit_position = {}", position(sql, *at)),
            Self::Behind(at) => format!("c.commit_position > {}", position(sql, *at)),
            Self::UpTo(at) => format!("c.commit_position <= {}", position(sql, *at)),
            Self::Since(at) => format!("c.committed_at >= {}", instant(sql, *at)),
            Self::Until(at) => format!("c.committed_at < {}", instant(sql, *at)),
        }
    }
}

fn position(sql: &mut Sql, position: CommitPosition) -> String {
    format!("{}::bigint", sql.parameter(position.0.to_bigint().to_string()))
}

/// An instant as a parameter. The server has no years before 4713 BC, and spells those before 1
/// otherwise; nothing was recorded then.
pub(super) fn instant(sql: &mut Sql, instant: Timestamp) -> String {
    const YEAR_1_SECONDS: i64 = -62_135_596_800;
    let text = if instant.as_second() < YEAR_1_SECONDS {
        "-infinity".to_owned()
    } else {
        instant.to_string()
    };
    format!("{}::timestamptz", sql.parameter(text))
}
