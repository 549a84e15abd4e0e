//! The SQL pack: functions and views in schema `bemi` of the destination, by which anybody with psql
//! asks the record, and views of the past where the destination is the source.
//!
//! What the record means is decided in `bemi_core::record`; its SQL is put into these functions as it
//! stands there. What is written here is how it looks from SQL, and what it refuses.
//!
//! Invariants: everything runs with the rights of whoever calls it; a name or a value never becomes
//! SQL but by `format` with `%I` and `%L`, or as a parameter; what the record does not tell is an
//! error, never an old or a partial answer.

mod as_of;
mod installed;
mod object;
mod past;
mod plan;
mod points;
mod read;
mod undo;

use bemi_core::changes_table;
pub(crate) use installed::InstalledPack;
use object::Object;
pub(crate) use plan::is_outdated;
pub(super) use plan::{plan, remove};
use postgres_protocol::escape::escape_identifier;

/// The objects of the pack, each behind what it calls. `is_one_database` adds those that take the
/// tables themselves.
fn objects(changes_schema: &str, is_one_database: bool) -> Vec<Object> {
    let changes = format!("{}.{}", escape_identifier(changes_schema), changes_table::TABLE);
    let mut objects = read::objects(&changes);
    objects.extend(points::objects(&changes));
    objects.extend(as_of::objects(&changes));
    objects.extend(undo::objects(&changes));
    if is_one_database {
        objects.extend(past::objects(&changes));
    }
    objects
}
