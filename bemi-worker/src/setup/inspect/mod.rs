//! What is there: the source and the destination as setup, teardown and doctor find them.
//!
//! It only reads. What it found is plain data, so that everything decided from it is decided
//! without a server.

mod ddl;
mod destination;
mod functions;
mod original;
mod roles;
mod source;
mod table;

pub(crate) use destination::{ADOPTED, ChangesTable, Destination};
pub(crate) use functions::RequestTrigger;
pub(crate) use original::{Original, OriginalChanges, unlike_original};
pub(crate) use roles::{FoundRole, Roles};
pub(crate) use source::{Installation, Publication, Record, RecordKind, Source};
pub(crate) use table::{Member, ReplicaIdentity, Table};

#[cfg(test)]
pub(crate) use ddl::DdlObjects;
#[cfg(test)]
pub(crate) use functions::ContextObjects;
#[cfg(test)]
pub(crate) use source::Role;
#[cfg(test)]
pub(crate) use table::Persistence;

use tokio_postgres::Client;

use crate::WorkerError;
use crate::config::Config;
use crate::error::Problems;

/// Both databases.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) destination: Destination,
    /// Looked for by setup alone.
    pub(crate) original: Original,
    /// Looked at by setup alone.
    pub(crate) roles: Roles,
}

impl Found {
    /// Looks at both databases.
    pub(crate) async fn inspect(
        config: &Config,
        source: &Client,
        destination: &Client,
    ) -> Result<Self, WorkerError> {
        refuse_old_servers(source, config).await?;
        let source = Source::inspect(source, config)
            .await
            .map_err(WorkerError::database(format!("read the catalog of {}", config.source)))?;
        let destination = Destination::inspect(destination, config).await.map_err(
            WorkerError::database(format!("read the catalog of {}", config.destination)),
        )?;
        Ok(Self { source, destination, original: Original::default(), roles: Roles::default() })
    }

    /// Whether source and destination are one database.
    pub(crate) fn is_one_database(&self) -> bool {
        self.source.system_identifier == self.destination.system_identifier
            && self.source.database == self.destination.database
    }
}

/// The first version whose pgoutput carries context messages.
const VERSION_MIN: i32 = 140_000;

/// The catalog of an older one lacks what is read here.
pub(crate) async fn refuse_old_servers(
    source: &Client,
    config: &Config,
) -> Result<(), WorkerError> {
    let version: i32 = source
        .query_one("SELECT pg_catalog.current_setting('server_version_num')::int4", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(WorkerError::database(format!("ask {} for its version", config.source)))?;
    let mut problems = Problems::default();
    if version < VERSION_MIN {
        problems.requirement(format!(
            "{} runs PostgreSQL {}, and context messages need 14 or newer; upgrade it",
            config.source,
            version / 10_000
        ));
    }
    problems.into_result()
}
