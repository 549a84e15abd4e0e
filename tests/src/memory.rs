//! How much memory a process takes, as Linux tells it in `/proc`. Elsewhere, and of a process that is gone, nothing is known.

use std::fs;

/// Memory of a process that is in RAM, pages of its program among it.
///
/// # Examples
/// ```
/// # #[cfg(target_os = "linux")] {
/// let resident = bemi_tests::Resident::of(std::process::id()).unwrap();
/// assert!(resident.now_bytes <= resident.peak_bytes);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resident {
    /// What it takes now.
    pub now_bytes: u64,
    /// The most that it has taken since it began.
    pub peak_bytes: u64,
}

impl Resident {
    /// What the process takes; `None` where nobody says.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kib * 1024)
        };
        let (now_bytes, peak_bytes) = (bytes("VmRSS:")?, bytes("VmHWM:")?);
        // The kernel counts them in batches, and not at the same time.
        Some(Self { now_bytes: now_bytes.min(peak_bytes), peak_bytes })
    }
}
