//! Looks at both databases again and again, and tells how fast things go from one look to the next.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_postgres::Client;

use super::{Status, look, look_at_source};
use crate::WorkerError;
use crate::config::Config;
use crate::setup::inspect::refuse_old_servers;

/// How far apart two looks are, where nobody says.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// How fast the worker stores: what was counted between two looks, by the time between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Throughput {
    /// The time between the two looks, in seconds.
    pub seconds: f64,
    /// Changes stored.
    pub changes_per_second: f64,
    /// Source transactions stored that had changes.
    pub transactions_per_second: f64,
    /// WAL of the source that was worked off, in bytes; with what had nothing to be stored.
    pub bytes_per_second: f64,
}

/// Connections to both databases, and what was seen last.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::{config::Config, status::Watch};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let mut watch = Watch::open(&config).await?;
/// watch.look().await?;
/// tokio::time::sleep(std::time::Duration::from_secs(10)).await;
/// println!("{:?} over ten seconds", watch.look().await?.throughput);
/// # Ok(())
/// # }
/// ```
pub struct Watch {
    config: Config,
    source: Client,
    /// Or why there is none.
    destination: Result<Client, String>,
    before: Option<Counted>,
}

/// What only grows, and when it was looked at.
#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    changes: i64,
    transactions: i64,
    position: u64,
}

impl Watch {
    /// Connects to both.
    ///
    /// # Errors
    /// [`WorkerError`] when one of them cannot be reached, or is too old. A destination that is away for now is
    /// none: then the status tells of the source alone.
    ///
    /// # Cancellation
    /// Safe: nothing is changed.
    pub async fn open(config: &Config) -> Result<Self, WorkerError> {
        let source = config.source.connect().await?;
        refuse_old_servers(&source, config).await?;
        let destination = match config.destination.connect().await {
            Ok(client) => Ok(client),
            // What the source holds meanwhile is worth knowing.
            Err(error) if error.is_transient() => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { config: config.clone(), source, destination, before: None })
    }

    /// Looks once more. The first time there is no throughput.
    ///
    /// # Errors
    /// [`WorkerError`] when one of them cannot be asked; a connection that is lost stays lost.
    ///
    /// # Cancellation
    /// Safe: nothing is changed.
    pub async fn look(&mut self) -> Result<Status, WorkerError> {
        let mut status = match &self.destination {
            Ok(destination) => look(&self.config, &self.source, destination).await?,
            Err(why) => look_at_source(&self.config, &self.source, why).await?,
        };
        let now = status.stored.as_ref().map(|stored| Counted {
            at: Instant::now(),
            changes: stored.changes,
            transactions: stored.transactions,
            position: stored.position.get(),
        });
        status.throughput = self.before.zip(now).map(|(before, now)| now.since(before));
        self.before = now;
        Ok(status)
    }
}

impl Counted {
    fn since(self, before: Self) -> Throughput {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(f64::EPSILON);
        // A destination that was restored meanwhile counts less than before.
        let count = |now: i64, before: i64| u64::try_from(now - before).unwrap_or(0);
        #[allow(clippy::cast_precision_loss, reason = "a rate is for reading")]
        let rate = |count: u64| count as f64 / seconds;
        Throughput {
            seconds,
            changes_per_second: rate(count(self.changes, before.changes)),
            transactions_per_second: rate(count(self.transactions, before.transactions)),
            bytes_per_second: rate(self.position.saturating_sub(before.position)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_counted_by_the_time_it_took() {
        let at = Instant::now();
        let before = Counted { at, changes: 10, transactions: 4, position: 1_000 };
        let at = at + Duration::from_secs(2);
        let now = Counted { at, changes: 30, transactions: 5, position: 9_000 };
        let told = now.since(before);
        assert_eq!(
            told,
            Throughput {
                seconds: 2.0,
                changes_per_second: 10.0,
                transactions_per_second: 0.5,
                bytes_per_second: 4_000.0
            }
        );
        assert_eq!(
            Counted { at, ..before }.since(Counted { changes: 99, ..before }).changes_per_second,
            0.0
        );
    }
}
