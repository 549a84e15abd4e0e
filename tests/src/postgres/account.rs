//! The unprivileged user that the server runs as when this process is root: PostgreSQL refuses to run as root.
//!
//! Invariant: a process that runs as this user has none of root's groups (the standard library clears them).

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use crate::HarnessError;

/// The users to try, in order.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// A user other than root.
#[derive(Debug, Clone)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// The user to run the server as; `None` when this process is not root and can do it itself.
    pub(super) fn for_servers() -> Result<Option<Self>, HarnessError> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        NAMES
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| {
                Some(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            })
            .ok_or(HarnessError::NoUnprivilegedUser)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes `command` run as this user.
    pub(super) fn drop_root(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives the file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), HarnessError> {
        chown(path, Some(self.uid), Some(self.gid))
            .map_err(HarnessError::file("change the owner of", path))
    }

    /// Whether this user can enter the folder: every folder above it counts, and `/root` usually stands in the way.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        let mut command = Command::new("sh");
        command
            .args(["-c", "test -x \"$1\"", "sh"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::null());
        self.drop_root(&mut command);
        command.status().is_ok_and(|status| status.success())
    }
}
