//! Why the worker gave up, named by consequence.
//!
//! Invariant: every message says what happened, to what, and what to do about it, in one line, and
//! holds neither a password nor row data.

use std::fmt;

use bemi_core::record::{RecordError, RevertError};

use crate::config::ConfigError;
use crate::connect::{ConnectError, Fault};
use crate::sink::TABLES_VERSION;

/// Why the worker gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It was told something that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A question about the record was asked in a way that it cannot be asked.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
    },

    /// A database cannot be reached, or does not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),

    /// A question about the record has no answer.
    #[error(transparent)]
    Record(RecordError<tokio_postgres::Error>),

    /// Changes were not taken back, and nothing was written.
    #[error(transparent)]
    Revert(RevertError<tokio_postgres::Error>),

    /// What must be there before the command can do its work is not.
    #[error("{0}")]
    Unready(Problems),

    /// Setup has not run, or not to its end, or somebody removed what it had made.
    #[error("{what}; run `bemi-worker setup` first")]
    NotSetUp {
        /// What is missing.
        what: String,
    },

    /// A later version of the worker has set the destination up.
    #[error("{}", newer_tables(destination, *found))]
    NewerTables {
        /// The destination.
        destination: String,
        /// The version of its tables.
        found: i32,
    },

    /// The replication slot is used by another process.
    #[error(
        "replication slot {slot} is in use by process {process}; stop that worker, or give this one another --slot"
    )]
    SlotInUse {
        /// The slot.
        slot: String,
        /// The server process that streams from it, as far as it is known.
        process: String,
    },

    /// A table is in use all the time, and setup waits for nobody for long.
    #[error(
        "cannot lock table {table}, tried {attempts} times: a transaction holds it; end that (see pg_stat_activity), or run this again at a quieter time"
    )]
    TableInUse {
        /// The table, as SQL has it.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// A slot cannot be made while old transactions run.
    #[error(
        "replication slot {slot} could not be made in 5 minutes: that waits for every transaction of the cluster that is running to end; end the oldest (see pg_stat_activity and pg_prepared_xacts), and run this again"
    )]
    TransactionsRunning {
        /// The slot.
        slot: String,
    },

    /// Changes were lost before they could be stored.
    #[error(
        "changes were lost: {reason}; `bemi-worker doctor` tells more, `bemi-worker run --on-gap continue` records the gap and goes on behind it"
    )]
    Gap {
        /// What happened to which stretch.
        reason: String,
    },

    /// The chain over what is stored is made with another key, or with one where none is given.
    #[error(
        "tamper evidence of slot {slot} is made with a key, and {why}; set BEMI_CHAIN_KEY, or chain_key_file in the config file"
    )]
    ChainKey {
        /// The slot.
        slot: String,
        /// What is wrong with the key.
        why: &'static str,
    },

    /// Tamper evidence was never turned on.
    #[error(
        "what is stored of slot {slot} is not covered by a chain; run `bemi-worker setup --tamper-evidence`, and then the worker"
    )]
    NoChain {
        /// The slot.
        slot: String,
    },

    /// Setup has turned tamper evidence on or off meanwhile.
    #[error(
        "tamper evidence of slot {slot} was turned on or off; storing again from the checkpoint"
    )]
    TamperEvidenceSwitched {
        /// The slot.
        slot: String,
    },

    /// There are no random bytes to be had.
    #[error("the system gives no random bytes; look at its random device")]
    NoRandomBytes,

    /// Another worker has taken over the slot's checkpoint.
    #[error(
        "another worker has taken over slot {slot}, and this one has stopped; run one worker for a slot"
    )]
    Replaced {
        /// The slot.
        slot: String,
    },

    /// Another backfill of the slot is at work.
    #[error(
        "another backfill of slot {slot} is at work; wait for its end, or stop it: what it has stored is not stored again"
    )]
    BackfillRunning {
        /// The slot.
        slot: String,
    },

    /// A table is altered or emptied again and again while its rows are read.
    #[error(
        "table {table} was altered, rewritten or emptied each time that its rows were read; run this again when that has ended"
    )]
    TableChanging {
        /// The table, for people.
        table: String,
    },

    /// A database refused a statement, or the connection broke where it cannot be tried again.
    #[error("cannot {doing}: {why}", why = describe(source))]
    Database {
        /// What was being done, as a verb: `read the catalog of the source`.
        doing: String,
        /// What the driver said.
        source: tokio_postgres::Error,
    },

    /// The stream of changes broke.
    #[error("the stream of changes from the source broke: {why}")]
    Replication {
        /// What the server or the system said.
        why: String,
        /// What it means.
        fault: Fault,
    },

    /// What the source sent is not a sequence of transactions.
    #[error(
        "the source sent what cannot be followed: {why}; nothing is lost, the slot keeps it; please report this"
    )]
    Stream {
        /// What is wrong with it.
        why: String,
    },

    /// Nobody can be answered at the address for HTTP.
    #[error("cannot listen at {address} for HTTP: {source}; give another {option} address")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The flag that it is given by.
        option: &'static str,
        /// What the system said.
        source: std::io::Error,
    },

    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),

    /// Told to stop at once.
    #[error("interrupted")]
    Interrupted,
}

/// One thing that must be mended before the command can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Something that the role may not do.
    NotAllowed(String),
    /// Something that is not as it must be.
    Requirement(String),
}

/// Everything that must be mended, so that nobody has to mend one to be told of the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl WorkerError {
    /// The exit code of a program that ends with this error.
    ///
    /// ```
    /// use bemi_worker::WorkerError;
    ///
    /// assert_eq!(WorkerError::Interrupted.exit_code(), 130);
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage { .. } | Self::ChainKey { .. } => 2,
            Self::Record(error) => match error {
                RecordError::SeveralSlots { .. } => 2,
                RecordError::NotSetUp { .. } | RecordError::OtherSource { .. } => 3,
                RecordError::NotStoredYet { .. } | RecordError::NoSuchPoint { .. } => 4,
                _ => 1,
            },
            Self::Revert(error) => match error {
                RevertError::Conflicts { .. } | RevertError::Moved { .. } => 5,
                RevertError::RulesHidden | RevertError::RowsHidden { .. } => 6,
                _ => 1,
            },
            Self::Unready(Problems(problems)) => {
                let not_allowed = |problem: &Problem| matches!(problem, Problem::NotAllowed(_));
                if problems.iter().any(not_allowed) { 6 } else { 3 }
            }
            Self::NoChain { .. } => 4,
            Self::NotSetUp { .. } | Self::NewerTables { .. } | Self::Gap { .. } => 3,
            Self::Connect(_) => 6,
            Self::Database { source, .. } => match Fault::of(source) {
                Fault::NotAllowed | Fault::Credentials | Fault::NoSuchDatabase => 6,
                _ => 1,
            },
            Self::Replication { fault: Fault::NotAllowed | Fault::Credentials, .. } => 6,
            Self::SlotInUse { .. }
            | Self::TableInUse { .. }
            | Self::TransactionsRunning { .. }
            | Self::Replaced { .. }
            | Self::TamperEvidenceSwitched { .. }
            | Self::NoRandomBytes
            | Self::BackfillRunning { .. }
            | Self::TableChanging { .. }
            | Self::Replication { .. }
            | Self::Stream { .. }
            | Self::Listen { .. }
            | Self::Output(_) => 1,
            Self::Interrupted => 130,
        }
    }

    /// Whether trying again later may do.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::Database { source, .. } => Fault::of(source).is_transient(),
            Self::Replication { fault, .. } => fault.is_transient(),
            Self::TamperEvidenceSwitched { .. } => true,
            _ => false,
        }
    }

    /// For `map_err` on the driver's calls; `doing` is a verb.
    pub(crate) fn database(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Database { doing, source }
    }
}

impl From<RecordError<tokio_postgres::Error>> for WorkerError {
    fn from(error: RecordError<tokio_postgres::Error>) -> Self {
        match error {
            RecordError::Database { doing, source } => {
                Self::Database { doing: doing.to_owned(), source }
            }
            other => Self::Record(other),
        }
    }
}

/// What it means that the worker's tables are of a later version than it knows.
pub(crate) fn newer_tables(destination: &str, found: i32) -> String {
    format!(
        "the worker's tables in {destination} were made by a later version of bemi-worker: they are of version {found}, and this one knows up to {TABLES_VERSION}; use that version, or a later one"
    )
}

/// What the server said, with its hint; what it details may be row data, and stays out.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(database) => {
            let hint = database.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} [{}]{hint}", database.message(), database.code().code())
        }
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

impl Problems {
    pub(crate) fn requirement(&mut self, what: impl Into<String>) {
        self.0.push(Problem::Requirement(what.into()));
    }

    pub(crate) fn not_allowed(&mut self, what: impl Into<String>) {
        self.0.push(Problem::NotAllowed(what.into()));
    }

    /// An error, if there is any problem.
    pub(crate) fn into_result(self) -> Result<(), WorkerError> {
        if self.0.is_empty() { Ok(()) } else { Err(WorkerError::Unready(self)) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotAllowed(what) | Self::Requirement(what)) = self;
        f.write_str(what)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => only.fmt(f),
            several => {
                write!(f, "{} things must be mended first:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_decides_the_exit_code() {
        let mut problems = Problems::default();
        problems.requirement("wal_level is replica");
        assert_eq!(WorkerError::Unready(problems.clone()).exit_code(), 3);
        problems.not_allowed("the role lacks REPLICATION");
        assert_eq!(WorkerError::Unready(problems).exit_code(), 6);
    }

    #[test]
    fn several_problems_are_told_at_once() {
        let mut problems = Problems::default();
        problems.requirement("first");
        assert_eq!(problems.to_string(), "first");
        problems.requirement("second");
        let told = "2 things must be mended first:\n  - first\n  - second";
        assert_eq!(problems.to_string(), told);
    }
}
