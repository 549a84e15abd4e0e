//! One runnable program per thing that a user of bemi wants to do.
//!
//! The programs are under `src/bin`. This library holds what several of them run.

pub mod program;
mod stage;
pub mod table;
pub mod todo;

pub use stage::Stage;

/// What a program ends with: an error that it tells, and no more.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The code of the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The code of the guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/jobs-and-scripts.md")]
struct JobsAndScripts;
