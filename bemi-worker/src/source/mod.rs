//! The source: where its changes come from, and what only its catalog knows of them.
//!
//! It takes two connections: one for SQL ([`Catalog`]), and one in replication mode ([`Stream`]).
//!
//! Invariant: nothing here is stored or acknowledged, and nothing but a new slot, where the user asked
//! for one, is created.

mod catalog;
mod given_up;
mod resume;
mod rules;
pub(crate) mod settings;
mod slot;
mod stream;

pub(crate) use self::catalog::Catalog;
pub(crate) use self::given_up::GivenUp;
pub(crate) use self::resume::{Gap, check_gap};
pub(crate) use self::rules::{ColumnRules, StoredRule};
pub(crate) use self::slot::{
    FAILOVER_OPTION, SlotState, advance_slot, copy_slot, create_slot, drop_slot,
};
pub(crate) use self::stream::{ExportedSnapshot, Stream, System};
