//! The drivers: one file for each adapter.

use super::driver::{Ability, Opened, Opening};

mod diesel;
mod diesel_async;
mod seaorm;
mod sqlx;
mod tokio_postgres;

/// An adapter, as the suite knows it.
pub(crate) struct Registered {
    /// The first part of the names of its trials.
    pub(crate) name: &'static str,
    pub(crate) abilities: &'static [Ability],
    pub(crate) open: fn(Opening) -> Opened,
}

/// All adapters.
pub(crate) const DRIVERS: &[Registered] = &[
    Registered {
        name: "sqlx",
        abilities: &[Ability::Cancel, Ability::Stream, Ability::CopyIn],
        open: sqlx::open,
    },
    Registered { name: "diesel", abilities: &[Ability::Stream], open: diesel::open },
    Registered {
        name: "diesel-async",
        abilities: &[Ability::Cancel, Ability::Stream],
        open: diesel_async::open,
    },
    Registered {
        name: "seaorm",
        abilities: &[Ability::Cancel, Ability::Stream],
        open: seaorm::open,
    },
    Registered {
        name: "tokio-postgres",
        abilities: &[Ability::Cancel, Ability::Stream, Ability::CopyIn],
        open: tokio_postgres::open,
    },
];
