//! What the system knows of this process.

/// Memory that is in use, in bytes; `None` where the system does not tell, as anything but Linux.
pub(super) fn resident_bytes() -> Option<u64> {
    resident_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmRSS:     4711 kB`.
fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_on_resident_memory_is_found_and_what_is_none_is_none() {
        let status = "Name:\tbemi-worker\nVmHWM:\t    9 kB\nVmRSS:\t    4711 kB\nThreads:\t3\n";
        assert_eq!(resident_in(status), Some(4711 * 1024));
        for status in ["", "VmRSS:\t-\n", "VmRSS:\t12 MB\n"] {
            assert_eq!(resident_in(status), None, "{status}");
        }
    }
}
