//! Keeps a worker running, as systemd would, and judges how each one ended.
//!
//! Invariant: every worker that was ever started is among those that are told at the end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bemi_worker::failpoint::{ENVIRONMENT, Failpoint};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::stage::Stage;
use crate::{Output, RunningWorker, WorkerCommand};

/// How often it looks whether a worker has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How long it waits before it starts the next one.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// How long a worker that was told to stop may take: a source or destination that is away is not waited for.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Something that has ended is asked how.
const AT_ONCE: Duration = Duration::ZERO;

/// Workers of a stage, of which one is always there.
#[derive(Debug)]
pub(super) struct Supervisor {
    workers: Arc<Mutex<Workers>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Workers {
    start: Start,
    running: Vec<Supervised>,
    /// Which one is to be there; the others are guests.
    main: Option<u32>,
    failpoints: VecDeque<String>,
    is_wanted: bool,
    started: u32,
    ended: Vec<Ended>,
    ended_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Start {
    source: String,
    destination: String,
    slot: String,
}

#[derive(Debug)]
struct Supervised {
    number: u32,
    worker: RunningWorker,
    fate: Fate,
}

/// What was done to a worker; it may be several things, and it may have ended by the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    is_killed: bool,
    is_told_to_stop: bool,
    has_failpoint: bool,
}

/// A worker that is no more.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) number: u32,
    pub(super) output: Output,
    fate: Fate,
}

impl Supervisor {
    /// Starts a worker, and the next one whenever it has ended.
    pub(super) fn start(stage: &Stage) -> Self {
        use super::fault::Side;

        let start = Start {
            source: stage.network(Side::Source).url(&stage.tracked().url()),
            destination: stage.network(Side::Destination).url(&stage.changes().url()),
            slot: stage.tracked().slot_name(),
        };
        let workers = Arc::new(Mutex::new(Workers {
            start,
            running: Vec::new(),
            main: None,
            failpoints: VecDeque::new(),
            is_wanted: true,
            started: 0,
            ended: Vec::new(),
            ended_at: None,
        }));
        let task = tokio::spawn(supervise(Arc::clone(&workers)));
        Self { workers, task }
    }

    /// Kills the worker.
    pub(super) fn kill(&self) {
        self.workers().with_main(|main| {
            main.fate.is_killed = true;
            main.worker.kill_9();
        });
    }

    /// Tells the worker to stop, once: being told again ends it at once.
    pub(super) fn stop(&self) {
        self.workers().with_main(|main| {
            if !std::mem::replace(&mut main.fate.is_told_to_stop, true) {
                main.worker.terminate();
            }
        });
    }

    /// Kills the worker; the next one ends at a failpoint, if it comes there.
    pub(super) fn fail_next_at(&self, point: Failpoint, pass: u32) {
        self.workers().failpoints.push_back(format!("{}:{pass}", point.name()));
        self.kill();
    }

    /// Starts one more worker.
    pub(super) fn start_guest(&self) -> u32 {
        self.workers().start_one(None)
    }

    /// Stops the worker in its tracks: it is a guest now, and the next one will be started.
    pub(super) fn pause(&self) -> Option<u32> {
        let mut workers = self.workers();
        workers.with_main(|main| main.worker.pause());
        workers.main.take()
    }

    /// Lets a worker go on that was paused.
    pub(super) fn resume(&self, number: u32) {
        let mut workers = self.workers();
        if let Some(guest) = workers.running.iter_mut().find(|worker| worker.number == number) {
            guest.worker.resume();
        }
    }

    /// Kills a guest, if it is still there.
    pub(super) fn kill_guest(&self, number: u32) {
        let mut workers = self.workers();
        if let Some(guest) = workers.running.iter_mut().find(|worker| worker.number == number) {
            guest.fate.is_killed = true;
            guest.worker.kill_9();
        }
    }

    /// Tells the worker to stop, starts no other one, and returns how all of them ended.
    pub(super) async fn finish(self) -> Vec<Ended> {
        self.workers().is_wanted = false;
        self.stop();
        let deadline = Instant::now() + STOP_MAX;
        while !self.workers().running.is_empty() {
            if Instant::now() > deadline {
                // Nothing says that it may: it is told as what is wrong.
                for supervised in &mut self.workers().running {
                    supervised.worker.kill_9();
                }
            }
            sleep(LOOK_INTERVAL).await;
        }
        let Self { workers, task } = self;
        let _ = task.await;
        std::mem::take(&mut lock(&workers).ended)
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        lock(&self.workers)
    }
}

impl Ended {
    /// What is wrong with how it ended, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { number, output, fate } = self;
        let Output { code, stderr, .. } = output;
        let is_well = match code {
            None => fate.is_killed || (fate.has_failpoint && stderr.contains("failpoint")),
            Some(0) => fate.is_told_to_stop,
            // Another worker has the slot, or has taken it over.
            Some(1) => stderr.contains("in use") || stderr.contains("taken over"),
            // A server was not there when it started.
            Some(6) => true,
            Some(_) => false,
        };
        let how = match code {
            Some(code) => format!("ended with {code}"),
            None => "was ended by a signal".to_owned(),
        };
        let last = stderr.lines().next_back().unwrap_or_default();
        (!is_well || stderr.contains("panicked"))
            .then(|| format!("worker {number} {how}, {fate:?}: {last}"))
    }
}

impl Workers {
    fn with_main(&mut self, act: impl FnOnce(&mut Supervised)) {
        let main = self.main;
        if let Some(main) = self.running.iter_mut().find(|worker| Some(worker.number) == main) {
            act(main);
        }
    }

    fn start_one(&mut self, failpoint: Option<String>) -> u32 {
        let Start { source, destination, slot } = self.start.clone();
        let mut command = WorkerCommand::under_test(["run"])
            .env("DATABASE_URL", source)
            .env("DESTINATION_DATABASE_URL", destination)
            .env("BEMI_SLOT", slot);
        let fate = Fate { has_failpoint: failpoint.is_some(), ..Fate::default() };
        if let Some(failpoint) = failpoint {
            command = command.env(ENVIRONMENT, failpoint);
        }
        self.started += 1;
        self.running.push(Supervised { number: self.started, worker: command.spawn(), fate });
        self.started
    }

    /// Takes out those that have ended, and starts one if none is there that should be.
    fn look(&mut self) -> Vec<Supervised> {
        let ended: Vec<_> = self.running.extract_if(.., |one| !one.worker.is_running()).collect();
        if ended.iter().any(|one| Some(one.number) == self.main) {
            self.main = None;
        }
        if !ended.is_empty() {
            self.ended_at = Some(Instant::now());
        }
        let is_due = self.ended_at.is_none_or(|at| at.elapsed() >= RESTART_PAUSE);
        if self.is_wanted && self.main.is_none() && is_due {
            let failpoint = self.failpoints.pop_front();
            self.main = Some(self.start_one(failpoint));
        }
        ended
    }
}

async fn supervise(workers: Arc<Mutex<Workers>>) {
    loop {
        let ended = lock(&workers).look();
        for mut one in ended {
            let output = one.worker.wait(AT_ONCE).await;
            lock(&workers).ended.push(Ended { number: one.number, output, fate: one.fate });
        }
        let is_over = {
            let workers = lock(&workers);
            !workers.is_wanted && workers.running.is_empty()
        };
        if is_over {
            return;
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn lock(workers: &Mutex<Workers>) -> MutexGuard<'_, Workers> {
    // Whoever panicked with it left a list of processes: still good.
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}
