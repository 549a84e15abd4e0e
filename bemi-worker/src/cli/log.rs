//! The log, on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// What is logged unless told otherwise: our own doings, and trouble of the libraries. What the
/// replication client logs it returns as well, and it is logged where it is handled.
const FILTER: &str = "warn,pgwire_replication=off,bemi_worker=info";

/// How the log looks and what is in it.
#[derive(clap::Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogOptions {
    /// How the log on standard error looks
    #[arg(
        long,
        env = "BEMI_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        default_value_t,
        global = true
    )]
    log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or directives as RUST_LOG takes them
    /// [default: RUST_LOG, else info]
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people, coloured on a terminal unless NO_COLOR is set
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl LogOptions {
    pub(super) fn format(&self) -> LogFormat {
        self.log_format
    }
}

/// Starts logging. The error is for a human to read.
pub(super) fn start(options: &LogOptions) -> Result<(), String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let directives = match &options.log_level {
        // A bare level is about us; libraries at debug would bury it.
        Some(level) if !level.contains(['=', ',']) => {
            format!("warn,pgwire_replication=off,bemi_worker={level}")
        }
        Some(directives) => directives.clone(),
        None => set("RUST_LOG").unwrap_or_else(|| FILTER.to_owned()),
    };
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| format!("'{directives}' is not a log level: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && set("NO_COLOR").is_none());
    let started = match options.log_format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start the log: {error}"))
}
