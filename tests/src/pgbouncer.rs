//! PgBouncer before a cluster, in transaction mode: a client has a server connection for one transaction at a time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{Cluster, HarnessError, RunningWorker, WorkerCommand, eventually, free_port};

/// Where Debian has it, which is not on everybody's PATH.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

const START_DEADLINE: Duration = Duration::from_secs(20);

/// A running PgBouncer. Dropping it ends it.
///
/// It is not given the parameters that clients start their session with, such as the search path, as it cannot keep them apart.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _process: RunningWorker,
    _folder: TempDir,
}

impl PgBouncer {
    /// Whether this machine has it. If not, it says that something is left out. Where `CI` is set nothing is: then a missing one
    /// must fail.
    #[must_use]
    pub fn can_be_had() -> bool {
        let is_there = Path::new(PROGRAM).exists();
        if !is_there {
            eprintln!("left out PgBouncer: there is no {PROGRAM}");
        }
        is_there || std::env::var_os("CI").is_some()
    }

    /// Starts one before `cluster`, which must trust its clients. For each database it opens `server_connections` at most.
    ///
    /// # Errors
    /// [`HarnessError::NoFreePort`], or what the file system said.
    ///
    /// # Panics
    /// When it cannot be started, or does not listen after 20 seconds.
    pub async fn start(cluster: &Cluster, server_connections: u32) -> Result<Self, HarnessError> {
        let port = free_port()?;
        let folder = tempfile::tempdir().map_err(HarnessError::system("create a folder"))?;
        let config = folder.path().join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {server_connections}\n\
             ignore_startup_parameters = extra_float_digits,options\n",
            cluster.port(),
        );
        fs::write(&config, settings).map_err(HarnessError::file("write", &config))?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .map_err(HarnessError::file("open to readers", folder.path()))?;
        let config = config.display().to_string();
        let is_root = nix::unistd::Uid::effective().is_root();
        let arguments = if is_root { vec!["-u", "nobody", &config] } else { vec![config.as_str()] };
        let process = WorkerCommand::new(PROGRAM, arguments).spawn();
        eventually(START_DEADLINE, "PgBouncer to listen", async || {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Ok(Self { port, _process: process, _folder: folder })
    }

    /// The URL of one of the cluster's databases, through it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}
