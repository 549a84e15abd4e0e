//! What befalls in one run, and when: all of it follows from a seed.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::fault::{FAULT_NAMES, Fault};
use super::stage::Place;

/// How many faults befall in a run.
const FAULTS: std::ops::RangeInclusive<usize> = 2..=4;

/// One run in that many has source and destination in one database.
const ONE_DATABASE_ONE_IN: u8 = 4;

/// A plan for one run.
///
/// # Examples
/// ```
/// use bemi_tests::faults::Plan;
///
/// assert_eq!(Plan::draw(7, None), Plan::draw(7, None));
/// println!("{}", Plan::draw(7, Some("kill-worker")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What everything else follows from.
    pub seed: u64,
    /// Where changes are stored.
    pub place: Place,
    /// How many clients are at work.
    pub clients: u32,
    /// In the end, the worker has to come back by itself. Otherwise it is stopped, and another one finishes its work.
    pub recovers_alone: bool,
    /// What befalls, one after the other, each so long after the one before it was over.
    pub steps: Vec<(Duration, Fault)>,
}

impl Plan {
    /// The plan of a seed; with `only`, of faults of this kind alone.
    ///
    /// # Panics
    /// When there is no such kind; [`FAULT_NAMES`] has them all.
    #[must_use]
    #[allow(clippy::panic, reason = "a test fails by panicking")]
    pub fn draw(seed: u64, only: Option<&str>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let place = if rng.u8(0..ONE_DATABASE_ONE_IN) == 0 {
            Place::OneDatabase
        } else {
            Place::TwoClusters
        };
        let (clients, recovers_alone) = (rng.u32(2..5), rng.bool());
        let steps = (0..rng.usize(FAULTS))
            .map(|_| {
                let any = FAULT_NAMES.get(rng.usize(0..FAULT_NAMES.len())).copied();
                let name = only.or(any).unwrap_or_default();
                let pause = Duration::from_millis(rng.u64(100..900));
                let fault = Fault::draw(name, &mut rng);
                (pause, fault.unwrap_or_else(|| panic!("no fault is called {name:?}")))
            })
            .collect();
        Self { seed, place, clients, recovers_alone, steps }
    }

    /// A plan with these steps, after which the worker has to recover by itself.
    #[must_use]
    pub fn of(place: Place, steps: Vec<(Duration, Fault)>) -> Self {
        Self { seed: 0, place, clients: 3, recovers_alone: true, steps }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, place, clients, recovers_alone, steps } = self;
        let end =
            if *recovers_alone { "recovers by itself" } else { "is stopped, and run once more" };
        write!(f, "seed {seed}: {place}, {clients} clients; in the end the worker {end}")?;
        for (pause, fault) in steps {
            write!(f, "\n  after {} ms: {fault}", pause.as_millis())?;
        }
        Ok(())
    }
}
