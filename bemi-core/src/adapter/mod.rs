//! What the adapters of all libraries share: when a message must be emitted, and where it goes.
//!
//! It is for those who write an adapter; an application has no use for it. An adapter asks [`plan`] before each statement,
//! does what the [`Plan`] says with the means of its library, and tells its [`Session`] what has run.
//!
//! ```text
//!  statement ─▶ plan ─▶ Plan ─▶ (the adapter sends it) ─▶ Session
//!                ▲                                           │
//!                └───────────────────────────────────────────┘
//! ```
//!
//! Nothing here talks to a server.
//!
//! Invariant: what one adapter does for a statement, all do.

mod plan;
mod session;

pub use self::plan::{EMITTED_COLUMN, Plan, Protocol, Rewriting, emission, plan};
pub use self::session::{Session, Step};
