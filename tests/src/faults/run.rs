//! One run of a plan: the workload, the faults, and in the end the comparison with the truth.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::evidence;
use super::fault::Fault;
use super::plan::Plan;
use super::proxy::{Condition, Direction};
use super::stage::{Place, Stage, WAL_SENDER_TIMEOUT};
use super::supervisor::Supervisor;

/// How long a worker may take, once all is well again, until everything is stored. It waits up to half a minute between two
/// attempts.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// The workload goes on for so long when the last fault is over.
const AFTERMATH: Duration = Duration::from_millis(300);

/// How long a worker that ends at a failpoint may take to come there.
const FAILPOINT_MAX: Duration = Duration::from_millis(1_500);

/// How a run went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunReport {
    /// What was done.
    pub plan: Plan,
    /// How many changes there were in truth.
    pub changes: usize,
    /// In how many transactions.
    pub transactions: usize,
    /// How many workers it took.
    pub workers: usize,
    /// How long it took, servers and comparison included.
    pub took: Duration,
    /// What is wrong; nothing, if the worker survived.
    pub problems: Vec<String>,
    /// Where everything is that one wants to look at then.
    pub evidence: Option<PathBuf>,
}

impl Plan {
    /// Carries the plan out, on servers of its own. Where something is wrong, what there is to see goes to a folder in `keep`.
    ///
    /// It needs a runtime of several threads.
    ///
    /// # Panics
    /// When the harness itself fails: servers that do not start, or a folder that cannot be written to.
    pub async fn run(&self, keep: &Path) -> RunReport {
        let started = Instant::now();
        let stage = Stage::new(self.place).await;
        let supervisor = Supervisor::start(&stage);
        let workload = stage.workload(self.seed, self.clients);
        for (pause, fault) in &self.steps {
            sleep(*pause).await;
            befall(&stage, &supervisor, *fault).await;
        }
        sleep(AFTERMATH).await;
        workload.finish().await;

        let mut problems = Vec::new();
        if self.recovers_alone && !stage.is_stored_within(RECOVERY_MAX).await {
            let seconds = RECOVERY_MAX.as_secs();
            problems
                .push(format!("not everything was stored {seconds} s after all was well again"));
        }
        let ended = supervisor.finish().await;
        problems.extend(ended.iter().filter_map(super::supervisor::Ended::problem));
        if !self.recovers_alone {
            let once = stage.worker(&["run", "--once"]).run_to_end().await;
            if once.code != Some(0) {
                problems.push(format!("the last worker: {once}"));
            }
        }
        let comparison = stage.compare().await;
        if !comparison.differences.is_empty() {
            problems.push(comparison.to_string());
        }
        problems.extend(stage.ills().await);
        let mut report = RunReport {
            plan: self.clone(),
            changes: comparison.changes,
            transactions: comparison.transactions,
            workers: ended.len(),
            took: started.elapsed(),
            problems,
            evidence: None,
        };
        if !report.problems.is_empty() {
            report.evidence = Some(evidence::keep(&stage, &report, &ended, keep).await);
        }
        report
    }
}

/// Lets a fault befall, and waits until it is over.
async fn befall(stage: &Stage, supervisor: &Supervisor, fault: Fault) {
    match fault {
        Fault::KillWorker => supervisor.kill(),
        Fault::StopWorker => supervisor.stop(),
        Fault::FailWorker(point, pass) => {
            supervisor.fail_next_at(point, pass);
            sleep(FAILPOINT_MAX).await;
        }
        Fault::Restart(side, mode, pause) => {
            let server = stage.server(side);
            block_in_place(|| server.stop(mode)).unwrap_or_else(|error| harness(&error));
            sleep(pause).await;
            block_in_place(|| server.start_again()).unwrap_or_else(|error| harness(&error));
        }
        Fault::Network(side, direction, condition, time) => {
            stage.network(side).set(direction, condition);
            sleep(time).await;
            stage.network(side).set(Direction::Both, Condition::Well);
        }
        Fault::Cut(side, time) => {
            stage.network(side).cut();
            sleep(time).await;
            stage.network(side).heal();
        }
        Fault::Reset(side, direction, time) => {
            stage.network(side).reset(direction);
            sleep(time).await;
            stage.network(side).heal();
        }
        Fault::Strand(side, which) => stage.network(side).strand(which),
        Fault::SecondWorker(time) => {
            let guest = supervisor.start_guest();
            sleep(time).await;
            supervisor.kill_guest(guest);
        }
        Fault::PauseWorker(time) => {
            let Some(paused) = supervisor.pause() else { return };
            sleep(WAL_SENDER_TIMEOUT + time).await;
            supervisor.resume(paused);
            sleep(AFTERMATH).await;
            supervisor.kill_guest(paused);
        }
    }
}

#[allow(clippy::panic, reason = "a test fails by panicking")]
fn harness(error: &crate::HarnessError) {
    panic!("{error}");
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, changes, transactions, workers, took, problems, evidence } = self;
        let place = match plan.place {
            Place::OneDatabase => "one database",
            Place::TwoClusters => "two clusters",
        };
        let took = took.as_secs_f32();
        let seed = plan.seed;
        let state = if problems.is_empty() { "well" } else { "FAILED" };
        write!(
            f,
            "seed {seed} {state}: {changes} changes in {transactions} transactions, {place}, \
             {} faults, {workers} workers, {took:.1} s",
            plan.steps.len()
        )?;
        if problems.is_empty() {
            return Ok(());
        }
        write!(f, "\n{plan}")?;
        for problem in problems {
            write!(f, "\n- {problem}")?;
        }
        if let Some(evidence) = evidence {
            write!(f, "\nlook at {}", evidence.display())?;
        }
        Ok(())
    }
}
