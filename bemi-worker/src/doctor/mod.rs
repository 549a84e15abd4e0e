//! Looks at everything that can be wrong at source and destination, and says how to mend it.
//!
//! ```text
//! facts (both servers) ─▶ checks (pure) ─▶ findings
//! ```
//!
//! Invariants: doctor changes nothing unless told to mend; each code means the same for ever; a finding that is not ok
//! says why it matters and what to do, and docs/findings.md has a section for it.
//!
//! An area of checks is a file of its own: a `fn check(&Subject, &mut Diagnosis)` with a line in the
//! lists of `checks.rs`, and, where it asks a server, its facts as a field of `Facts`.

mod chain;
mod checks;
mod clock;
mod context;
mod coverage;
mod declared;
mod drift;
mod exposed;
mod facts;
mod failover;
mod finding;
mod fix;
mod privileges;
mod record;
mod retained;
mod rules;
mod server;
mod toast;
mod version;

pub use finding::{Diagnosis, Finding, Level};
pub use fix::{Fix, FixResult, Fixed, fix};

use self::facts::Facts;
use crate::WorkerError;
use crate::config::Config;

/// Examines source and destination.
///
/// # Errors
/// [`WorkerError`] when a connection breaks in between. That there is none to begin with is a
/// finding.
///
/// # Cancellation
/// Safe: nothing is changed.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::{config::Config, doctor};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let diagnosis = doctor::examine(&config).await?;
/// assert!(!diagnosis.has_failed());
/// # Ok(())
/// # }
/// ```
pub async fn examine(config: &Config) -> Result<Diagnosis, WorkerError> {
    let mut diagnosis = Diagnosis::default();
    let source = match config.source.connect().await {
        Ok(client) => {
            diagnosis.ok("B001", format!("connected to the source, {}", config.source));
            Some(client)
        }
        Err(error) => {
            diagnosis.unreachable("B001", "source", &error);
            None
        }
    };
    let destination = match config.destination.connect().await {
        Ok(client) => {
            diagnosis.ok("B002", format!("connected to the destination, {}", config.destination));
            Some(client)
        }
        Err(error) => {
            diagnosis.unreachable("B002", "destination", &error);
            None
        }
    };
    let (Some(mut source), Some(destination)) = (source, destination) else {
        return Ok(diagnosis);
    };
    match Facts::gather(config, &mut source, &destination).await {
        Ok(facts) => checks::check(config, &facts, &mut diagnosis)?,
        // The server is too old to be asked for more.
        Err(WorkerError::Unready(problems)) => {
            diagnosis.fail("B003", problems.to_string(), "nothing can be tracked", "upgrade it");
        }
        Err(error @ WorkerError::Database { .. }) if error.exit_code() == 6 => diagnosis.fail(
            "B054",
            error.to_string(),
            "the role may not see what is to be looked at, so nothing more is told",
            "run doctor as the role that set up; or give this one the privileges of the worker's role, as \
             docs/operating.md has them",
        ),
        Err(error) => return Err(error),
    }
    Ok(diagnosis)
}
