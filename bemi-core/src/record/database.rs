//! What a connection must be able to do to be asked.

use std::future::Future;
use std::time::Duration;

use super::Sql;

/// A connection to PostgreSQL, of any library.
///
/// The adapters implement it for their connections. Where an answer is there at once, as with
/// blocking libraries, the futures are ready when they are first polled.
///
/// # Cancellation
/// Dropping a future leaves the connection as the library leaves it.
pub trait Database: Send {
    /// The library's error.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Whether each write by [`execute`](Self::execute) is preceded by the message of the ambient
    /// context, as it is with the adapters' own connections. Otherwise whoever wants a context must
    /// emit its message.
    const EMITS_CONTEXT: bool;

    /// Runs a statement that gives rows of one column, of type `text` and never null.
    ///
    /// # Errors
    /// The library's.
    fn query(&mut self, sql: &Sql)
    -> impl Future<Output = Result<Vec<String>, Self::Error>> + Send;

    /// Runs a statement; gives how many rows it hit.
    ///
    /// # Errors
    /// The library's.
    fn execute(&mut self, sql: &Sql) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// The SQLSTATE of an error of the server, five characters.
    fn sqlstate(error: &Self::Error) -> Option<String>;

    /// Waits.
    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send;
}

impl<D: Database> Database for &mut D {
    type Error = D::Error;

    const EMITS_CONTEXT: bool = D::EMITS_CONTEXT;

    fn query(
        &mut self,
        sql: &Sql,
    ) -> impl Future<Output = Result<Vec<String>, Self::Error>> + Send {
        (**self).query(sql)
    }

    fn execute(&mut self, sql: &Sql) -> impl Future<Output = Result<u64, Self::Error>> + Send {
        (**self).execute(sql)
    }

    fn sqlstate(error: &Self::Error) -> Option<String> {
        D::sqlstate(error)
    }

    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        (**self).pause(time)
    }
}
