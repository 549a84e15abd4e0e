//! What of the event triggers that record DDL is in the source.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error};

use super::functions::are_current;
use super::source::event_triggers;
use crate::setup::ddl::{self, DDL_TRIGGERS};

/// The event triggers that record DDL, as they are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DdlObjects {
    /// Event triggers with the names of ours, and whether each fires.
    pub(crate) triggers: BTreeMap<String, bool>,
    /// Whether their functions are those of this version.
    pub(crate) has_current_functions: bool,
}

impl DdlObjects {
    /// Whether all is there as this version has it.
    pub(crate) fn is_current(&self) -> bool {
        self.has_current_functions && self.triggers.len() == DDL_TRIGGERS.len()
    }

    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let names: Vec<&str> = DDL_TRIGGERS.iter().map(|trigger| trigger.name).collect();
        let triggers = event_triggers(client, &names).await?;
        let has_current_functions = are_current(client, ddl::functions()).await?;
        Ok(Self { triggers, has_current_functions })
    }
}
