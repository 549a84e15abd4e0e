//! `changes` in partitions by the time of commit: made ahead, dropped when old, made of a plain table.
//!
//! ```text
//!  earlier            | day  | day  | day  | today | day … | day  | later
//!  [MINVALUE, first)  |                                           | [last, MAXVALUE)
//! ```
//!
//! There is a partition for every instant, always: those at both ends take what no other one does, such
//! as commits of a clock that is years off, or everything, where nobody makes partitions ahead. So
//! storing knows nothing of partitions, needs no privilege for them, and never waits for one. There is
//! no DEFAULT partition: it would have to be locked and read for each new one, and forbids to detach
//! concurrently.
//!
//! Partitions are in schema `bemi`, where nothing is ever tracked. How long they are is in the comment on
//! `changes`.
//!
//! Invariants: what is done while others use the table takes no lock that they would wait for, or waits
//! for it no longer than [`LOCK_TIMEOUT_SHORT`]; wherever it is cut off, the next time goes on from what it
//! finds in the catalog.

mod ahead;
mod convert;
mod layout;
mod session;
mod statements;

pub(crate) use self::ahead::{is_busy, parent, tend};
pub(crate) use self::convert::convert;
pub(crate) use self::layout::{Layout, Partition, Shape};
pub(crate) use self::session::Maintenance;
pub(crate) use self::statements::{BOUND_CONSTRAINT, attach, comment, drop_table};

/// How long a statement may wait for a lock that makes those queue behind it who store or read.
pub(crate) const LOCK_TIMEOUT_SHORT: &str = "200ms";

/// How long one may wait for a lock that nobody queues behind, but for others that maintain the table.
pub(crate) const LOCK_TIMEOUT: &str = "5s";
