//! The contract that every adapter keeps: the same cases for all of them, on the oldest and the newest PostgreSQL that count.
//!
//! Each case is checked twice: by what the caller sees, and by what the real worker puts into `changes`.
//!
//! ```text
//!  drivers (one per adapter) ─┐
//!  cases (by theme) ──────────┼─▶ main: one trial for each driver, version and case
//!  servers ─▶ stage ──────────┘         sqlx::pg15::an_upsert_that_changes_nothing
//! ```
//!
//! `cargo test -p bemi-tests --test contract -- sqlx::pg18` runs those whose names hold that.
//!
//! Invariant: where a driver has the abilities that a case needs, the case runs; none is left out for any other reason but a
//! server that this machine cannot have, and then that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cases;
mod driver;
mod drivers;
mod journal;
mod log;
mod servers;
mod stage;
mod stored;
mod tracked;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bemi_tests::available_majors;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use self::servers::Servers;
use self::stage::Group;

/// The oldest and the newest PostgreSQL that the contract is kept on.
const MAJORS: [u32; 2] = [15, 18];

/// Most of what a trial does is waiting for servers; more at once would only be more connections.
const TRIALS_AT_ONCE: usize = 8;

/// A trial that takes longer hangs.
const TRIAL_DEADLINE: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS_AT_ONCE);
    log::collect();
    let majors = if arguments.list { MAJORS.to_vec() } else { available_majors(&MAJORS) };
    let runtime = Arc::new(Runtime::new().unwrap());
    libtest_mimic::run(&arguments, trials(&majors, &runtime)).exit_code()
}

fn trials(majors: &[u32], runtime: &Arc<Runtime>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &major in majors {
        let servers = Arc::new(Servers::new(major));
        for registered in drivers::DRIVERS {
            // It goes, and its worker and database with it, when the last of its trials has run.
            let group = Arc::new(Group::new(registered, Arc::clone(&servers)));
            for case in cases::all() {
                if !case.needs.iter().all(|ability| registered.abilities.contains(ability)) {
                    continue;
                }
                let name = format!("{}::pg{major}::{}", registered.name, case.name);
                let (group, runtime) = (Arc::clone(&group), Arc::clone(runtime));
                trials.push(Trial::test(name, move || {
                    runtime.block_on(async {
                        let trial = async { (case.run)(group.stage(case.name).await).await };
                        let ended = timeout(TRIAL_DEADLINE, trial).await;
                        ended.map_err(|_| format!("still runs after {TRIAL_DEADLINE:?}").into())
                    })
                }));
            }
        }
    }
    trials
}
