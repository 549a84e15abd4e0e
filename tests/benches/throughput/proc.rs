//! What Linux tells of a process in `/proc`: its CPU time, its memory, its children. Elsewhere, and of a process that is gone,
//! nothing is known.

use std::fs;
use std::time::Duration;

/// The unit of CPU times in `/proc`: 10 ms, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all its threads, in user mode and in the kernel.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(|field| field.parse::<u32>().ok());
    Some(TICK * ticks.next()?? + TICK * ticks.next()??)
}

/// The most memory that it has had resident, in bytes.
pub(crate) fn peak_resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The processes that it has started and that still run.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
        .unwrap_or_default()
}

/// Its command line, which server processes replace by what they do.
pub(crate) fn title(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
