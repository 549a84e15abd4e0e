//! The libraries, a file each: how each of them does the operations, plain and by its adapter.

mod diesel;
mod diesel_async;
mod one_by_one;
mod seaorm;
mod sqlx;
mod tokio_postgres;

use crate::Result;
use crate::check::check;
use crate::databases::Databases;
use crate::library::{Library, Name, on_its_own_thread};
use crate::measure::{Series, measure as measure_at};
use crate::options::Options;
use crate::place::Place;

/// Measures one library at one place.
///
/// # Errors
/// Those of the library; that a variant leaves something else in the WAL than it should.
pub(crate) fn measure(
    library: Name,
    databases: &Databases,
    place: &Place,
    options: &Options,
) -> Result<Vec<Series>> {
    match library {
        Name::Sqlx => measure_library::<sqlx::Sqlx>(databases, place, options),
        Name::Diesel => measure_library::<diesel::Diesel>(databases, place, options),
        Name::DieselAsync => {
            measure_library::<diesel_async::DieselAsync>(databases, place, options)
        }
        Name::SeaOrm => measure_library::<seaorm::SeaOrm>(databases, place, options),
        Name::TokioPostgres => {
            measure_library::<tokio_postgres::TokioPostgres>(databases, place, options)
        }
        Name::OneByOne => measure_library::<one_by_one::OneByOne>(databases, place, options),
    }
}

fn measure_library<L: Library>(
    databases: &Databases,
    place: &Place,
    options: &Options,
) -> Result<Vec<Series>> {
    on_its_own_thread(async || {
        check::<L>(databases, place).await?;
        measure_at::<L>(databases, place, options).await
    })
}
