//! For how long changes are kept.

use crate::config::{Given, Retention};

/// For how long changes are kept.
#[derive(clap::Args)]
pub(super) struct RetentionOptions {
    /// For how long changes are kept, such as 90d or 12w: older ones are dropped, whole days in UTC at a
    /// time, and the record says that it does not know what was in them [default: for ever]
    #[arg(long, env = "BEMI_RETENTION", hide_env_values = true, value_name = "DAYS")]
    retention: Option<Retention>,
}

impl RetentionOptions {
    /// With what the config file says.
    pub(super) fn resolve(&self, given: &Given) -> Option<Retention> {
        self.retention.or(given.retention)
    }
}
