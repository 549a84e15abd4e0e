//! The worker: connects source, decode, stitch, render and sink, and keeps them running.
//!
//! ```text
//!  source::Stream ─▶ batch::BatchBuilder ─▶ sink::Sink ─▶ changes
//!        ▲            decode·stitch·render        │
//!        └────────── acknowledge ◀── stored ──────┘
//! ```
//!
//! A session opens both ends and makes sure that they fit together; a flow moves
//! changes until one of them ends. What is transient is tried again here, from the checkpoint.

pub(crate) mod backoff;
mod flow;
pub(crate) mod readiness;
mod retained;
mod session;
mod tables;

use std::time::{Duration, Instant};

use bemi_core::Lsn;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use self::backoff::Backoff;
pub(crate) use self::flow::IDLE_WAL_BYTES_MAX;
use self::retained::RetainedWatch;
use crate::config::{Config, OnMaxRetainedWal, RunOptions};
use crate::error::WorkerError;
use crate::metrics::Metrics;
use crate::rate_limited::RateLimited;
use crate::retention;

/// How long to wait at the start for a slot that another process uses. A worker that was killed
/// leaves it in use until its server process notices.
const SLOT_IN_USE_MAX: Duration = Duration::from_secs(10);

/// How long to wait for a slot that was ours. Where the network was cut, the server notices only after
/// its `wal_sender_timeout`, a minute unless set otherwise.
const SLOT_IN_USE_AGAIN_MAX: Duration = Duration::from_secs(90);

/// How often the loop says that it turns.
const TURN_INTERVAL: Duration = Duration::from_secs(1);

/// A session that lasted this long was well: what interrupts it is a new fault.
const BACKOFF_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary {
    /// How many changes were stored.
    pub changes: u64,
    /// How many transactions they were in.
    pub transactions: u64,
    /// Up to where everything is stored.
    pub position: Lsn,
}

/// Stores changes until `shutdown` is `true` or its sender is gone, or, with
/// [`RunOptions::once`], until everything that was committed before is stored.
///
/// A connection that is lost later is opened again, for as long as it takes; one that cannot be opened
/// at the start is an error, unless the slot is to be given up when it holds too much.
///
/// # Errors
///
/// [`WorkerError`]. Nothing is lost then: the slot keeps what is not stored.
///
/// # Cancellation safety
///
/// Dropping the future ends the worker like a crash does: nothing is lost or stored twice.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::config::{Config, RunOptions};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let (stop, shutdown) = tokio::sync::watch::channel(false);
/// let summary = bemi_worker::pipeline::run(&config, RunOptions::new().once(true), shutdown).await?;
/// println!("stored {} changes", summary.changes);
/// # drop(stop);
/// # Ok(())
/// # }
/// ```
pub async fn run(
    config: &Config,
    options: RunOptions,
    shutdown: watch::Receiver<bool>,
) -> Result<RunSummary, WorkerError> {
    let summary = watch::Sender::default();
    run_telling(config, options, shutdown, &summary, &Metrics::default()).await?;
    Ok(*summary.borrow())
}

/// The same, where somebody may watch what is done: `summary` changes whenever more is stored.
pub(crate) async fn run_telling(
    config: &Config,
    options: RunOptions,
    shutdown: watch::Receiver<bool>,
    summary: &watch::Sender<RunSummary>,
    metrics: &Metrics,
) -> Result<(), WorkerError> {
    let mut working = std::pin::pin!(keep_running(config, options, shutdown, summary, metrics));
    let mut turn = tokio::time::interval(TURN_INTERVAL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // In one task: it says that it turns as long as the work lets it.
        tokio::select! {
            biased;
            finished = &mut working => return finished,
            _ = turn.tick() => metrics.turned(),
        }
    }
}

async fn keep_running(
    config: &Config,
    options: RunOptions,
    mut shutdown: watch::Receiver<bool>,
    summary: &watch::Sender<RunSummary>,
    metrics: &Metrics,
) -> Result<(), WorkerError> {
    let mut backoff = Backoff::default();
    let mut was_open = false;
    let mut slot_in_use_since = None;
    let interruption = RateLimited::default();
    // Ends with this function.
    let mut beside = JoinSet::new();
    let mut retained = RetainedWatch::start(config, options, metrics);
    // Who gives up the slot where it must must be there for it.
    let waits_at_start = options.retained_wal.on_max == OnMaxRetainedWal::GiveUp;

    loop {
        let opened_at = Instant::now();
        let ended = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => return Ok(()),
            () = retained.exceeded() => None,
            opened = session::open(config, options, metrics) => match opened {
                Ok(flow) => {
                    tell_streaming(config, flow.position(), &interruption);
                    metrics.streaming(flow.position());
                    was_open = true;
                    slot_in_use_since = None;
                    if beside.is_empty() && !options.once {
                        beside.spawn(tables::follow(config.clone()));
                        beside.spawn(retention::keep(config.clone(), options.retention));
                    }
                    retained.streams_from(flow.process());
                    tokio::select! {
                        ended = flow.run(&mut shutdown, summary) => Some(ended),
                        // The flow is dropped: it stores and acknowledges nothing more.
                        () = retained.exceeded() => None,
                    }
                }
                Err(error) => Some(Err(error)),
            },
        };
        let Some(ended) = ended else {
            metrics.interrupted();
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = retained.give_up(config) => continue,
            }
        };
        let error = match ended {
            Ok(()) => return Ok(()),
            Err(error @ WorkerError::SlotInUse { .. }) => {
                let since = *slot_in_use_since.get_or_insert_with(Instant::now);
                let wait_max = if was_open { SLOT_IN_USE_AGAIN_MAX } else { SLOT_IN_USE_MAX };
                if since.elapsed() > wait_max {
                    return Err(error);
                }
                error
            }
            Err(error @ WorkerError::Connect(_))
                if !(was_open || waits_at_start && error.is_transient()) =>
            {
                return Err(error);
            }
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        if opened_at.elapsed() > BACKOFF_FORGOTTEN_AFTER {
            backoff = Backoff::default();
        }
        let side = metrics.interrupted().name();
        let wait = backoff.next_wait();
        // A number in JSON, too, which one of 128 bits is not.
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let cause = error.to_string();
        match interruption.say() {
            Some(held_back) => {
                warn!(
                    side,
                    cause, retry_in_ms, held_back, "interrupted; trying again until it works"
                );
            }
            None => debug!(side, cause, retry_in_ms, "still interrupted; trying again"),
        }
        tokio::select! {
            () = stopped(&mut shutdown) => return Ok(()),
            () = retained.exceeded() => retained.give_up(config).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Says that the worker streams, and for how long it did not.
fn tell_streaming(config: &Config, position: Lsn, interruption: &RateLimited) {
    let slot = config.slot.as_str();
    match interruption.over() {
        None => info!(slot, %position, "streaming"),
        Some(ended) => {
            let (lasted_s, held_back) = (ended.lasted.as_secs_f64(), ended.held_back);
            info!(slot, %position, lasted_s, held_back, "streaming again");
        }
    }
}

/// Waits until the worker is told to stop.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could tell.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
