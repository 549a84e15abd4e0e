//! What the contract asks of an adapter, in words that every library has.
//!
//! A driver does with its library what a user of that library would write: no short cuts, no code of the adapter's inside. Each
//! file under `drivers/` is one.
//!
//! Queries answer with one text column that is named `value`, because some libraries must know the columns when they are compiled.

use std::error::Error;
use std::sync::Arc;

use bemi_core::Settings;
use futures_util::future::BoxFuture;

/// How to open a driver.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) url: String,
    /// How many connections its pool has, at most.
    pub(crate) connections: u32,
    pub(crate) settings: Settings,
    /// False where the server connection may be another one for each transaction, so that statements must not be prepared by name.
    pub(crate) named_statements: bool,
}

/// A value that is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bind<'a> {
    Int(i32),
    Text(&'a str),
}

/// The rows of a query: its one text column, `value`.
pub(crate) type Values = Vec<Option<String>>;

/// What went wrong, as the library tells it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The server's code, where the server refused.
    pub(crate) sqlstate: Option<String>,
    /// The error and those beneath it.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with this code, and with what `error` and those beneath it say.
    pub(crate) fn new(sqlstate: Option<String>, error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| (*error).source());
        let message = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self { sqlstate, message }
    }
}

/// The isolation of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Default,
    Serializable,
    ReadOnly,
}

/// What not every library can do. A case that needs it is run by those that can: `drivers::DRIVERS` says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// A call can be cancelled by dropping its future.
    Cancel,
    /// Rows can be read one by one, and the rest be left.
    Stream,
    /// COPY … FROM STDIN.
    CopyIn,
}

/// How a driver is opened: `pub(crate) fn open(opening: Opening) -> Opened` of each file under `drivers/`.
pub(crate) type Opened = BoxFuture<'static, Result<Arc<dyn Driver>, Failure>>;

/// A pool of an adapter.
pub(crate) trait Driver: Send + Sync {
    /// One statement with bound values, in autocommit. Gives the number of rows affected.
    fn execute<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>>;

    /// One query with bound values, in autocommit, all of its rows.
    fn query<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>>;

    /// A text without values, of one or several statements, by the simple query protocol.
    fn script<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>>;

    /// Reads the first row of a query as a stream and drops the rest. [`Ability::Stream`].
    fn first<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>>;

    /// Copies text in. [`Ability::CopyIn`].
    fn copy_in<'a>(&'a self, sql: &'a str, data: &'a str) -> BoxFuture<'a, Result<u64, Failure>>;

    /// Begins a transaction. Dropping what it gives rolls back.
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>>;
}

/// An open transaction or savepoint of an adapter.
pub(crate) trait Transaction: Send {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>>;

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>>;

    fn script<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>>;

    /// A transaction inside this one: a savepoint.
    fn begin(&mut self) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>>;

    fn commit<'a>(self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a;

    fn rollback<'a>(self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a;
}
