//! Runs many fault plans, each in a process of its own, and tells how they went.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// The programs of package `bemi-tests` that a run needs.
const PLAN: &str = "fault-plan";
const WORKER: &str = "worker-under-test";

/// Where cargo tells tests of the worker, and we do.
const WORKER_VARIABLE: &str = "CARGO_BIN_EXE_worker-under-test";

/// Which PostgreSQL the runs are on, where it is set.
const MAJOR_VARIABLE: &str = "BEMI_TEST_MAJOR";

/// Runs seeded fault plans against real servers, and requires that nothing is lost or stored twice
///
/// Each seed makes a plan: which faults befall the worker, its servers and its networks, and when. A line is printed for each run. Of a
/// run that fails, everything there is to see is kept in target/faults. Exits with 1 if any failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask faults --runs 300
  cargo xtask faults --runs 1 --seed 4711
  cargo xtask faults --runs 20 --only kill-source
  BEMI_TEST_MAJOR=18 cargo xtask faults --runs 20")]
pub(crate) struct Options {
    /// How many plans to run
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// The first seed; each run takes the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many run at the same time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Draws faults of this kind alone
    #[arg(long, value_name = "FAULT")]
    only: Option<String>,
    /// Takes the programs fault-plan and worker-under-test from here, and builds nothing
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// Runs the plans.
///
/// # Errors
/// What keeps them from running at all, in words.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    let programs = match &options.programs {
        Some(folder) => folder.clone(),
        None => build()?,
    };
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let started = Instant::now();
    thread::scope(|threads| {
        for _ in 0..options.jobs.max(1) {
            threads.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.runs {
                        break;
                    }
                    let seed = options.seed + number;
                    if !run_one(&programs, seed, options.only.as_deref())
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_default();
    failed.sort_unstable();
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let last = options.seed + options.runs.saturating_sub(1);
    println!(
        "{} runs, seeds {} to {last}, in {minutes:.1} minutes: {} failed",
        options.runs,
        options.seed,
        failed.len()
    );
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("to repeat them:");
    for seed in failed {
        println!("  {}", command_of(seed, options.only.as_deref()));
    }
    Ok(ExitCode::FAILURE)
}

/// Builds what a run needs, and says where it is.
fn build() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--package", "bemi-tests", "--bin", PLAN, "--bin", WORKER])
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.success() {
        return Err("what a run needs does not build".to_owned());
    }
    // This program lies where cargo puts those, too.
    let here = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Ok(here.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// Runs the plan of one seed. Returns whether it went well.
fn run_one(programs: &Path, seed: u64, only: Option<&str>) -> bool {
    let mut command = Command::new(programs.join(PLAN));
    command.args(["--seed", &seed.to_string()]).stdin(Stdio::null());
    command.env(WORKER_VARIABLE, programs.join(WORKER));
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let (is_well, told) = match command.output() {
        Ok(output) if output.status.success() => {
            (true, String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let (told, ill) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            (false, format!("{told}{ill}seed {seed} ended with {}\n", output.status))
        }
        Err(error) => (false, format!("seed {seed}: cannot run {PLAN}: {error}\n")),
    };
    // In one piece: others print, too. Where nobody reads, the exit code still tells.
    let _ = io::stdout().lock().write_all(told.as_bytes());
    is_well
}

fn command_of(seed: u64, only: Option<&str>) -> String {
    let major = env::var(MAJOR_VARIABLE);
    let major = major.map(|major| format!("{MAJOR_VARIABLE}={major} ")).unwrap_or_default();
    let only = only.map(|only| format!(" --only {only}")).unwrap_or_default();
    format!("{major}cargo xtask faults --runs 1 --seed {seed}{only}")
}
