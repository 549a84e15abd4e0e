//! The checks of the rules for columns.

use std::collections::BTreeSet;

use super::checks::Subject;
use super::finding::Diagnosis;
use crate::config::pattern::ColumnPattern;
use crate::setup::plan::columns::has_column;

/// A rule that is of nothing may be of a column that has another name now.
pub(super) fn unmatched(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Subject { facts, rules, .. } = subject;
    let selected = rules.selected(&facts.found.source.tables);
    let patterns: BTreeSet<&ColumnPattern> =
        rules.columns.ignored.iter().chain(rules.columns.masked.keys()).collect();
    if patterns.is_empty() {
        return;
    }
    let unmatched: Vec<String> = patterns
        .iter()
        .filter(|pattern| !selected.values().any(|table| has_column(table, pattern)))
        .map(ToString::to_string)
        .collect();
    if unmatched.is_empty() {
        diagnosis.ok("B041", "each rule for columns is of a column of a tracked table");
    } else {
        diagnosis.warn(
            "B041",
            format!("no tracked table has a column {}", unmatched.join(", ")),
            "the rule does nothing; if the column was renamed, its values are stored as they are",
            "give the rule again for the present name, with `bemi-worker setup --mask` or `--ignore`; \
             take it back with `--forget` if nobody needs it",
        );
    }
}
