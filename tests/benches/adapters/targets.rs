//! What adapters are meant to cost, at most: ratios to the plain library.

use std::time::Duration;

use crate::library::{Name, Variant};
use crate::place::Kind;
use crate::work::Operation;

/// The latency that the targets are meant for.
const LATENCY: Duration = Duration::from_millis(1);

/// What one thing may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) place: Kind,
    pub(crate) operation: Operation,
    pub(crate) variant: Variant,
}

impl Target {
    /// All of them, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use {Operation as O, Variant as V};
        let network = Kind::Network(LATENCY);
        [
            (network, O::Insert, V::Text),
            (network, O::Update, V::Text),
            (network, O::Insert, V::Inline),
            (network, O::Update, V::Inline),
            (network, O::Transaction, V::Text),
            (network, O::Transaction, V::WithoutSql),
            (network, O::Read, V::Text),
            (network, O::Insert, V::Outside),
            (network, O::Update, V::Outside),
            (Kind::Socket, O::Read, V::Text),
            (Kind::Socket, O::Insert, V::Outside),
            (Kind::Socket, O::Update, V::Outside),
        ]
        .into_iter()
        .map(|(place, operation, variant)| Self { place, operation, variant })
    }

    /// The ratio that a library's adapter may have, at most.
    pub(crate) fn at_most(self, library: Name) -> f64 {
        // The first two let a client send a statement before the one before it is answered.
        let (autocommit, transaction) = match library {
            Name::TokioPostgres => (1.1, 1.1),
            Name::DieselAsync => (1.6, 1.1),
            Name::Sqlx | Name::Diesel | Name::SeaOrm | Name::OneByOne => (3.0, 1.9),
        };
        match (self.variant, self.operation) {
            (_, Operation::Read) | (Variant::Outside, _) => 1.02,
            (Variant::Text, Operation::Insert | Operation::Update) => autocommit,
            (Variant::Text, Operation::Transaction) => transaction,
            _ => 1.1,
        }
    }
}
