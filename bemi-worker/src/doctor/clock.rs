//! Clocks: that of the source says when a change was committed, that of this machine when it came, that
//! of the destination when it was stored.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::finding::Diagnosis;

/// How far apart clocks may be, in seconds.
const SKEW_SECONDS_MAX: f64 = 2.0;

/// How often a clock is asked; the fastest answer counts.
const QUESTIONS: u32 = 3;

/// How far a server's clock is ahead of this machine's, in seconds, and by how much that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    ahead: f64,
    uncertain: f64,
}

impl Clock {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let mut best = Self { ahead: 0.0, uncertain: f64::INFINITY };
        for _ in 0..QUESTIONS {
            let asked = seconds();
            let question = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8";
            let told: f64 = client.query_one(question, &[]).await?.try_get(0)?;
            let answered = seconds();
            let uncertain = (answered - asked) / 2.0;
            // Negative where this machine's clock was set back meanwhile.
            if (0.0..best.uncertain).contains(&uncertain) {
                best = Self { ahead: told - asked - uncertain, uncertain };
            }
        }
        Ok(best)
    }

    /// How far this clock is surely ahead of another, in seconds; negative where it is behind.
    fn surely_ahead_of(self, other: Self) -> f64 {
        let ahead = self.ahead - other.ahead;
        let uncertain = self.uncertain + other.uncertain;
        if ahead.abs() <= uncertain { 0.0 } else { ahead - uncertain.copysign(ahead) }
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let apart = apart(subject.facts.source.clock, subject.facts.destination.clock);
    if apart.is_empty() {
        diagnosis.ok("B060", "the clocks of source, destination and this machine agree");
    } else {
        diagnosis.warn(
            "B060",
            format!("clocks differ: {}", apart.join(", ")),
            "committed_at is by the clock of the source, queued_at by the worker's, created_at by the \
             destination's: lag and points in time are then wrong by that much",
            "have NTP set the clocks of all three, with chrony or systemd-timesyncd: see `timedatectl`",
        );
    }
}

fn apart(source: Clock, destination: Clock) -> Vec<String> {
    let here = Clock { ahead: 0.0, uncertain: 0.0 };
    let pairs = [
        ("the source", source, "this machine", here),
        ("the destination", destination, "this machine", here),
        ("the source", source, "the destination", destination),
    ];
    pairs
        .into_iter()
        .map(|(one, clock, other, by)| (one, clock.surely_ahead_of(by), other))
        .filter(|(_, ahead, _)| ahead.abs() > SKEW_SECONDS_MAX)
        .map(|(one, ahead, other)| {
            let way = if ahead > 0.0 { "ahead of" } else { "behind" };
            format!("that of {one} is {:.1} s {way} that of {other}", ahead.abs())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(ahead: f64, uncertain: f64) -> Clock {
        Clock { ahead, uncertain }
    }

    #[test]
    fn clocks_that_agree_as_far_as_one_can_tell_are_not_told() {
        assert!(apart(clock(0.3, 0.1), clock(-0.9, 0.1)).is_empty());
        assert!(apart(clock(30.0, 29.0), clock(-1.0, 0.0)).is_empty(), "a slow network");
    }

    #[test]
    fn each_pair_that_differs_is_told() {
        assert_eq!(
            apart(clock(61.0, 0.5), clock(-4.0, 0.5)),
            [
                "that of the source is 60.5 s ahead of that of this machine",
                "that of the destination is 3.5 s behind that of this machine",
                "that of the source is 64.0 s ahead of that of the destination",
            ]
        );
    }
}
