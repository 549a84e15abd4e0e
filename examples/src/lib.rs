//! One runnable program per thing that a user of bemi wants to do.
//!
//! The programs are under `src/bin`. This library holds what several of them run.

pub mod todo;

/// The code of the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
