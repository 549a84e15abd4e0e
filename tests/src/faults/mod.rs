//! Faults, and the truth that must survive them.
//!
//! - [`Proxy`] is a network that can be made bad: slow, late, cut, half-open, reset.
//! - [`Truth`] has triggers write down what happens to tables, and compares `changes` with it.
//!
//! What is found here is used by the tests under `tests/faults`, and described in `docs/faults.md`.

mod proxy;
mod truth;

pub use proxy::{Condition, Direction, Proxy, Which};
pub use truth::{Comparison, Truth};
