//! A plan as a script for psql.

use super::Plan;
use super::settings::SETTINGS;
use crate::record::sql::literal;
use crate::{ContextMessage, MessageOptions, SqlCapture};

impl Plan {
    /// A script for psql that does the same on its own: it begins a transaction, says its context, runs
    /// each statement so that it fails unless it hits exactly one row, and commits.
    ///
    /// Where conflicts stand in the way, the script says so and ends before it does anything.
    #[must_use]
    pub fn script(&self) -> String {
        let mut script = String::from("\\set ON_ERROR_STOP on\nBEGIN;\n");
        for conflict in &self.conflicts {
            script.push_str(&comment(&format!("{:?}: {conflict}", conflict.handling)));
        }
        if self.is_blocked() {
            script.push_str(
                "DO $$ BEGIN RAISE EXCEPTION 'this revert has conflicts that stand in its way'; END $$;\n",
            );
        }
        for (name, value) in SETTINGS {
            script.push_str(&format!("SET LOCAL {name} = {};\n", literal(value)));
        }
        script.push_str(&self.message().emit_statement());
        script.push_str(";\n");
        if let Some(deferring) = self.deferring() {
            script.push_str(&deferring);
            script.push_str(";\n");
        }
        for statement in &self.statements {
            script.push_str(&comment(&format!("{} {}", statement.action, statement.row())));
            script.push_str(&statement.wrapped());
            script.push_str(";\n");
        }
        script.push_str("COMMIT;\n");
        script
    }

    /// The message of its context.
    pub(super) fn message(&self) -> ContextMessage {
        MessageOptions::new().sql(SqlCapture::Off).encode(&self.context, None)
    }

    /// The statement that has the constraints checked after all others.
    pub(super) fn deferring(&self) -> Option<String> {
        let names: Vec<&str> =
            self.deferred.iter().map(|constraint| constraint.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("SET CONSTRAINTS {} DEFERRED", names.join(", ")))
    }
}

/// A line that SQL does not read: whatever is in it stays in it.
fn comment(text: &str) -> String {
    format!("-- {}\n", text.replace(|c: char| c.is_control(), " "))
}
