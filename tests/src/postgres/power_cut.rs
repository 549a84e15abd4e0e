//! Ends a server and every process of it at once, as a power cut would.
//!
//! Where there is no `/proc`, as on macOS, the postmaster alone is killed, and the others notice that by themselves.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills a postmaster, which has not been waited for, and its children.
pub(super) fn kill_all(postmaster: Pid) {
    // Stopped, so that it starts no more of them, nor has the time to see any of them go.
    let _ = kill(postmaster, Signal::SIGSTOP);
    let children = children_of(postmaster);
    let _ = kill(postmaster, Signal::SIGKILL);
    for child in children {
        let _ = kill(child, Signal::SIGKILL);
    }
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent.as_raw()))
        .map(Pid::from_raw)
        .collect()
}

/// The fourth field of its `stat`; the second is a name in parentheses, which may hold anything.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}
