//! What of the pack is in a destination.

use tokio_postgres::{Client, Error};

/// What of the pack is there, as `bemi.sql_pack` and the catalog have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstalledPack {
    /// Whether the table is there.
    pub(crate) has_table: bool,
    /// In the order in which they were made.
    pub(crate) objects: Vec<InstalledObject>,
    /// The version of the worker that installed it last.
    pub(crate) version: Option<String>,
    /// Whether views of the past are missing, or of columns that their tables no longer have.
    pub(crate) has_stale_past: bool,
}

/// A function or view that setup installed, and that is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstalledObject {
    pub(crate) identity: String,
    pub(crate) head: String,
    pub(crate) digest: String,
}

impl InstalledPack {
    /// Whether setup was told to install it.
    pub(crate) fn is_installed(&self) -> bool {
        !self.objects.is_empty()
    }

    /// Reads it. The role must be allowed to use schema `bemi`.
    pub(crate) async fn read(client: &Client) -> Result<Self, Error> {
        let exists = "SELECT pg_catalog.to_regclass('bemi.sql_pack') IS NOT NULL,
                             pg_catalog.to_regprocedure('bemi.stale_past()') IS NOT NULL";
        let row = client.query_one(exists, &[]).await?;
        let has_table: bool = row.try_get(0)?;
        let has_past: bool = row.try_get(1)?;
        if !has_table {
            return Ok(Self::default());
        }
        let mut found = Self { has_table, ..Self::default() };
        for row in client.query(OBJECTS, &[]).await? {
            found.objects.push(InstalledObject {
                identity: row.try_get(0)?,
                head: row.try_get(1)?,
                digest: row.try_get(2)?,
            });
            found.version = Some(row.try_get(3)?);
        }
        if has_past {
            let stale = "SELECT EXISTS (SELECT FROM bemi.stale_past())";
            found.has_stale_past = client.query_one(stale, &[]).await?.try_get(0)?;
        }
        Ok(found)
    }
}

const OBJECTS: &str = "
SELECT object, head, digest, version FROM bemi.sql_pack
WHERE CASE WHEN object LIKE 'FUNCTION %'
           THEN pg_catalog.to_regprocedure(pg_catalog.substr(object, 10)) IS NOT NULL
           ELSE pg_catalog.to_regclass(pg_catalog.substr(object, 6)) IS NOT NULL END
ORDER BY place";
