//! A statement of the record as a query of diesel's, for both connections.

use bemi_core::record::Sql;
use diesel::deserialize::{self, QueryableByName};
use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::row::NamedRow;
use diesel::sql_types::{Nullable, Text};

/// The statement with its parameters.
pub(crate) fn bound(sql: &Sql) -> BoxedSqlQuery<'_, Pg, SqlQuery> {
    let query = diesel::sql_query(sql.text()).into_boxed();
    sql.parameters()
        .iter()
        .fold(query, |query, parameter| query.bind::<Nullable<Text>, _>(parameter.as_deref()))
}

/// A row of the answer: its one column, whatever its name is.
pub(crate) struct Answer(pub(crate) String);

impl QueryableByName<Pg> for Answer {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        row.get_value::<Text, String, _>(0).map(Self)
    }
}

/// What diesel does not tell apart: a savepoint is refused because no transaction is open.
pub(crate) fn told(error: Error, sql: &Sql, in_transaction: bool) -> Error {
    let is_unknown = matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, _));
    if is_unknown && !in_transaction && sql.text().starts_with("SAVEPOINT") {
        Error::NotInTransaction
    } else {
        error
    }
}

/// The code of what the server said, where diesel tells: of few errors, and of a table that is not there it
/// does not.
pub(crate) fn sqlstate(error: &Error) -> Option<String> {
    let code = match error {
        Error::NotInTransaction => "25P01",
        Error::DatabaseError(kind, _) => match kind {
            DatabaseErrorKind::UniqueViolation => "23505",
            DatabaseErrorKind::ForeignKeyViolation => "23503",
            DatabaseErrorKind::RestrictViolation => "23001",
            DatabaseErrorKind::NotNullViolation => "23502",
            DatabaseErrorKind::CheckViolation => "23514",
            DatabaseErrorKind::ExclusionViolation => "23P01",
            DatabaseErrorKind::SerializationFailure => "40001",
            DatabaseErrorKind::ReadOnlyTransaction => "25006",
            _ => return None,
        },
        _ => return None,
    };
    Some(code.to_owned())
}
