//! `run`: the worker.

use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::http_options::HttpOptions;
use super::metrics_options::MetricsOptions;
use super::retained_options::RetainedOptions;
use super::retention_options::RetentionOptions;
use super::setup;
use crate::WorkerError;
use crate::config::{Config, ConfigError, Given, HttpConfig, OnGap, RunOptions};
use crate::http::{Server, Whereabouts};
use crate::metrics::{Metrics, MetricsServer, watch_destination};
use crate::pipeline::{self, RunSummary};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker run
  bemi-worker run --max-retained-wal 50GB --on-max-retained-wal give-up --on-gap continue
  bemi-worker run --once && psql $DATABASE_URL -c 'SELECT count(*) FROM changes'
  bemi-worker run --setup --all-tables --replica-identity full
  BEMI_MASK_KEY=$(cat /run/secrets/mask_key) bemi-worker run
  BEMI_HTTP_TOKEN=$(cat /run/secrets/bemi) bemi-worker run --http 127.0.0.1:8080
  bemi-worker run --metrics 9187

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
    http: HttpOptions,

    #[command(flatten)]
    metrics: MetricsOptions,

    #[command(flatten)]
    retained: RetainedOptions,

    #[command(flatten)]
    retention: RetentionOptions,

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
    given: &Given,
    shutdown: watch::Receiver<bool>,
) -> Result<ExitCode, WorkerError> {
    if !arguments.setup && arguments.tracking != setup::Tracking::default() {
        return Err(ConfigError::OnlyWithSetup.into());
    }
    let config = given.config_with_key()?;
    let served =
        Served { http: arguments.http.resolve(given)?, metrics: arguments.metrics.resolve(given)? };
    let on_gap = match arguments.on_gap {
        OnGapArgument::Stop => OnGap::Stop,
        OnGapArgument::Continue => OnGap::Continue,
    };
    let options = RunOptions::new()
        .once(arguments.once)
        .on_gap(on_gap)
        .retained_wal(arguments.retained.resolve(given)?)
        .retention(arguments.retention.resolve(given));
    if arguments.setup {
        let options = arguments.tracking.options(&given.tracking)?;
        let made = crate::setup::run_with(&config, &options, |step| {
            info!("setup: {step}");
            Ok(())
        });
        let report = super::shutdown::unless_told(shutdown.clone(), made).await?;
        for note in report.notes {
            warn!("setup: {note}");
        }
    }
    info!(
        version = env!("CARGO_PKG_VERSION"),
        slot = %config.slot,
        source = %config.source,
        destination = %config.destination,
        "starting"
    );
    let summary = work(&config, options, served, shutdown).await?;
    info!(
        changes = summary.changes,
        transactions = summary.transactions,
        position = %summary.position,
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}

/// What is served beside the work.
struct Served {
    /// The record.
    http: Option<HttpConfig>,
    /// How the worker does, and at which address.
    metrics: Option<SocketAddr>,
}

/// The worker, and what is served until it ends.
async fn work(
    config: &Config,
    options: RunOptions,
    served: Served,
    mut shutdown: watch::Receiver<bool>,
) -> Result<RunSummary, WorkerError> {
    let (summary, metrics) = (watch::Sender::default(), Metrics::default());
    let (end, ended) = watch::channel(false);
    let mut serving = JoinSet::new();
    // Ends with this function.
    let mut watching = JoinSet::new();
    if let Some(http) = served.http {
        let record = Whereabouts {
            destination: config.destination.clone(),
            changes_schema: config.changes_schema.clone(),
            slot: config.slot.clone(),
            database: config.source.database().to_owned(),
        };
        let server = Server::bind(http, record).await?;
        serving.spawn(server.run(summary.subscribe(), ended.clone()));
    }
    if let Some(address) = served.metrics {
        let server = MetricsServer::bind(address).await?;
        serving.spawn(server.run(metrics.clone(), ended));
        let (metrics, destination) = (metrics.clone(), config.destination.clone());
        watching.spawn(watch_destination(metrics, destination, config.slot.clone()));
    }
    let working = pipeline::run_telling(config, options, shutdown.clone(), &summary, &metrics);
    let mut working = std::pin::pin!(working);
    let finished = tokio::select! {
        finished = &mut working => finished,
        // Streams end as soon as the worker is told to, and not when it has stored what is in flight.
        () = pipeline::stopped(&mut shutdown) => {
            end.send_replace(true);
            working.await
        }
    };
    drop(end);
    // They cannot fail, and a panic in one was told.
    while serving.join_next().await.is_some() {}
    finished.map(|()| *summary.borrow())
}
