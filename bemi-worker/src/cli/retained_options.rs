//! How much WAL the source may keep for the slot.

use crate::config::{ByteSize, ConfigError, Given, OnMaxRetainedWal, RetainedWal};

/// How much WAL the source may keep for the slot.
#[derive(clap::Args)]
pub(super) struct RetainedOptions {
    /// How much WAL the source may keep for the slot, such as 50GB: beyond it the log has an error each
    /// minute, and a warning from half of it on [default: 10GB]
    #[arg(long, env = "BEMI_MAX_RETAINED_WAL", hide_env_values = true, value_name = "SIZE")]
    max_retained_wal: Option<ByteSize>,

    /// What happens beyond --max-retained-wal: `keep` loses nothing, and the disk of the source may fill
    /// up; `give-up` drops the slot, so that the source can remove its WAL, and records what was lost
    /// as a gap, which --on-gap then is about [default: keep]
    #[arg(
        long,
        env = "BEMI_ON_MAX_RETAINED_WAL",
        hide_env_values = true,
        value_name = "keep|give-up"
    )]
    on_max_retained_wal: Option<OnMaxRetainedWal>,
}

impl RetainedOptions {
    /// With what the config file says.
    pub(super) fn resolve(&self, given: &Given) -> Result<RetainedWal, ConfigError> {
        given.retained_wal(self.max_retained_wal, self.on_max_retained_wal)
    }
}
