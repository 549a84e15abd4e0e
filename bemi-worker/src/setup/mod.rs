//! Makes a source and a destination ready for the worker, and takes all of it back.
//!
//! ```text
//! inspect ─▶ rules ─▶ plan ─▶ apply            inspect ─▶ plan ─▶ apply
//!            (setup)                                      (teardown)
//! ```
//!
//! Only `inspect` and `apply` talk to a server. Doctor uses the same inspection and the same plan.
//!
//! Invariant: everything that setup makes or changes is written down in `bemi.installation` of the
//! source, with what it was before; nothing else is ever changed or removed.

pub(crate) mod append_only;
mod apply;
pub(crate) mod ddl;
mod follow;
pub(crate) mod functions;
pub(crate) mod inspect;
pub(crate) mod mend;
mod options;
pub(crate) mod plan;
pub(crate) mod quoting;
mod request_triggers;
pub(crate) mod roles;
pub(crate) mod rules;
mod script;
pub(crate) mod source_schema;
pub(crate) mod sql_pack;
mod strangers;
pub(crate) mod table_events;
mod take_over;
mod teardown;

pub(crate) use follow::{Followed, Follower, LOOK_INTERVAL};
pub use options::{IdentityPolicy, SetupOptions, TeardownOptions};
pub use teardown::{preview_teardown, teardown, teardown_with};

use self::apply::Sessions;
use self::inspect::{Found, Original, Roles};
use self::plan::Plan;
use crate::WorkerError;
use crate::config::Config;
use crate::error::{Problem, Problems};

/// How often to look whether anything is left to do: a table that was made while setup ran, before
/// there was an event trigger.
const ROUNDS_MAX: u32 = 3;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetupReport {
    /// Each step that was taken, as a verb: `create publication bemi`. Empty if nothing was to do.
    pub steps: Vec<String>,
    /// What somebody who reads the report should know: a table whose updates are not tracked.
    pub notes: Vec<String>,
}

/// What would be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// Each step that would be taken, as a verb.
    pub steps: Vec<String>,
    /// What somebody who reads the preview should know.
    pub notes: Vec<String>,
    /// What the role that asked may not do, so that another must.
    pub not_allowed: Vec<String>,
    /// The statements, for an administrator to run.
    pub sql: String,
}

/// Creates what is missing in the source and the destination. A second run finds nothing to do.
///
/// # Errors
/// [`WorkerError::Unready`] when something must be mended first, and then nothing was changed;
/// [`WorkerError::Connect`] and [`WorkerError::Database`] when a server refuses. What was done until
/// then stays, and another run goes on from there.
///
/// # Cancellation
/// Each step is taken as a whole or not at all; another run goes on from there.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::config::Config;
/// use bemi_worker::setup::{self, IdentityPolicy, SetupOptions};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let options = SetupOptions::new().all_tables().replica_identity(IdentityPolicy::Full);
/// let report = setup::run(&config, &options).await?;
/// assert!(report.steps.contains(&"create replication slot bemi".to_owned()));
/// # Ok(())
/// # }
/// ```
pub async fn run(config: &Config, options: &SetupOptions) -> Result<SetupReport, WorkerError> {
    run_with(config, options, |_| Ok(())).await
}

/// [`run`], which tells each step as soon as it is taken.
///
/// # Errors
/// Those of [`run`], and that of `tell`.
///
/// # Cancellation
/// As [`run`].
pub async fn run_with(
    config: &Config,
    options: &SetupOptions,
    mut tell: impl FnMut(&str) -> std::io::Result<()> + Send,
) -> Result<SetupReport, WorkerError> {
    let mut sessions = Sessions::open(config).await?;
    let mut report = SetupReport::default();
    for round in 1..=ROUNDS_MAX {
        let found = inspect(&sessions, config, options).await?;
        let plan = plan::plan(options, config, &found)?;
        plan.problems.clone().into_result()?;
        let outcome = apply::apply(&plan, config, &found, &mut sessions, &mut tell).await?;
        let is_done = outcome.done.is_empty();
        report.steps.extend(outcome.done);
        if round == 1 {
            report.notes = plan.notes;
        }
        if is_done || round == ROUNDS_MAX {
            report.notes.extend(outcome.refused);
            break;
        }
    }
    Ok(report)
}

/// What [`run`] would do, which changes nothing.
///
/// # Errors
/// As [`run`], but what the role may not do is part of the preview.
///
/// # Cancellation
/// Safe.
pub async fn preview(config: &Config, options: &SetupOptions) -> Result<Preview, WorkerError> {
    let sessions = Sessions::open(config).await?;
    let found = inspect(&sessions, config, options).await?;
    let plan = plan::plan(options, config, &found)?;
    Preview::of(plan, config, &found)
}

/// Both databases, and what another's installation has left in them.
async fn inspect(
    sessions: &Sessions,
    config: &Config,
    options: &SetupOptions,
) -> Result<Found, WorkerError> {
    let mut found = sessions.inspect(config).await?;
    let slot = options.adoption.as_ref().and_then(|adoption| adoption.slot.as_ref());
    let (source, destination) = (&sessions.source, &sessions.destination);
    found.original = Original::inspect(source, destination, &found, config, slot)
        .await
        .map_err(WorkerError::database("look for an original worker's installation"))?;
    found.roles = Roles::inspect(source, destination, &found, config, options)
        .await
        .map_err(WorkerError::database("look what roles may do"))?;
    Ok(found)
}

impl Preview {
    fn of(plan: Plan, config: &Config, found: &Found) -> Result<Self, WorkerError> {
        let (not_allowed, others): (Vec<Problem>, Vec<Problem>) = plan
            .problems
            .0
            .iter()
            .cloned()
            .partition(|problem| matches!(problem, Problem::NotAllowed(_)));
        Problems(others).into_result()?;
        Ok(Self {
            sql: script::script(&plan, config, found),
            steps: plan.steps.into_iter().map(|step| step.what).collect(),
            notes: plan.notes,
            not_allowed: not_allowed.iter().map(ToString::to_string).collect(),
        })
    }
}
