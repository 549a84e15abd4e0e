//! Where fetched PostgreSQLs stay: one folder per package version, in cargo's target folder.
//!
//! Invariant: an entry is complete. It is filled under another name, by one process at a time, and renamed when done; whoever
//! is interrupted leaves only a working folder, which the next one to fetch removes.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Uid;

use super::account::Account;
use crate::HarnessError;
use crate::tool;

const FOLDER: &str = "bemi-postgres";
const WORKING_PREFIX: &str = ".fetching-";
const CHMOD_DEADLINE: Duration = Duration::from_secs(30);

/// A folder of fetched packages that the server's user can enter.
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache in cargo's target folder, or, where the server's user cannot enter that, one among the temporary files.
    pub(super) fn open(account: Option<&Account>) -> Result<Self, HarnessError> {
        let in_target = Self::at(target_folder().join(FOLDER));
        match (in_target, account) {
            (Ok(cache), None) => Ok(cache),
            (Ok(cache), Some(account)) if account.can_enter(&cache.root) => Ok(cache),
            // The name says whose it is: users of one machine do not share what they execute.
            _ => Self::at(env::temp_dir().join(format!("{FOLDER}-{}", Uid::effective()))),
        }
    }

    /// The folder of a package, which `fill` makes if it is not there yet: it gets an empty working folder and returns the
    /// part of it to keep.
    pub(super) fn entry(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<PathBuf, HarnessError>,
    ) -> Result<PathBuf, HarnessError> {
        let entry = self.root.join(name);
        if entry.exists() {
            return Ok(entry);
        }
        // Held until the file is closed, also when the process is killed.
        let lock_path = self.root.join(".lock");
        let lock = File::create(&lock_path).map_err(HarnessError::file("create", &lock_path))?;
        lock.lock().map_err(HarnessError::file("lock", &lock_path))?;
        if entry.exists() {
            return Ok(entry);
        }
        self.remove_abandoned_work()?;
        let working = tempfile::Builder::new()
            .prefix(WORKING_PREFIX)
            .tempdir_in(&self.root)
            .map_err(HarnessError::file("create a folder in", &self.root))?;
        let keep = fill(working.path())?;
        readable_by_all(&keep)?;
        fs::rename(&keep, &entry).map_err(HarnessError::file("rename", &keep))?;
        Ok(entry)
    }

    fn at(root: PathBuf) -> Result<Self, HarnessError> {
        fs::create_dir_all(&root).map_err(HarnessError::file("create", &root))?;
        let metadata = fs::symlink_metadata(&root).map_err(HarnessError::file("look at", &root))?;
        // Anybody may make a folder of that name among the temporary files, and we are going to run what is in it.
        if !metadata.is_dir() || metadata.uid() != Uid::effective().as_raw() {
            let source = std::io::Error::other("it belongs to somebody else");
            return Err(HarnessError::File { doing: "use", path: root, source });
        }
        let open_to_readers = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&root, open_to_readers)
            .map_err(HarnessError::file("open to readers", &root))?;
        Ok(Self { root })
    }

    /// Call with the lock held: then nobody is at work.
    fn remove_abandoned_work(&self) -> Result<(), HarnessError> {
        let entries = fs::read_dir(&self.root).map_err(HarnessError::file("list", &self.root))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(WORKING_PREFIX) {
                fs::remove_dir_all(entry.path())
                    .map_err(HarnessError::file("remove", entry.path()))?;
            }
        }
        Ok(())
    }
}

/// The target folder of the workspace, as far as a program can tell that cargo has built but not started.
fn target_folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace.join(folder),
        None => workspace.join("target"),
    }
}

/// The server's user must be able to read what root has unpacked, whatever root's umask.
fn readable_by_all(folder: &Path) -> Result<(), HarnessError> {
    let mut command = Command::new("chmod");
    command.args(["-R", "a+rX"]).arg(folder);
    tool::run_successfully(command, CHMOD_DEADLINE).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> HarnessError {
        HarnessError::NoFreePort { attempts: 0 }
    }

    #[test]
    fn an_entry_is_filled_once() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache")).unwrap();
        let fill = |working: &Path| {
            let keep = working.join("package");
            fs::create_dir(&keep).unwrap();
            fs::write(keep.join("file"), "content").unwrap();
            Ok(keep)
        };
        let entry = cache.entry("1.0", fill).unwrap();
        assert_eq!(fs::read_to_string(entry.join("file")).unwrap(), "content");
        assert_eq!(cache.entry("1.0", |_| Err(failed())).unwrap(), entry);
    }

    #[test]
    fn a_fetch_that_fails_or_is_killed_leaves_no_entry() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache")).unwrap();
        let abandoned = cache.root.join(".fetching-killed");
        fs::create_dir(&abandoned).unwrap();

        let result = cache.entry("1.0", |working| {
            fs::write(working.join("half"), "a package").unwrap();
            Err(failed())
        });

        assert!(result.is_err());
        let left: Vec<_> =
            fs::read_dir(&cache.root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".lock"]);
    }

    #[test]
    fn parallel_fetches_of_one_entry_become_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        let fills = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let cache = Cache::at(path.clone()).unwrap();
                    let fill = |working: &Path| {
                        fills.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let keep = working.join("package");
                        fs::create_dir(&keep).unwrap();
                        Ok(keep)
                    };
                    cache.entry("1.0", fill).unwrap();
                });
            }
        });
        assert_eq!(fills.into_inner(), 1);
    }
}
