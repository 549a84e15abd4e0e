//! What is served over HTTP: the stream of changes, and the history of records for people outside.
//!
//! ```text
//! connection ─▶ route ─▶ GET /changes/stream ─▶ subscriber ─▶ events, for as long as the client stays
//!                   └──▶ GET /records/…      ─▶ the allow-list ─▶ a page of a record's history
//!                                 both ask the record, by a few connections that they take in turn
//! ```
//!
//! It reads what is stored, and nothing else: no request writes to a database, and the worker stores
//! at the same pace, whoever listens and however slowly. Everything has a limit: connections,
//! subscribers, heads of requests, pages, and the time for each. TLS is for a proxy before it.
//!
//! Invariant: without the right token, where there is one, nothing of the record is told; and of a
//! record, nothing but what the configuration names.

mod access;
mod answer;
mod event;
mod exposure;
mod listener;
mod pool;
mod query;
mod records;
mod route;
mod server;
mod stored;
mod stream;
mod subscriber;
mod window;
mod write_limit;

pub(crate) use answer::{Body, Refusal, json, options, whole, with_body};
pub(crate) use listener::Listener;
pub(crate) use server::{Server, Whereabouts};
pub(crate) use stored::watch_checkpoint;
