//! For tests: which rows a piece of code changed, with which context, and back to how they were.
//!
//! A [`Recording`] tracks a test database while it lives: it sets it up, runs the worker in a thread of its own, and takes all of it
//! back at the end. What code has changed is [`Made`], and is compared with what a test [expects](Expected); where they differ, the
//! test fails and shows the changes field by field.
//!
//! ```text
//!  code under test ─▶ PostgreSQL ─▶ bemi-worker, in a thread ─▶ bemi_testing.changes ─▶ Made ─▶ assert
//! ```
//!
//! It works with whatever writes to the database: an adapter, plain SQL, triggers. It is for databases of tests: it sets the replica
//! identity of all tables to FULL for as long as it runs, and makes a replication slot, which waits for the transactions that run in
//! the cluster at that moment.

mod background;
mod error;
mod expected;
mod installation;
mod made;
mod recording;
mod value;

pub use bemi_core::{Change, Operation};
pub use bemi_worker::setup::SetupOptions;

pub use self::error::Error;
pub use self::expected::{Expected, created, deleted, truncated, updated};
pub use self::made::Made;
pub use self::recording::{Checkpoint, Recording};

/// The code of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
