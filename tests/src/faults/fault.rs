//! What can befall a worker and its servers, as values.

use std::fmt;
use std::time::Duration;

use bemi_worker::failpoint::Failpoint;
use fastrand::Rng;

use super::proxy::{Condition, Direction, Which};
use crate::StopMode;

/// At which end of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// Where changes come from.
    Source,
    /// Where they are stored.
    Destination,
}

/// What befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// SIGKILL for the worker, wherever it is.
    KillWorker,
    /// The next worker ends at a failpoint, at that pass.
    FailWorker(Failpoint, u32),
    /// SIGTERM for the worker.
    StopWorker,
    /// A server is stopped, or killed, and started again after a while.
    Restart(Side, StopMode, Duration),
    /// The network is like this for a while.
    Network(Side, Direction, Condition, Duration),
    /// The network is cut for a while.
    Cut(Side, Duration),
    /// Connections are reset towards one side or both; the other one hears of it after a while.
    Reset(Side, Direction, Duration),
    /// Connections that are open lead nowhere any more, for good; new ones pass.
    Strand(Side, Which),
    /// For a while there is another worker.
    SecondWorker(Duration),
    /// The worker is stopped in its tracks by SIGSTOP for a while, another one takes over, and then the first goes on.
    PauseWorker(Duration),
}

/// The kinds of faults, by the names that a command line has for them.
pub const FAULT_NAMES: [&str; 17] = [
    "kill-worker",
    "failpoint",
    "stop-worker",
    "kill-source",
    "kill-destination",
    "restart-source",
    "restart-destination",
    "cut-source",
    "cut-destination",
    "half-open-source",
    "half-open-destination",
    "reset",
    "latency",
    "slow-source",
    "slow-destination",
    "second-worker",
    "pause-worker",
];

/// Longer than [`WAL_SENDER_TIMEOUT`](super::stage::WAL_SENDER_TIMEOUT), in milliseconds.
const OUTLASTING_MILLIS: std::ops::Range<u64> = 2_100..2_900;

impl Fault {
    /// A fault of this kind, its details at random. `None` where no kind has this name.
    #[must_use]
    pub fn draw(name: &str, rng: &mut Rng) -> Option<Self> {
        let side = if rng.bool() { Side::Source } else { Side::Destination };
        let direction = [Direction::ToServer, Direction::ToClient, Direction::Both];
        let direction = direction.get(rng.usize(0..3)).copied().unwrap_or(Direction::Both);
        let short = Duration::from_millis(rng.u64(50..600));
        // Half of what may outlast the server's patience does.
        let long = Duration::from_millis(if rng.bool() {
            rng.u64(OUTLASTING_MILLIS)
        } else {
            rng.u64(100..1_500)
        });
        let mode = if rng.bool() { StopMode::Fast } else { StopMode::Immediate };
        Some(match name {
            "kill-worker" => Self::KillWorker,
            "failpoint" => {
                let places = Failpoint::ALL.len();
                let place = Failpoint::ALL.get(rng.usize(0..places)).copied()?;
                Self::FailWorker(place, rng.u32(1..8))
            }
            "stop-worker" => Self::StopWorker,
            "kill-source" => Self::Restart(Side::Source, StopMode::Kill, short),
            "kill-destination" => Self::Restart(Side::Destination, StopMode::Kill, short),
            "restart-source" => Self::Restart(Side::Source, mode, short),
            "restart-destination" => Self::Restart(Side::Destination, mode, short),
            "cut-source" => Self::Cut(Side::Source, long),
            "cut-destination" => Self::Cut(Side::Destination, long),
            "half-open-source" => Self::Network(Side::Source, direction, Condition::HalfOpen, long),
            "half-open-destination" => {
                Self::Network(Side::Destination, direction, Condition::HalfOpen, long)
            }
            "reset" => Self::Reset(side, direction, short),
            "latency" => {
                let latency = Condition::Latency(Duration::from_millis(rng.u64(5..80)));
                Self::Network(side, direction, latency, long)
            }
            "slow-source" => {
                let rate = Condition::BytesPerSecond(rng.u32(20_000..400_000));
                Self::Network(Side::Source, Direction::ToClient, rate, long)
            }
            "slow-destination" => {
                let rate = Condition::BytesPerSecond(rng.u32(20_000..400_000));
                Self::Network(Side::Destination, Direction::ToServer, rate, long)
            }
            "second-worker" => Self::SecondWorker(long),
            "pause-worker" => Self::PauseWorker(Duration::from_millis(rng.u64(OUTLASTING_MILLIS))),
            _ => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillWorker => write!(f, "kill -9 of the worker"),
            Self::FailWorker(point, pass) => {
                write!(f, "the worker ends at failpoint {}, pass {pass}", point.name())
            }
            Self::StopWorker => write!(f, "SIGTERM for the worker"),
            Self::Restart(side, mode, pause) => {
                write!(f, "{side}: stopped ({mode:?}), started {} ms later", pause.as_millis())
            }
            Self::Network(side, direction, condition, time) => {
                let time = time.as_millis();
                write!(f, "network of the {side}: {condition:?} {direction:?} for {time} ms")
            }
            Self::Cut(side, time) => {
                write!(f, "network of the {side}: cut for {} ms", time.as_millis())
            }
            Self::Reset(side, direction, time) => {
                let time = time.as_millis();
                write!(f, "network of the {side}: reset {direction:?}, healed {time} ms later")
            }
            Self::Strand(side, which) => {
                write!(f, "network of the {side}: {which:?} connections are forgotten")
            }
            Self::SecondWorker(time) => {
                write!(f, "a second worker for {} ms", time.as_millis())
            }
            Self::PauseWorker(time) => {
                let time = time.as_millis();
                write!(f, "SIGSTOP for the worker, another one, SIGCONT after {time} ms")
            }
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}
