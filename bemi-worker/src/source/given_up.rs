//! That a slot was given up, written down in the source before it is dropped.
//!
//! The destination may be out of reach at that moment, and the worker may end before it is back. What
//! was lost, and why, is known from here then, and becomes a gap in the destination.

use bemi_core::Lsn;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::config::SlotName;

/// That a slot was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenUp {
    /// What was too much, and when, as a gap has it.
    pub(crate) reason: String,
    /// Everything up to here that was not stored is lost.
    pub(crate) position: Lsn,
}

impl GivenUp {
    /// Reads what was written down last of a slot; `None` where that is nothing, or nobody may ask.
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub(crate) async fn read(client: &Client, slot: &SlotName) -> Result<Option<Self>, Error> {
        let asked = client
            .query_opt(
                "SELECT reason, position FROM bemi.given_up WHERE slot = $1",
                &[&slot.as_str()],
            )
            .await;
        match asked {
            Ok(None) => Ok(None),
            Ok(Some(row)) => Ok(Some(Self {
                reason: row.try_get(0)?,
                position: Lsn::from_bigint(row.try_get(1)?),
            })),
            // Setup was of an older version, or gave this role no right to it: then it gave nothing up.
            Err(error)
                if error.code() == Some(&SqlState::UNDEFINED_TABLE)
                    || error.code() == Some(&SqlState::INVALID_SCHEMA_NAME)
                    || error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes down that everything up to now that is not stored is given up, and why.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    pub(crate) async fn record(
        client: &Client,
        slot: &SlotName,
        reason: &str,
    ) -> Result<(), Error> {
        client
            .execute(
                "INSERT INTO bemi.given_up (slot, reason, position) \
                 VALUES ($1, $2, (pg_catalog.pg_current_wal_lsn() - '0/0')::bigint) \
                 ON CONFLICT (slot) DO UPDATE SET reason = excluded.reason, \
                     position = excluded.position, given_up_at = pg_catalog.now()",
                &[&slot.as_str(), &reason],
            )
            .await?;
        Ok(())
    }

    /// Whether this role can [`Self::record`].
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub(crate) async fn can_be_recorded(client: &Client) -> Result<bool, Error> {
        let row = client
            .query_one(
                "SELECT coalesce(pg_catalog.has_table_privilege(c.oid, 'INSERT') \
                     AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
                     AND pg_catalog.has_table_privilege(c.oid, 'UPDATE'), false) \
                 FROM (VALUES (1)) AS one LEFT JOIN (pg_catalog.pg_class c \
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'bemi') \
                     ON c.relname = 'given_up'",
                &[],
            )
            .await?;
        row.try_get(0)
    }
}
