//! The blocking connection, over libpq.
//!
//! ```text
//!  diesel's traits ─▶ connection, load, copy ─▶ statement (the plan) ─▶ carry_out ─▶ PgConnection
//! ```
//!
//! Invariant: whatever a call answers, and also when it panics, no transaction of ours is open after it.

mod carry_out;
mod connection;
mod copy;
mod database;
mod load;
#[cfg(feature = "r2d2")]
mod pool;

pub use self::connection::BemiPgConnection;
