//! Measures a library at a place: small rounds, in which each variant has its turn.

use std::time::Duration;

use crate::Result;
use crate::databases::Databases;
use crate::library::{Library, Name, Variant};
use crate::options::Options;
use crate::place::{Kind, Place};
use crate::sessions::Sessions;
use crate::work::Operation;

/// Rounds before the first that counts: statements are prepared in them.
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
    /// How many round trips one operation took, where it is known.
    pub(crate) round_trips: Option<f64>,
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
    let mut sessions = Sessions::<L>::open(databases, place).await?;
    let mut all = Vec::new();
    for operation in options.operations() {
        all.extend(measure_operation(&mut sessions, place, operation, options).await?);
    }
    Ok(all)
}

async fn measure_operation<L: Library>(
    sessions: &mut Sessions<L>,
    place: &Place,
    operation: Operation,
    options: &Options,
) -> Result<Vec<Series>> {
    let rounds = match place.kind() {
        Kind::Socket => options.socket_rounds,
        Kind::Network(_) => options.network_rounds,
    };
    let count = operation.count(options.batch);
    let mut series: Vec<Series> = std::iter::once(&Variant::Plain)
        .chain(L::VARIANTS)
        .filter(|variant| variant.suits(operation))
        .map(|variant| Series::empty::<L>(place.kind(), operation, *variant))
        .collect();
    let variants = series.len();

    for round in 0..WARM_UP_ROUNDS + rounds {
        // Each variant comes first, last and after each other one as often as the rest.
        let turn = usize::try_from(round)?;
        let mut order: Vec<usize> = (0..variants).map(|place| (place + turn) % variants).collect();
        if turn / variants % 2 == 1 {
            order.reverse();
        }
        let done = round * count;
        for index in order {
            let Some(series) = series.get_mut(index) else { continue };
            let before = place.round_trips();
            let time = sessions.run(series.variant, operation, done, count).await?;
            if round >= WARM_UP_ROUNDS {
                series.times.push(time / count);
                let trips = place.round_trips().zip(before).map(|(after, before)| after - before);
                series.add_round_trips(trips, count * rounds);
            }
        }
    }

    let plain = series.first().map(|plain| plain.times.clone()).unwrap_or_default();
    for series in &mut series {
        let ratio =
            |(ours, plain): (&Duration, &Duration)| ours.as_secs_f64() / plain.as_secs_f64();
        series.ratios = series.times.iter().zip(&plain).map(ratio).collect();
    }
    Ok(series)
}

impl Series {
    fn empty<L: Library>(place: Kind, operation: Operation, variant: Variant) -> Self {
        let (times, ratios) = (Vec::new(), Vec::new());
        Self { place, library: L::NAME, operation, variant, times, ratios, round_trips: None }
    }

    /// Adds those of a round to the mean of all `operations`.
    fn add_round_trips(&mut self, trips: Option<u64>, operations: u32) {
        let Some(trips) = trips else { return };
        *self.round_trips.get_or_insert(0.0) += trips as f64 / f64::from(operations);
    }
}
