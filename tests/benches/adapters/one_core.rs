//! Client and server on one core, where the system can be told to.
//!
//! Over a Unix socket a short statement takes less time than it takes to wake another core. Whether the system runs both sides on
//! one core or on two is its guess, which lasts, and which says nothing of what is measured. Over a network nobody has the choice.
//!
//! Only Linux is told; elsewhere nothing happens.

#[cfg(target_os = "linux")]
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;

/// As long as it lives, what is started runs on one core: threads by the thread that made it, sessions by the server.
#[derive(Debug)]
pub(crate) struct OneCore {
    /// The thread and the process, and where they may run otherwise.
    #[cfg(target_os = "linux")]
    before: Vec<(Pid, CpuSet)>,
}

impl OneCore {
    /// Moves this thread and the server, of which the process is given.
    ///
    /// # Errors
    /// When the system refuses.
    #[cfg(target_os = "linux")]
    pub(crate) fn take(server: Option<u32>) -> crate::Result<Self> {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this)?;
        // The last one: the first has most of the interrupts.
        let last = (0..CpuSet::count()).rev().find(|&core| allowed.is_set(core) == Ok(true));
        let mut one = CpuSet::new();
        one.set(last.ok_or("this process may run on no core")?)?;

        let mut taken = Self { before: Vec::new() };
        let server = server.map(i32::try_from).transpose()?.map(Pid::from_raw);
        for process in server.into_iter().chain([this]) {
            let before = sched_getaffinity(process)?;
            sched_setaffinity(process, &one)?;
            taken.before.push((process, before));
        }
        Ok(taken)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn take(_: Option<u32>) -> crate::Result<Self> {
        Ok(Self {})
    }
}

#[cfg(target_os = "linux")]
impl Drop for OneCore {
    fn drop(&mut self) {
        for (process, before) in &self.before {
            // A server that is gone runs nowhere.
            let _ = sched_setaffinity(*process, before);
        }
    }
}
