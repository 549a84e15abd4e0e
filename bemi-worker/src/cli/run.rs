//! `run`: the worker.

use std::process::ExitCode;

use tokio::sync::watch;
use tracing::{info, warn};

use super::http_options::HttpOptions;
use super::retained_options::RetainedOptions;
use super::setup;
use crate::WorkerError;
use crate::config::{self, Config, ConfigError, HttpConfig, OnGap, RetainedWal, RunOptions};
use crate::http::{Server, Whereabouts};
use crate::pipeline;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker run
  bemi-worker run --max-retained-wal 50GB --on-max-retained-wal give-up --on-gap continue
  bemi-worker run --once && psql $DATABASE_URL -c 'SELECT count(*) FROM changes'
  bemi-worker run --setup --all-tables --replica-identity full
  BEMI_MASK_KEY=$(cat /run/secrets/mask_key) bemi-worker run
  BEMI_HTTP_TOKEN=$(cat /run/secrets/bemi) bemi-worker run --http 127.0.0.1:8080

Where a rule masks columns by a hash, the key for it comes from BEMI_MASK_KEY, or from mask_key or
mask_key_file of the config file; it has 16 bytes or more.
SIGTERM and SIGINT store the batch in flight and end with 0; a second one ends at once with 130.";

/// Store changes as they are committed, until told to stop
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Store what was committed before the start, then end with 0
    #[arg(long)]
    once: bool,

    /// What to do about a stretch of WAL that was lost: stop with exit code 3, or record it and
    /// continue behind it
    #[arg(long, value_enum, default_value = "stop", value_name = "WHAT")]
    on_gap: OnGapArgument,

    /// Run `setup` first, with the tables given here, or those of the last setup
    #[arg(long)]
    setup: bool,

    #[command(flatten)]
    pub(super) http: HttpOptions,

    #[command(flatten)]
    pub(super) retained: RetainedOptions,

    #[command(flatten)]
    tracking: setup::Tracking,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum OnGapArgument {
    Stop,
    Continue,
}

pub(super) async fn run(
    arguments: Arguments,
    config: &Config,
    file: &config::Tracking,
    http: Option<HttpConfig>,
    retained_wal: RetainedWal,
    shutdown: watch::Receiver<bool>,
) -> Result<ExitCode, WorkerError> {
    if !arguments.setup && arguments.tracking != setup::Tracking::default() {
        return Err(ConfigError::OnlyWithSetup.into());
    }
    if arguments.setup {
        let options = arguments.tracking.options(file)?;
        let made = crate::setup::run_with(config, &options, |step| {
            info!("setup: {step}");
            Ok(())
        });
        let report = super::shutdown::unless_told(shutdown.clone(), made).await?;
        for note in report.notes {
            warn!("setup: {note}");
        }
    }
    let on_gap = match arguments.on_gap {
        OnGapArgument::Stop => OnGap::Stop,
        OnGapArgument::Continue => OnGap::Continue,
    };
    let options =
        RunOptions::new().once(arguments.once).on_gap(on_gap).retained_wal(retained_wal);
    match http {
        Some(http) => run_and_serve(config, options, http, shutdown).await?,
        None => {
            pipeline::run(config, options, shutdown).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The worker, and the record over HTTP until the worker ends.
async fn run_and_serve(
    config: &Config,
    options: RunOptions,
    http: HttpConfig,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), WorkerError> {
    let record = Whereabouts {
        destination: config.destination.clone(),
        changes_schema: config.changes_schema.clone(),
        slot: config.slot.clone(),
        database: config.source.database().to_owned(),
    };
    let server = Server::bind(http, record).await?;
    let summary = watch::Sender::default();
    let (end, ended) = watch::channel(false);
    let serving = tokio::spawn(server.run(summary.subscribe(), ended));
    let mut working =
        std::pin::pin!(pipeline::run_telling(config, options, shutdown.clone(), &summary));
    let finished = tokio::select! {
        finished = &mut working => finished,
        // Streams end as soon as the worker is told to, and not when it has stored what is in flight.
        () = pipeline::stopped(&mut shutdown) => {
            end.send_replace(true);
            working.await
        }
    };
    drop(end);
    // It cannot fail, and a panic in it was told.
    let _ = serving.await;
    finished
}
