//! Runs a program to its end, within a deadline.
//!
//! Invariant: when a call returns, the program and whatever it started in its process group are gone, and its output was read
//! in full. Output goes through anonymous files and not through pipes, so that neither a full pipe nor a grandchild that
//! holds one open can make the caller wait.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::HarnessError;

/// How often a program is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How a program ended and what it wrote.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` without input; it is killed when the deadline passes. How it ended is for the caller to judge.
pub(crate) fn run(mut command: Command, deadline: Duration) -> Result<Finished, HarnessError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let (mut stdout, mut stderr) =
        (captured(&mut command, Command::stdout)?, captured(&mut command, Command::stderr)?);
    // Its own group, so that killing it takes what it started along.
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| HarnessError::ToolNotStarted { tool: tool.clone(), source })?;

    match wait_until(&mut child, deadline)? {
        Some(status) => {
            Ok(Finished { status, stdout: text(&mut stdout)?, stderr: text(&mut stderr)? })
        }
        None => {
            // It may have ended between the last look and now: then there is nobody to kill.
            let _ = killpg(pid_of(&child), Signal::SIGKILL);
            child.wait().map_err(HarnessError::system("wait for a killed program"))?;
            let output = format!("{}{}", text(&mut stdout)?, text(&mut stderr)?);
            Err(HarnessError::ToolTooSlow { tool, seconds: deadline.as_secs(), output })
        }
    }
}

/// Like [`run`], but takes any other end than success for an error. Returns the standard output.
pub(crate) fn run_successfully(
    command: Command,
    deadline: Duration,
) -> Result<String, HarnessError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let finished = run(command, deadline)?;
    if finished.status.success() {
        Ok(finished.stdout)
    } else {
        let output = format!("{}{}", finished.stdout, finished.stderr);
        Err(HarnessError::ToolFailed { tool, status: finished.status, output })
    }
}

/// Waits for a child that may not end in time: then `None`, and it goes on running.
pub(crate) fn wait_until(
    child: &mut Child,
    deadline: Duration,
) -> Result<Option<ExitStatus>, HarnessError> {
    let started = Instant::now();
    loop {
        let ended = child.try_wait().map_err(HarnessError::system("wait for a program"))?;
        if ended.is_some() || started.elapsed() >= deadline {
            return Ok(ended);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The process id of a child that has not been waited for, so that the id cannot belong to anybody else.
#[allow(
    clippy::cast_possible_wrap,
    reason = "process ids are positive pid_t; std hands them out as u32"
)]
pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

fn captured(
    command: &mut Command,
    redirect: impl FnOnce(&mut Command, Stdio) -> &mut Command,
) -> Result<File, HarnessError> {
    let file = tempfile::tempfile().map_err(HarnessError::system("create a temporary file"))?;
    let writer = file.try_clone().map_err(HarnessError::system("share a temporary file"))?;
    redirect(command, writer.into());
    Ok(file)
}

fn text(file: &mut File) -> Result<String, HarnessError> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(HarnessError::system("read the output of a program"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
