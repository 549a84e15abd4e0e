//! Measures a library at a place: small rounds, in which each variant has its turn.

use std::time::Duration;

use crate::Result;
use crate::databases::Databases;
use crate::library::{Library, Name, Variant};
use crate::options::Options;
use crate::place::{Kind, Place};
use crate::sessions::Sessions;
use crate::work::Operation;

/// How often connections are made anew in the course of the rounds. On which core the system runs a process of the server is
/// luck, and may last as long as the process.
const SITTINGS: u32 = 5;

/// Rounds of each sitting before the first that counts: statements are prepared in them.
const WARM_UP_ROUNDS: u32 = 2;

/// What was measured of one variant of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) place: Kind,
    pub(crate) library: Name,
    pub(crate) operation: Operation,
    pub(crate) variant: Variant,
    /// In each round: how long one operation took.
    pub(crate) times: Vec<Duration>,
    /// In each round: that, as a ratio to the plain library.
    pub(crate) ratios: Vec<f64>,
    /// In all rounds: how many operations there were.
    operations: u32,
    /// And how many round trips, where it is known.
    round_trips: Option<u64>,
}

/// Measures all operations.
///
/// # Errors
/// Those of the library.
pub(crate) async fn measure<L: Library>(
    databases: &Databases,
    place: &Place,
    options: &Options,
) -> Result<Vec<Series>> {
    let mut all: Vec<Vec<Series>> = options
        .operations()
        .map(|operation| {
            let variants = std::iter::once(&Variant::Plain).chain(L::VARIANTS);
            let of_interest = variants.filter(|variant| variant.suits(operation));
            of_interest
                .map(|variant| Series::empty::<L>(place.kind(), operation, *variant))
                .collect()
        })
        .collect();
    for _ in 0..SITTINGS {
        let mut sessions = Sessions::<L>::open(databases, place).await?;
        for series in &mut all {
            measure_operation(&mut sessions, series, place, options).await?;
        }
    }
    for series in &mut all {
        let plain = series.first().map(|plain| plain.times.clone()).unwrap_or_default();
        for series in series {
            let pairs = series.times.iter().zip(&plain);
            let ratio = |(ours, plain): (&Duration, &Duration)| ours.div_duration_f64(*plain);
            series.ratios = pairs.map(ratio).collect();
        }
    }
    Ok(all.into_iter().flatten().collect())
}

/// The rounds of one sitting. All series are of one operation.
async fn measure_operation<L: Library>(
    sessions: &mut Sessions<L>,
    series: &mut [Series],
    place: &Place,
    options: &Options,
) -> Result<()> {
    let rounds = match place.kind() {
        Kind::Socket => options.socket_rounds,
        Kind::Network(_) => options.network_rounds,
    };
    let variants = series.len();
    for round in 0..WARM_UP_ROUNDS + rounds.div_ceil(SITTINGS) {
        // Each variant comes first, last and after each other one as often as the rest.
        let turn = usize::try_from(round)?;
        let mut order: Vec<usize> = (0..variants).map(|place| (place + turn) % variants).collect();
        if turn / variants % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let Some(series) = series.get_mut(index) else { continue };
            let count = series.operation.count(options.batch);
            let before = place.round_trips();
            let time = sessions.run(series.variant, series.operation, round * count, count).await?;
            if round >= WARM_UP_ROUNDS {
                series.times.push(time / count);
                series.operations += count;
                if let Some((after, before)) = place.round_trips().zip(before) {
                    *series.round_trips.get_or_insert(0) += after - before;
                }
            }
        }
    }
    Ok(())
}

impl Series {
    fn empty<L: Library>(place: Kind, operation: Operation, variant: Variant) -> Self {
        Self {
            place,
            library: L::NAME,
            operation,
            variant,
            times: Vec::new(),
            ratios: Vec::new(),
            operations: 0,
            round_trips: None,
        }
    }

    /// How many round trips one operation took, where it is known.
    pub(crate) fn round_trips(&self) -> Option<f64> {
        self.round_trips.map(|trips| trips as f64 / f64::from(self.operations))
    }
}
