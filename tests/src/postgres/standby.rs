//! A hot standby of a cluster: it replays what the cluster writes, and answers reads.
//!
//! It is made by hand, with the server's own functions for backups: the packages that carry only a server lack `pg_basebackup`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio_postgres::Client;

use super::cluster::Cluster;
use super::endpoint::SUPERUSER;
use crate::HarnessError;

/// What belongs to the process that runs, and not to the data: files, and folders whose content stays behind.
const LEFT_BEHIND: [&str; 7] = [
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_stat_tmp",
    "pg_wal",
    "postmaster.opts",
    "postmaster.pid",
];

impl Cluster {
    /// Makes a hot standby of this cluster and starts it: statements that read run on it, as far as it has replayed.
    ///
    /// # Errors
    /// [`HarnessError::Database`] when this cluster is stopped; otherwise as [`start`](Self::start).
    ///
    /// # Examples
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bemi_tests::{Cluster, ClusterOptions};
    ///
    /// let primary = Cluster::start(&ClusterOptions::new())?;
    /// let standby = primary.standby().await?;
    /// let client = standby.connect("postgres").await?;
    /// let row = client.query_one("SELECT pg_is_in_recovery()", &[]).await?;
    /// assert!(row.get::<_, bool>(0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn standby(&self) -> Result<Self, HarnessError> {
        let mut standby = self.empty_sibling()?;
        let data = standby.data_dir();
        let (begin, end) = match self.binaries().major() {
            ..15 => ("pg_start_backup('standby', true, false)", "pg_stop_backup(false)"),
            _ => ("pg_backup_start('standby', true)", "pg_backup_stop(false)"),
        };
        // The backup lasts as long as this session.
        let client = self.connect("postgres").await?;
        text(&client, &format!("SELECT {begin}::text")).await?;
        copy_folder(&self.data_dir(), &data, true)?;
        let label = text(&client, &format!("SELECT labelfile FROM {end}")).await?;

        let password = self.endpoint().password.as_deref();
        let password = password.map(|password| format!(" password={password}")).unwrap_or_default();
        let primary = format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user={SUPERUSER}{password}'\n",
            self.port()
        );
        for (name, content) in
            [("backup_label", &*label), ("postgresql.auto.conf", &primary), ("standby.signal", "")]
        {
            let path = data.join(name);
            fs::write(&path, content).map_err(HarnessError::file("write", &path))?;
        }
        standby.own_all(&data)?;
        standby.start_on_free_port()?;
        Ok(standby)
    }
}

async fn text(client: &Client, sql: &str) -> Result<String, HarnessError> {
    let row =
        client.query_one(sql, &[]).await.map_err(HarnessError::database("back up", "postgres"))?;
    Ok(row.get(0))
}

/// Copies what is there when it is looked at. The server is at work in it: what it takes away meanwhile is of no use, and what it
/// writes meanwhile the standby replays.
fn copy_folder(from: &Path, to: &Path, is_top: bool) -> Result<(), HarnessError> {
    fs::create_dir(to).map_err(HarnessError::file("create", to))?;
    // The server insists on it.
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))
        .map_err(HarnessError::file("close to others", to))?;
    let Some(entries) = unless_gone(fs::read_dir(from), "list", from)? else { return Ok(()) };
    for entry in entries.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_left_behind = is_top && LEFT_BEHIND.iter().any(|name| entry.file_name() == **name);
        let Some(kind) = unless_gone(entry.file_type(), "look at", &source)? else { continue };
        if kind.is_dir() && is_left_behind {
            fs::create_dir(&target).map_err(HarnessError::file("create", &target))?;
        } else if kind.is_dir() {
            copy_folder(&source, &target, false)?;
        } else if !is_left_behind {
            unless_gone(fs::copy(&source, &target), "copy", &source)?;
        }
    }
    Ok(())
}

fn unless_gone<T>(
    result: io::Result<T>,
    doing: &'static str,
    path: &Path,
) -> Result<Option<T>, HarnessError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HarnessError::file(doing, path)(error)),
    }
}
