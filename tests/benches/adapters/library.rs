//! A library and its adapter, as the benchmark sees them.

use std::fmt;
use std::thread;

use bemi_core::Settings;
use clap::ValueEnum;

use crate::Result;
use crate::work::{Operation, Work};

/// What there is to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    Sqlx,
    Diesel,
    DieselAsync,
    SeaOrm,
    TokioPostgres,
    /// Not an adapter, but what one would cost that waits for each answer.
    OneByOne,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlx => "sqlx",
            Self::Diesel => "diesel",
            Self::DieselAsync => "diesel-async",
            Self::SeaOrm => "SeaORM",
            Self::TokioPostgres => "tokio-postgres",
            Self::OneByOne => "tokio-postgres, one by one",
        })
    }
}

impl Name {
    /// Whether it is one of our crates, which have targets.
    pub(crate) fn is_adapter(self) -> bool {
        self != Self::OneByOne
    }
}

/// How a statement runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// By the plain library.
    Plain,
    /// By ours in a scope, as it is without any settings: with the statement's text.
    Text,
    /// By ours in a scope, `without_sql()`.
    WithoutSql,
    /// By ours in a scope, with `inline_messages()`.
    Inline,
    /// By ours, outside any scope.
    Outside,
    /// By the plain library, on the table with an audit trigger.
    Trigger,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Text => "in a scope",
            Self::WithoutSql => "`without_sql()`",
            Self::Inline => "`inline_messages()`",
            Self::Outside => "outside any scope",
            Self::Trigger => "audit trigger",
        })
    }
}

impl Variant {
    /// All but the plain one, in the order of the tables.
    pub(crate) const COMPARED: [Self; 5] =
        [Self::Text, Self::WithoutSql, Self::Inline, Self::Outside, Self::Trigger];

    /// Whether it is of interest for that operation.
    pub(crate) fn suits(self, operation: Operation) -> bool {
        match operation {
            Operation::Insert | Operation::Update => true,
            Operation::Transaction => self != Self::Outside,
            // A read has no message, whatever the settings.
            Operation::Read => matches!(self, Self::Plain | Self::Text),
        }
    }
}

/// A library and its adapter.
pub(crate) trait Library {
    /// A connection of the library's own.
    type Plain: Work;
    /// A connection of ours.
    type Ours: Work;

    const NAME: Name;
    /// What it is measured in beside [`Variant::Plain`].
    const VARIANTS: &[Variant];

    /// Connects with the library itself.
    ///
    /// # Errors
    /// Those of the library.
    async fn plain(url: &str) -> Result<Self::Plain>;

    /// Connects with the adapter.
    ///
    /// # Errors
    /// Those of the library.
    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours>;
}

/// Runs asynchronous code to its end on a thread and a runtime of its own, where nothing else runs between its statements.
/// Blocking code may be in it.
///
/// # Errors
/// Those of the code.
pub(crate) fn on_its_own_thread<T, F>(code: impl FnOnce() -> F + Send) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>>,
{
    let outcome = thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(code())
        });
        thread.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
