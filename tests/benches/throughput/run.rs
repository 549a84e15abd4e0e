//! Runs a program to its end, and notes what it cost: time, and the CPU time and memory of the program and of the server
//! processes that worked for it.
//!
//! Time is from before the start of the process until after its end. CPU time is looked up every few milliseconds while the
//! processes are there, so what they use in the last few of these is missed.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::time::{Duration, Instant};

use bemi_tests::{Cluster, WorkerCommand};
use tokio::time::interval;

use crate::proc;

/// After this a program is taken to hang.
const DEADLINE: Duration = Duration::from_secs(3600);

/// How often the processes are looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// What a run took. What is `None` is not known: not on Linux, or no such process took part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    /// CPU time of the program.
    pub(crate) program: Option<Duration>,
    /// CPU time of the server process that decoded for it.
    pub(crate) walsender: Option<Duration>,
    /// CPU time of the server processes of its other sessions.
    pub(crate) sessions: Option<Duration>,
    pub(crate) peak_resident_bytes: Option<u64>,
}

/// Runs the program, which connects to `database`, until it ends by itself.
///
/// # Panics
/// When it does not end well; the message has its output.
pub(crate) async fn to_end(cluster: &Cluster, database: &str, command: WorkerCommand) -> Run {
    let mut servers = Servers::before(cluster, database);
    let (mut program, mut peak) = (None, None);

    let started = Instant::now();
    let mut process = command.spawn();
    let pid = process.pid();
    let mut end = pin!(process.wait(DEADLINE));
    let mut samples = interval(SAMPLE_INTERVAL);
    let output = loop {
        tokio::select! {
            biased;
            output = &mut end => break output,
            _ = samples.tick() => {
                program = proc::cpu_time(pid).or(program);
                peak = proc::peak_resident_bytes(pid).or(peak);
                servers.look();
            }
        }
    };
    let time = started.elapsed();
    output.assert_code(0);
    Run {
        time,
        program,
        walsender: servers.cpu_time(Kind::Walsender),
        sessions: servers.cpu_time(Kind::Session),
        peak_resident_bytes: peak,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Walsender,
    Session,
}

/// The server processes that have come since, as walsenders or for sessions in the database.
struct Servers {
    postmaster: Option<u32>,
    database: String,
    before: HashSet<u32>,
    seen: BTreeMap<u32, (Kind, Duration)>,
}

impl Servers {
    fn before(cluster: &Cluster, database: &str) -> Self {
        let postmaster = cluster.pid();
        let before = postmaster.map(proc::children).unwrap_or_default().into_iter().collect();
        Self { postmaster, database: format!(" {database} "), before, seen: BTreeMap::new() }
    }

    fn look(&mut self) {
        for pid in self.postmaster.map(proc::children).unwrap_or_default() {
            let known = self.seen.get(&pid).map(|(kind, _)| *kind);
            if let Some(kind) = known.or_else(|| self.kind_of(pid))
                && let Some(time) = proc::cpu_time(pid)
            {
                self.seen.insert(pid, (kind, time));
            }
        }
    }

    /// By the title, once it has one: `postgres: walsender postgres 127.0.0.1(40312) START_REPLICATION`,
    /// `postgres: postgres shop 127.0.0.1(40310) COPY`.
    fn kind_of(&self, pid: u32) -> Option<Kind> {
        if self.before.contains(&pid) {
            return None;
        }
        let title = proc::title(pid)?;
        if title.starts_with("postgres: walsender ") {
            Some(Kind::Walsender)
        } else {
            title.contains(&self.database).then_some(Kind::Session)
        }
    }

    fn cpu_time(&self, kind: Kind) -> Option<Duration> {
        self.seen.values().filter(|(of, _)| *of == kind).map(|(_, time)| *time).reduce(|a, b| a + b)
    }
}
