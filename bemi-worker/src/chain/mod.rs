//! Tamper evidence: a chain of hashes over what is stored, in the destination beside it.
//!
//! ```text
//!  rows of a batch ─▶ digest of each (the server) ─▶ leaf, with a salt ─▶ piece  bemi.chain_rows
//!                                                                           │
//!        link n-1 ──── hash ────▶ link n: which rows, hash over the piece ◀─┘    bemi.chain
//!                                   │
//!                                   └─ hash ──▶ link n+1 …      the last one: bemi.chain_heads
//! ```
//!
//! A link is made in the transaction that stores its rows, when that is about to be committed: so the
//! head is locked for a moment alone, and whoever stores (the worker, a backfill, an erasure) makes links
//! of one chain. With a key, the hash of a link is an HMAC, which nobody else can make.
//!
//! Digests are made by the server over what it has stored: what `jsonb` makes of a text is nothing to
//! guess. Salts let a row be erased: a hash that stays behind tells nothing once its salt is gone.
//!
//! Invariants: a row that is stored while the chain covers is in a piece of a link of the same
//! transaction; the rows of a link are of one UTC day, as retention drops them; memory is bounded by one
//! batch, however large a transaction is.

mod cover;
mod digest;
mod entry;
mod expire;
mod head;
mod link;
mod verify;

pub(crate) use self::cover::{Chain, Salts};
pub(crate) use self::digest::digest_of;
pub(crate) use self::entry::{Piece, Place, SALT_BYTES, leaf};
pub(crate) use self::expire::expire;
pub(crate) use self::head::{Head, HeadState, append};
pub(crate) use self::link::{Covered, Hash, Kind, Link, signed};
pub use self::verify::{
    ChainHead, Chained, ChangePlace, Finding, FindingKind, VerifyEvent, VerifyReport, verify,
};
pub(crate) use self::verify::{ERASURE_DIGEST, hex};
