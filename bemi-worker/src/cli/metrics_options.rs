//! Where to say how the worker does.

use std::net::SocketAddr;

use crate::config::{ConfigError, Given};

/// Where to say how the worker does.
#[derive(clap::Args)]
pub(super) struct MetricsOptions {
    /// Answer /metrics, /health and /ready over HTTP at this address: a port alone, such as 9187, is
    /// on 127.0.0.1; 0.0.0.0:9187 is for other machines too, and for everybody who can reach it
    #[arg(long, env = "BEMI_METRICS", hide_env_values = true, value_name = "[ADDRESS:]PORT")]
    metrics: Option<String>,
}

impl MetricsOptions {
    /// The address, if there is any.
    pub(super) fn resolve(&self, given: &Given) -> Result<Option<SocketAddr>, ConfigError> {
        given.metrics(self.metrics.as_deref())
    }
}
