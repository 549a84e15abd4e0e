//! Rules for columns: what of them is new, and what there is to say about those in force.

use postgres_protocol::escape::escape_literal;

use super::{Plan, names};
use crate::config::mask::Mask;
use crate::config::pattern::ColumnPattern;
use crate::setup::inspect::{Source, Table};
use crate::setup::rules::Rules;
use crate::source::ColumnRules;

/// Tells a running worker to read the rules again, at the place in the stream where they changed.
const RULES_CHANGED: &str = "SELECT pg_catalog.pg_logical_emit_message(true, '_bemi_config', '')";

/// Which rule of a column: it may have one of each.
const IGNORE: &str = "ignore";
const MASK: &str = "mask";

/// Writes down what has changed. `before` are the rules of the last setup.
pub(super) fn plan(before: &ColumnRules, rules: &Rules, plan: &mut Plan) {
    let after = &rules.columns;
    let ignored: Vec<_> = after.ignored.difference(&before.ignored).collect();
    let masked: Vec<_> = new_masks(before, after).collect();
    step(
        format!("ignore changes of the columns {}", list(&ignored)),
        ignored.iter().map(|pattern| insert(pattern, IGNORE, None)),
        plan,
    );
    let told = masked.iter().map(|(pattern, mask)| format!("{pattern}={mask}"));
    step(
        format!("mask the columns {}", told.collect::<Vec<_>>().join(", ")),
        masked.iter().map(|(pattern, mask)| insert(pattern, MASK, Some(mask))),
        plan,
    );
    let noticed: Vec<_> = before.ignored.difference(&after.ignored).collect();
    step(
        format!("ignore changes no more of the columns {}", list(&noticed)),
        noticed.iter().map(|pattern| delete(pattern, IGNORE)),
        plan,
    );
    let shown: Vec<_> =
        before.masked.keys().filter(|pattern| !after.masked.contains_key(pattern)).collect();
    step(
        format!("mask no more the columns {}", list(&shown)),
        shown.iter().map(|pattern| delete(pattern, MASK)),
        plan,
    );
}

/// Masks that are not in force yet.
pub(super) fn new_masks<'r>(
    before: &ColumnRules,
    after: &'r ColumnRules,
) -> impl Iterator<Item = (&'r ColumnPattern, &'r Mask)> {
    after.masked.iter().filter(|(pattern, mask)| before.masked.get(pattern) != Some(mask))
}

/// Says what rules do not do.
pub(super) fn note(before: &ColumnRules, source: &Source, rules: &Rules, plan: &mut Plan) {
    let selected: Vec<&Table> = rules.selected(&source.tables).into_values().collect();
    note_not_whole(&selected, rules, plan);
    note_hidden_keys(&selected, rules, plan);
    note_unmatched(before, &selected, rules, plan);
    if new_masks(before, &rules.columns).any(|(_, mask)| *mask == Mask::Hash) {
        plan.note(
            "a mask by hash needs a key: set BEMI_MASK_KEY, or mask_key_file in the config file, \
             where `bemi-worker run` runs; without it the worker ends",
        );
    }
}

fn note_not_whole(selected: &[&Table], rules: &Rules, plan: &mut Plan) {
    let in_vain: Vec<&Table> = selected
        .iter()
        .filter(|table| !rules.makes_whole(table))
        .filter(|table| rules.columns.ignored.iter().any(|pattern| has_column(table, pattern)))
        .copied()
        .collect();
    if !in_vain.is_empty() {
        plan.note(format!(
            "every UPDATE of {} is stored, also where it changes ignored columns alone: without \
             REPLICA IDENTITY FULL the WAL does not tell; --replica-identity full mends it",
            names(in_vain)
        ));
    }
}

/// A table that came later may have a key that an older rule hides.
fn note_hidden_keys(selected: &[&Table], rules: &Rules, plan: &mut Plan) {
    let hides = |table: &&&Table| {
        rules
            .columns
            .masked
            .iter()
            .any(|(pattern, mask)| hidden_key(table, pattern, mask).is_some())
    };
    let hidden: Vec<&Table> = selected.iter().filter(hides).copied().collect();
    if !hidden.is_empty() {
        plan.note(format!(
            "changes of {} have no primary_key: a rule leaves out a column of the key, or puts a \
             fixed text in its place; mask it by hash",
            names(hidden)
        ));
    }
}

/// The first column of the key that a mask would hide.
pub(super) fn hidden_key<'t>(
    table: &'t Table,
    pattern: &ColumnPattern,
    mask: &Mask,
) -> Option<&'t str> {
    if *mask == Mask::Hash || !pattern.table.matches(&table.schema, &table.name) {
        return None;
    }
    table.key_columns.iter().map(String::as_str).find(|key| pattern.column.matches(key))
}

fn note_unmatched(before: &ColumnRules, selected: &[&Table], rules: &Rules, plan: &mut Plan) {
    let new_ignored = rules.columns.ignored.difference(&before.ignored);
    let new_masked = new_masks(before, &rules.columns).map(|(pattern, _)| pattern);
    let unmatched: Vec<&ColumnPattern> = new_ignored
        .chain(new_masked)
        .filter(|pattern| !selected.iter().any(|table| has_column(table, pattern)))
        .collect();
    if !unmatched.is_empty() {
        plan.note(format!(
            "no tracked table has a column {} so far; the rule is for those that come",
            list(&unmatched)
        ));
    }
}

/// Whether the pattern is of a column of the table.
pub(crate) fn has_column(table: &Table, pattern: &ColumnPattern) -> bool {
    pattern.table.matches(&table.schema, &table.name)
        && table.columns.iter().any(|column| pattern.column.matches(column))
}

fn step(what: String, sql: impl Iterator<Item = String>, plan: &mut Plan) {
    let mut sql: Vec<String> = sql.collect();
    if !sql.is_empty() {
        // Before the slot there is nobody to tell, and no harm in it.
        sql.push(RULES_CHANGED.to_owned());
        plan.source(what, sql);
    }
}

fn insert(pattern: &ColumnPattern, rule: &str, mask: Option<&Mask>) -> String {
    let mask = mask.map_or_else(|| "NULL".to_owned(), |mask| escape_literal(&mask.to_string()));
    format!(
        "INSERT INTO bemi.column_rules (pattern, rule, mask) VALUES ({}, '{rule}', {mask}) \
         ON CONFLICT (pattern, rule) DO UPDATE SET mask = excluded.mask",
        escape_literal(&pattern.to_string()),
    )
}

fn delete(pattern: &ColumnPattern, rule: &str) -> String {
    format!(
        "DELETE FROM bemi.column_rules WHERE pattern = {} AND rule = '{rule}'",
        escape_literal(&pattern.to_string())
    )
}

fn list(patterns: &[&ColumnPattern]) -> String {
    patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
