//! Portals that know their statement's text.

use std::fmt;
use std::sync::Arc;

use tokio_postgres::Portal;

/// A statement with its parameters, whose rows are had in parts: the counterpart of tokio-postgres's [`Portal`].
///
/// It is had from [`BemiTransaction::bind`](crate::BemiTransaction::bind) and lasts as long as its transaction.
#[derive(Clone)]
pub struct BemiPortal {
    sql: Arc<str>,
    untracked: Portal,
}

impl BemiPortal {
    pub(crate) fn new(sql: &str, untracked: Portal) -> Self {
        Self { sql: sql.into(), untracked }
    }

    /// The text of its statement.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// tokio-postgres's own portal.
    #[must_use]
    pub fn untracked(&self) -> &Portal {
        &self.untracked
    }
}

impl fmt::Debug for BemiPortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiPortal").field("sql", &self.sql).finish_non_exhaustive()
    }
}
