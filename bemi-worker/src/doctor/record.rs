//! What going back in time needs beside the changes.

use super::checks::{SETUP, Subject};
use super::finding::Diagnosis;
use crate::setup::inspect::Table;
use crate::setup::plan::table_events::untold;

/// Whether it is known since when each table is tracked, and what columns it had.
pub(super) fn events(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Subject { config, facts, rules } = subject;
    let untold = untold(config, &facts.found, rules);
    if untold.is_empty() {
        diagnosis.ok("B052", "it is known since when each tracked table is tracked");
    } else {
        let names: Vec<String> = untold.into_iter().map(Table::name).collect();
        diagnosis.warn(
            "B052",
            format!("since when they are tracked is not known: {}", names.join(", ")),
            "rows of the past are not told as long as the record may have begun behind them; tables that an \
             older version has set up are like that",
            SETUP,
        );
    }
}

/// Whether `changes` has the indexes that questions about the past go by.
pub(super) fn indexes(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Some(changes) = &subject.facts.found.destination.changes else { return };
    if changes.unlike_ours().is_some() {
        return;
    }
    let missing: Vec<&str> = changes.missing_indexes().map(|index| index.name).collect();
    if missing.is_empty() {
        diagnosis.ok("B053", "changes has its indexes");
    } else {
        diagnosis.warn(
            "B053",
            format!("changes lacks indexes: {}", missing.join(", ")),
            "history, as-of and revert read much more than they need",
            "run `bemi-worker setup`; while it makes one, the worker waits and readers do not",
        );
    }
}
