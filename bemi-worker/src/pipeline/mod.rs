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
mod session;
mod tables;

use std::time::{Duration, Instant};

use bemi_core::Lsn;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use self::backoff::Backoff;
pub(crate) use self::flow::IDLE_WAL_BYTES_MAX;
use crate::config::{Config, RunOptions};
use crate::error::WorkerError;

/// How long to wait at the start for a slot that another process uses. A worker that was killed
/// leaves it in use until its server process notices.
const SLOT_IN_USE_MAX: Duration = Duration::from_secs(10);

/// How long to wait for a slot that was ours. Where the network was cut, the server notices only after
/// its `wal_sender_timeout`, a minute unless set otherwise.
const SLOT_IN_USE_AGAIN_MAX: Duration = Duration::from_secs(90);

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
/// at the start is an error.
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
    run_telling(config, options, shutdown, &summary).await?;
    Ok(*summary.borrow())
}

/// The same, where somebody may watch what is done: `summary` changes whenever more is stored.
pub(crate) async fn run_telling(
    config: &Config,
    options: RunOptions,
    mut shutdown: watch::Receiver<bool>,
    summary: &watch::Sender<RunSummary>,
) -> Result<(), WorkerError> {
    let mut backoff = Backoff::default();
    let mut was_open = false;
    let mut slot_in_use_since = None;
    // What is wrong is said once, not with every attempt.
    let mut told = None;
    // Ends with this function.
    let mut beside = JoinSet::new();

    loop {
        let opened_at = Instant::now();
        let ended = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => return Ok(()),
            opened = session::open(config, options) => match opened {
                Ok(flow) => {
                    info!(slot = %config.slot, position = %flow.position(), "streaming");
                    was_open = true;
                    slot_in_use_since = None;
                    told = None;
                    if beside.is_empty() && !options.once {
                        beside.spawn(tables::follow(config.clone()));
                    }
                    flow.run(&mut shutdown, summary).await
                }
                Err(error) => Err(error),
            },
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
            Err(error @ WorkerError::Connect(_)) if !was_open => return Err(error),
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        if opened_at.elapsed() > BACKOFF_FORGOTTEN_AFTER {
            backoff = Backoff::default();
        }
        let wait = backoff.next_wait();
        let cause = error.to_string();
        let retry_in_ms = wait.as_millis();
        if told.as_ref() == Some(&cause) {
            debug!(cause, retry_in_ms, "still interrupted; trying again");
        } else {
            warn!(cause, retry_in_ms, "interrupted; trying again until it works");
            told = Some(cause);
        }
        tokio::select! {
            () = stopped(&mut shutdown) => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Waits until the worker is told to stop.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could tell.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
