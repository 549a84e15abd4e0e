//! Runs the worker as a process of its own, as its users do, and watches what it says.
//!
//! The program is [`WorkerCommand::under_test`] where cargo runs a test or a benchmark: it has freshly built it then, and says where.
//!
//! Invariant: a worker that was started is gone when its [`RunningWorker`] is dropped, and when the test process ends in whatever
//! way.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use tempfile::NamedTempFile;

use crate::HarnessError;
use crate::tool;

/// How long a command that is expected to end may take.
const RUN_DEADLINE: Duration = Duration::from_secs(120);

/// How long to wait for a line in the log.
const LOG_DEADLINE: Duration = Duration::from_secs(60);

/// Kills the worker once the test process, which holds the other end of the pipe, is gone.
const WATCH: &str = r#"while read -r _; do :; done; kill -KILL "$1""#;

/// Variables that would tell the worker things that the test did not.
const CONFIGURATION: [&str; 5] = ["BEMI_", "DATABASE_URL", "DB_", "PG", "RUST_LOG"];

/// A command line of the worker, to be run. It sees no configuration in its environment but what is given here.
///
/// # Examples
/// ```no_run
/// # async fn example(url: &str) {
/// use bemi_tests::WorkerCommand;
///
/// let output = WorkerCommand::under_test(["doctor"]).env("DATABASE_URL", url).run_to_end().await;
/// output.assert_code(0);
/// # }
/// ```
pub struct WorkerCommand {
    program: PathBuf,
    command: Command,
}

/// How a worker ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Everything that it wrote to its standard output.
    pub stdout: String,
    /// Everything that it wrote to its standard error: the log.
    pub stderr: String,
}

/// A worker that runs until it is told to stop. Dropping it kills it.
#[derive(Debug)]
pub struct RunningWorker {
    program: PathBuf,
    child: Child,
    status: Option<ExitStatus>,
    watcher: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

impl WorkerCommand {
    /// The worker of this workspace with these arguments: `["setup", "--all-tables"]`.
    ///
    /// # Panics
    /// Where cargo did not start this program: nobody says then where the worker is.
    #[allow(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn under_test<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let program = std::env::var_os("CARGO_BIN_EXE_worker-under-test")
            .expect("cargo says where the worker is to the tests and benchmarks that it runs");
        Self::new(program, arguments)
    }

    /// The worker at `program` with these arguments: `["setup", "--all-tables"]`.
    pub fn new<A: AsRef<OsStr>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let program = program.into();
        let mut command = Command::new(&program);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if CONFIGURATION.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        Self { program, command }
    }

    /// Sets an environment variable for it.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it until it ends by itself.
    ///
    /// # Panics
    /// When it cannot be started, or has not ended after two minutes: then it is killed, and the message has its output.
    pub async fn run_to_end(self) -> Output {
        self.spawn().wait(RUN_DEADLINE).await
    }

    /// Starts it and leaves it running.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[allow(clippy::panic, reason = "a test fails by panicking")]
    pub fn spawn(self) -> RunningWorker {
        let program = self.program.display().to_string();
        self.try_spawn().unwrap_or_else(|error| panic!("cannot run the worker {program}: {error}"))
    }

    fn try_spawn(mut self) -> Result<RunningWorker, HarnessError> {
        let stdout =
            NamedTempFile::new().map_err(HarnessError::system("create a temporary file"))?;
        let stderr =
            NamedTempFile::new().map_err(HarnessError::system("create a temporary file"))?;
        let writer = |file: &NamedTempFile| {
            file.reopen().map_err(HarnessError::system("open a temporary file"))
        };
        let not_started = |tool: OsString| {
            move |source| HarnessError::ToolNotStarted {
                tool: tool.to_string_lossy().into_owned(),
                source,
            }
        };
        let mut child = self
            .command
            .stdout(writer(&stdout)?)
            .stderr(writer(&stderr)?)
            .spawn()
            .map_err(not_started(self.program.clone().into()))?;
        let watcher = Command::new("sh")
            .args(["-c", WATCH, "worker-watch", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C must not reach it before its work is done.
            .process_group(0)
            .spawn()
            .map_err(not_started("sh".into()));
        match watcher {
            Ok(watcher) => Ok(RunningWorker {
                program: self.program,
                child,
                status: None,
                watcher,
                stdout,
                stderr,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }
}

/// Without the environment, which holds passwords.
impl fmt::Debug for WorkerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerCommand").field("program", &self.program).finish_non_exhaustive()
    }
}

impl Output {
    /// Checks the exit code, and returns the output for further looks.
    ///
    /// # Panics
    /// When it is another one; the message has the output.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "the check alone is worth calling it")]
    pub fn assert_code(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "expected exit code {code}, but the worker ended like this:\n{self}"
        );
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        write!(f, "--- standard output\n{}\n--- standard error\n{}", self.stdout, self.stderr)
    }
}

impl RunningWorker {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// What it has written to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it has written to its standard error, the log, so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Sends it SIGTERM, which asks it to finish the batch in flight and leave.
    pub fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    /// Stops it in its tracks by SIGSTOP: it does nothing, and the system holds its connections.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill_9(&mut self) {
        self.signal(Signal::SIGKILL);
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
    }

    /// Stops it as an operator does.
    ///
    /// # Panics
    /// When it does not leave well: within two minutes, with exit code 0.
    pub async fn stop(mut self) -> Output {
        self.terminate();
        self.wait(RUN_DEADLINE).await.assert_code(0)
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When the deadline passes first: then it is killed, and the message has its output.
    #[allow(clippy::panic, reason = "a test fails by panicking")]
    pub async fn wait(&mut self, deadline: Duration) -> Output {
        let end = tokio::time::Instant::now() + deadline;
        while self.is_running() {
            if tokio::time::Instant::now() >= end {
                self.kill_9();
                panic!(
                    "{} did not end within {} s\n{}",
                    self.program.display(),
                    deadline.as_secs_f32(),
                    self.output()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.output()
    }

    /// Waits until its log holds `text`.
    ///
    /// # Panics
    /// When it ends, or a minute passes, without that; the message has its output.
    #[allow(clippy::panic, reason = "a test fails by panicking")]
    pub async fn wait_for_log(&mut self, text: &str) {
        let end = tokio::time::Instant::now() + LOG_DEADLINE;
        loop {
            // Asked first: what it wrote before it ended counts.
            let is_running = self.is_running();
            if self.stderr().contains(text) {
                return;
            }
            if !is_running || tokio::time::Instant::now() >= end {
                panic!("the worker never logged {text:?}\n{}", self.output());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn output(&self) -> Output {
        let code = self.status.and_then(|status| status.code());
        Output { code, stdout: self.stdout(), stderr: self.stderr() }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    fn signal(&mut self, signal: Signal) {
        // Only while it has not been waited for is the id surely its own.
        if self.poll().is_none() {
            let _ = kill(tool::pid_of(&self.child), signal);
        }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.kill_9();
        // With the worker gone its id may become somebody else's, so the watcher goes without doing its work.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

fn text(file: &NamedTempFile) -> String {
    fs::read(file.path())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
