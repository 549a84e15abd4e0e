//! Pools under load, and broken connections.
