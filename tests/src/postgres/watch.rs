//! The folder of a cluster, and the watcher that stops the server in it and deletes it once this process is gone.
//!
//! A destructor is not enough: statics are never dropped, and Ctrl-C or SIGKILL run no destructor at all. So a small shell waits at
//! the end of a pipe that this process holds; the system closes it however the process ends. The pipe is closed on exec,
//! so no other child keeps it open.
//!
//! Invariant: only the folder that was made here, under its random name, is ever deleted; and while it exists, so does its watcher.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::account::Account;
use crate::HarnessError;
use crate::tool;

/// The script refuses to delete a folder of any other name.
const PREFIX: &str = "bemi-postgres-";

const SCRIPT: &str = include_str!("watch.sh");

/// The program that becomes the server tool, once its process id is in the folder for the watcher to read. So there is no
/// moment at which a server could start without being watched; and in a folder that was deleted, none starts.
const LAUNCH: &str = r#"echo $$ >"$1/pid" && shift && exec "$@""#;

/// How long deleting may take: longer than the script's own patience.
const DELETE_DEADLINE: Duration = Duration::from_secs(40);

/// A folder that is deleted, after the server in it was stopped, when this value is dropped or this process ends.
#[derive(Debug)]
pub(super) struct WatchedFolder {
    path: PathBuf,
    watcher: Child,
}

impl WatchedFolder {
    /// Makes a folder with a random name that belongs to the user that the server runs as.
    pub(super) fn create(account: Option<&Account>) -> Result<Self, HarnessError> {
        let parent = parent_folder(account)?;
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&parent)
            .map_err(HarnessError::file("create a folder in", &parent))?;
        if let Some(account) = account {
            account.own(folder.path())?;
        }
        let watcher = Command::new("sh")
            .args(["-c", SCRIPT, "bemi-postgres-watch"])
            .arg(folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| HarnessError::ToolNotStarted { tool: "sh".to_owned(), source })?;
        // From here on the watcher deletes it.
        Ok(Self { path: folder.keep(), watcher })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs `program` in this folder, as `account`, in its own process group, known to the watcher. One at a time.
    pub(super) fn launch(&self, program: &Path, account: Option<&Account>) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH, "sh"]).arg(&self.path).arg(program);
        command.current_dir(&self.path).process_group(0).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            // What points psql at some other server must not confuse this one.
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        // English logs, and the same time zone everywhere unless a test asks for another one.
        command.env("LC_ALL", "C").env("TZ", "UTC");
        if let Some(account) = account {
            account.drop_root(&mut command);
        }
        command
    }
}

impl Drop for WatchedFolder {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        // Best effort: if it takes longer, the watcher goes on without us.
        let _ = tool::wait_until(&mut self.watcher, DELETE_DEADLINE);
    }
}

/// Where to make the folder: among the temporary files, if the server's user can enter there.
fn parent_folder(account: Option<&Account>) -> Result<PathBuf, HarnessError> {
    // Resolved, because the watcher looks for the path among a process's arguments.
    let preferred = env::temp_dir();
    let preferred = fs::canonicalize(&preferred).map_err(HarnessError::file("find", &preferred))?;
    let Some(account) = account else { return Ok(preferred) };

    let candidates = [preferred, PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    if let Some(folder) = candidates.iter().find(|folder| account.can_enter(folder)) {
        return Ok(folder.clone());
    }
    let tried =
        candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(HarnessError::NoTemporaryFolder { user: account.name().to_owned(), tried })
}
