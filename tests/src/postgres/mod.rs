//! Throwaway PostgreSQL servers.
//!
//! ```text
//!  binaries ──(none installed)──▶ fetch ──▶ cache        account: who the server runs as, when we are root
//!     │                                                     │
//!     └──────────────▶ cluster ◀── options ─────────────────┘
//!                         │  ├── endpoint: where it listens, URLs, connections
//!                         │  └── standby: a replica of it
//!                         └── watch: stops and deletes it when this process is gone, however it went
//! ```

mod account;
mod binaries;
mod cache;
mod cluster;
mod endpoint;
mod fetch;
mod options;
mod power_cut;
mod standby;
mod watch;

pub use binaries::{Binaries, Wanted, available_majors, smoke_majors};
pub use cluster::{Cluster, StopMode, shared_cluster};
pub(crate) use endpoint::Endpoint;
pub use options::{Auth, ClusterOptions};
