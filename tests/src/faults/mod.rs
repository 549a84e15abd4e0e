//! Faults, and the truth that must survive them.
//!
//! ```text
//!  Plan ──▶ Fault ──▶ Proxy · Cluster · Supervisor      what befalls, and whom
//!    │
//!  Workload ──▶ source ──▶ worker ──▶ changes ─┐
//!                 └──triggers──▶ Truth ────────┴─▶ Comparison
//! ```
//!
//! - [`Proxy`] is a network that can be made bad: slow, late, cut, half-open, reset.
//! - [`Truth`] has triggers write down what happens to tables, and compares `changes` with it.
//! - [`Stage`] has servers that can be killed, with both of these, and [`Workload`] sets clients to work on it.
//! - [`Plan`] is what befalls in one run, drawn from a seed, and carries it out.
//!
//! What is found here is used by the tests under `tests/faults` and by `cargo xtask faults`, and described in `docs/faults.md`.

mod evidence;
mod fault;
mod plan;
mod proxy;
mod run;
mod stage;
mod supervisor;
mod truth;
mod workload;

pub use fault::{FAULT_NAMES, Fault, Side};
pub use plan::Plan;
pub use proxy::{Condition, Direction, Proxy, Which};
pub use run::RunReport;
pub use stage::{Place, Stage, WAL_SENDER_TIMEOUT};
pub use truth::{Comparison, Truth};
pub use workload::{WORKLOAD_SCHEMA, WORKLOAD_SETUP, WORKLOAD_TABLES, Workload};
