//! Prepared statements that know their text, which the library's own do not tell.

use std::sync::Arc;

use tokio_postgres::types::Type;
use tokio_postgres::{Column, Statement};

/// A prepared statement: the counterpart of tokio-postgres's [`Statement`].
///
/// It belongs to the connection that prepared it, and is closed there when its last clone is dropped.
///
/// ```no_run
/// # async fn example(client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
/// let insert = client.prepare("INSERT INTO todos (task) VALUES ($1)").await?;
/// for task in ["Sleep", "Eat"] {
///     client.execute(&insert, &[&task]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BemiStatement {
    sql: Arc<str>,
    untracked: Statement,
}

impl BemiStatement {
    pub(crate) fn new(sql: &str, untracked: Statement) -> Self {
        Self { sql: sql.into(), untracked }
    }

    /// Its text.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The types of its parameters.
    #[must_use]
    pub fn params(&self) -> &[Type] {
        self.untracked.params()
    }

    /// The columns of the rows that it answers with.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.untracked.columns()
    }

    /// tokio-postgres's own statement.
    #[must_use]
    pub fn untracked(&self) -> &Statement {
        &self.untracked
    }
}

/// What can be run: a text, which is prepared first, or a [`BemiStatement`]. The counterpart of tokio-postgres's
/// [`ToStatement`](tokio_postgres::ToStatement), and like that one it cannot be implemented elsewhere.
pub trait ToBemiStatement: sealed::Runnable {}

impl ToBemiStatement for str {}
impl ToBemiStatement for String {}
impl ToBemiStatement for BemiStatement {}

pub(crate) mod sealed {
    use super::BemiStatement;

    /// A text or a statement.
    pub trait Runnable {
        #[doc(hidden)]
        fn runnable(&self) -> Result<&BemiStatement, &str>;
    }

    impl Runnable for str {
        fn runnable(&self) -> Result<&BemiStatement, &str> {
            Err(self)
        }
    }

    impl Runnable for String {
        fn runnable(&self) -> Result<&BemiStatement, &str> {
            Err(self)
        }
    }

    impl Runnable for BemiStatement {
        fn runnable(&self) -> Result<&BemiStatement, &str> {
            Ok(self)
        }
    }
}
