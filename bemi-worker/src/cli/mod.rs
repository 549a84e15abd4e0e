//! The command line: one file per command, and what they share.
//!
//! Data goes to standard output; the log, errors and progress go to standard error. Exit codes are
//! those of [`WorkerError::exit_code`], and 2 for a command line that cannot be.

mod as_of;
mod asking;
mod backfill;
mod changes;
mod coverage;
mod diff;
mod doctor;
mod erase;
mod filter_options;
mod health;
mod history;
mod http_options;
mod listing;
mod log;
mod metrics_options;
mod output_options;
mod progress;
mod question;
mod requests;
mod retained_options;
mod retention;
mod retention_options;
mod revert;
mod run;
mod serve;
mod setup;
mod show;
mod shutdown;
mod status;
mod table;
mod tail;
mod teardown;
mod verify;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::error;

use crate::WorkerError;
use crate::config::{Given, Settings, refuse_visible_passwords};
use crate::connect;

const AFTER_HELP: &str = "\
Examples:
  export DATABASE_URL=postgres://postgres@localhost/shop
  bemi-worker setup --all-tables --replica-identity full
  bemi-worker run
  psql $DATABASE_URL -c 'SELECT * FROM changes'

Exit codes: 0 ok, 1 failure, 2 usage, 3 a check failed, 4 unknown: outside of what was recorded,
5 conflicts, 6 cannot connect or not allowed, 130 interrupted.";

/// Stores every row change of a PostgreSQL database, with its context, exactly once.
#[derive(Parser)]
#[command(name = "bemi-worker", version, after_help = AFTER_HELP, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    log: log::LogOptions,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Arguments),
    Run(run::Arguments),
    Serve(serve::Arguments),
    Backfill(backfill::Arguments),
    Doctor(doctor::Arguments),
    Status(status::Arguments),
    Health(health::Arguments),
    Retention(retention::Arguments),
    Teardown(teardown::Arguments),
    History(history::Arguments),
    Changes(changes::Arguments),
    Show(show::Arguments),
    Requests(requests::Arguments),
    AsOf(as_of::Arguments),
    Diff(diff::Arguments),
    Coverage(coverage::Arguments),
    Revert(revert::Arguments),
    Tail(tail::Arguments),
    Verify(verify::Arguments),
    Erase(erase::Arguments),
}

/// How the output of a command that shows something looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns, for people
    #[default]
    Table,
    /// JSON, for programs
    Json,
}

/// Parses the arguments of this process and runs the command.
///
/// A program of one's own that is the worker is this one line:
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     bemi_worker::cli::main()
/// }
/// ```
#[must_use]
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // Where even that cannot be printed there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Err(message) = log::start(&command_line.log) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let log_format = command_line.log.format();
    match start(command_line) {
        Ok(code) => code,
        // The reader of our output has seen enough, as `head` does.
        Err(WorkerError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            match log_format {
                log::LogFormat::Text => eprintln!("error: {error}"),
                log::LogFormat::Json => error!("{error}"),
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(command_line: CommandLine) -> Result<ExitCode, WorkerError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // A task, because what `block_on` itself runs stays on the main thread: each event of the stream
    // would have to wake it, which costs more than the event.
    let task = runtime.spawn(async move {
        let finished = dispatch(command_line).await;
        connect::farewell().await;
        finished
    });
    let finished = runtime.block_on(task).unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(WorkerError::Interrupted),
    });
    // A lookup of a host name that hangs must not keep the process.
    runtime.shutdown_background();
    finished
}

async fn dispatch(command_line: CommandLine) -> Result<ExitCode, WorkerError> {
    refuse_visible_passwords(std::env::args_os())?;
    let given = Given::resolve(&command_line.settings, |name| std::env::var(name).ok())?;
    let shutdown = shutdown::listen()?;
    match command_line.command {
        // It has a batch to finish.
        Command::Run(arguments) => run::run(arguments, &given, shutdown).await,
        // And it a chunk.
        Command::Backfill(arguments) => {
            backfill::run(&arguments, &given.config_with_key()?, shutdown).await
        }
        // And it streams to end.
        Command::Serve(arguments) => serve::run(&arguments, &given, shutdown).await,
        Command::Setup(arguments) => {
            shutdown::unless_told(
                shutdown,
                setup::run(arguments, &given.config()?, &given.tracking),
            )
            .await
        }
        Command::Doctor(arguments) => {
            shutdown::unless_told(shutdown, doctor::run(&arguments, &given.config()?)).await
        }
        Command::Status(arguments) => {
            shutdown::unless_told(shutdown, status::run(&arguments, &given.config()?)).await
        }
        Command::Health(arguments) => {
            shutdown::unless_told(shutdown, health::run(&arguments, &given)).await
        }
        Command::Retention(arguments) => {
            let kept = arguments.retention.resolve(&given);
            shutdown::unless_told(
                shutdown,
                retention::run(arguments, &given.config_with_key()?, kept),
            )
            .await
        }
        Command::Teardown(arguments) => {
            shutdown::unless_told(shutdown, teardown::run(&arguments, &given.config()?)).await
        }
        Command::History(arguments) => {
            shutdown::unless_told(shutdown, history::run(&arguments, &given)).await
        }
        Command::Changes(arguments) => {
            shutdown::unless_told(shutdown, changes::run(&arguments, &given)).await
        }
        Command::Show(arguments) => {
            shutdown::unless_told(shutdown, show::run(&arguments, &given)).await
        }
        Command::AsOf(arguments) => {
            shutdown::unless_told(shutdown, as_of::run(&arguments, &given)).await
        }
        Command::Diff(arguments) => {
            shutdown::unless_told(shutdown, diff::run(&arguments, &given)).await
        }
        Command::Coverage(arguments) => {
            shutdown::unless_told(shutdown, coverage::run(&arguments, &given)).await
        }
        Command::Revert(arguments) => {
            shutdown::unless_told(shutdown, revert::run(&arguments, &given)).await
        }
        Command::Tail(arguments) => tail::run(&arguments, &given, shutdown).await,
        Command::Requests(arguments) => {
            shutdown::unless_told(shutdown, requests::run(&arguments, &given)).await
        }
        // It has a page to finish.
        Command::Erase(arguments) => erase::run(&arguments, &given, shutdown).await,
        Command::Verify(arguments) => {
            shutdown::unless_told(shutdown, verify::run(&arguments, &given)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example() {
        let mut commands: Vec<_> = CommandLine::command().get_subcommands().cloned().collect();
        while let Some(mut command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let help = command.render_long_help().to_string();
            assert!(help.contains("bemi-worker "), "{help}");
            assert!(help.contains("Example"), "{help}");
        }
    }
}
