//! A query, taken apart so that its text can be read before it runs, and put together again.

use bemi_core::adapter::Protocol;
use bemi_core::{Context, MissingContextError, Scope};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgStatement};
use sqlx::{Arguments, AssertSqlSafe, Error, Execute, Postgres, SqlSafeStr, SqlStr};

/// A query that has not run yet: text, arguments and how to prepare it, as sqlx had them.
pub(crate) struct Call {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    statement: Option<PgStatement>,
    persistent: bool,
    /// The scope that the query was made in, which may not be the one that it is polled in.
    scope: Option<Scope>,
}

impl Call {
    /// Takes a query apart.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] when an argument could not be encoded.
    pub(crate) fn take<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, Error> {
        // In the order that sqlx asks in: the answers of some queries depend on it.
        let statement = query.statement().cloned();
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let persistent = query.persistent();
        Ok(Self { sql: query.sql(), arguments, statement, persistent, scope: Scope::current() })
    }

    /// The text.
    pub(crate) fn sql(&self) -> &str {
        self.sql.as_str()
    }

    /// How it goes to the server.
    pub(crate) fn protocol(&self) -> Protocol {
        match &self.arguments {
            None => Protocol::Simple,
            Some(_) if self.statement.is_some() => Protocol::Extended { parameters: None },
            Some(arguments) => Protocol::Extended { parameters: Some(arguments.len()) },
        }
    }

    /// The same query with another text, which takes `message` as its last argument.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] when the message is not to be encoded as text.
    pub(crate) fn inlined(mut self, sql: String, message: &str) -> Result<Self, Error> {
        self.sql = AssertSqlSafe(sql).into_sql_str();
        self.arguments.get_or_insert_default().add(message).map_err(Error::Encode)?;
        Ok(self)
    }

    /// The context to run it under: that of the scope it is polled in, else of the one it was made in.
    pub(crate) fn context(&self) -> Option<Context> {
        context_of(self.scope.as_ref())
    }
}

/// As sqlx has the errors of those beneath it; the [`MissingContextError`] is its source.
pub(crate) fn missing(error: MissingContextError) -> Error {
    Error::Configuration(error.into())
}

/// The context of the scope that is current here, else of `made_in`.
pub(crate) fn context_of(made_in: Option<&Scope>) -> Option<Context> {
    Scope::current().as_ref().or(made_in).map(Scope::context)
}

impl Execute<'_, Postgres> for Call {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
