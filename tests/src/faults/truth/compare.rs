//! Whether two lists of changes are the same one.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::Comparison;
use super::told::{Stored, Told};

/// A value that PostgreSQL leaves in its place when the rest of the row changes is longer than this.
const TOASTED_CHARS_MIN: usize = 1_900;

/// How much of a row is told in a difference.
const SHOWN_CHARS_MAX: usize = 300;

type Transactions<'a, T> = BTreeMap<i64, Vec<&'a T>>;

/// Compares what triggers told, in their order, with what is stored, in the order of `changes`.
pub(super) fn compare(told: &[Told], stored: &[Stored]) -> Comparison {
    let mut told_in: Transactions<'_, Told> = BTreeMap::new();
    for told in told {
        told_in.entry(told.transaction_id).or_default().push(told);
    }
    let mut stored_in: Transactions<'_, Stored> = BTreeMap::new();
    for stored in stored {
        stored_in.entry(stored.transaction_id).or_default().push(stored);
    }
    let mut differences = Vec::new();
    for (id, told) in &told_in {
        let stored = stored_in.remove(id).unwrap_or_default();
        compare_transaction(told, &stored, &mut differences);
    }
    for stored in stored_in.values().flatten() {
        differences.push(format!("not true: {}", shown_stored(stored)));
    }
    compare_commits(stored, &mut differences);
    compare_order(&told_in, stored, &mut differences);
    Comparison { changes: told.len(), transactions: told_in.len(), differences }
}

/// The same changes, each once, with the numbers that they have in the transaction.
fn compare_transaction(told: &[&Told], stored: &[&Stored], differences: &mut Vec<String>) {
    let mut by_sequence: BTreeMap<i64, Vec<&Stored>> = BTreeMap::new();
    for stored in stored {
        by_sequence.entry(stored.sequence).or_default().push(stored);
    }
    for (sequence, told) in (1..).zip(told) {
        match by_sequence.remove(&sequence).unwrap_or_default().as_slice() {
            [] => differences.push(format!("not stored: {}", shown_told(told, sequence))),
            [stored] => {
                for field in differing_fields(told, stored) {
                    differences.push(format!(
                        "{field} differs:\n      told   {}\n      stored {}",
                        shown_told(told, sequence),
                        shown_stored(stored)
                    ));
                }
            }
            several => {
                let times = several.len();
                differences.push(format!("stored {times} times: {}", shown_told(told, sequence)));
            }
        }
    }
    for stored in by_sequence.values().flatten() {
        differences.push(format!("not true: {}", shown_stored(stored)));
    }
}

/// A transaction has one commit position, a commit position one transaction, a change one id.
fn compare_commits(stored: &[Stored], differences: &mut Vec<String>) {
    let (mut positions, mut transactions, mut ids) =
        (HashMap::new(), HashMap::new(), HashSet::new());
    for stored in stored {
        let position = *positions.entry(stored.transaction_id).or_insert(stored.commit_position);
        let id = *transactions.entry(stored.commit_position).or_insert(stored.transaction_id);
        if position != stored.commit_position || id != stored.transaction_id {
            differences.push(format!("commits in two places: {}", shown_stored(stored)));
        }
        if !ids.insert(&stored.id) {
            differences.push(format!("has the id of another change: {}", shown_stored(stored)));
        }
    }
}

/// In the order of `changes`, each row's changes are in the order in which they happened, and so are those of each table around
/// a TRUNCATE.
fn compare_order(
    told_in: &Transactions<'_, Told>,
    stored: &[Stored],
    differences: &mut Vec<String>,
) {
    let mut last_of_key: HashMap<(&str, &[String]), i64> = HashMap::new();
    let mut last_of_table: HashMap<&str, i64> = HashMap::new();
    let mut last_truncate_of: HashMap<&str, i64> = HashMap::new();
    for stored in stored {
        let index = usize::try_from(stored.sequence - 1).ok();
        let told = told_in.get(&stored.transaction_id).zip(index).and_then(|(t, i)| t.get(i));
        let Some(told) = told else { continue };
        let table = told.table.as_str();
        let mut before = last_truncate_of.get(table).copied().unwrap_or(0);
        if told.operation == "TRUNCATE" {
            before = last_of_table.get(table).copied().unwrap_or(0);
            last_truncate_of.insert(table, told.ordinal);
        }
        for key in [&told.key, &told.previous_key].into_iter().flatten() {
            let last = last_of_key.insert((table, key), told.ordinal).unwrap_or(0);
            before = before.max(last);
        }
        let last = last_of_table.entry(table).or_default();
        *last = told.ordinal.max(*last);
        if told.ordinal <= before {
            differences.push(format!("is behind what came later: {}", shown_stored(stored)));
        }
    }
}

fn differing_fields(told: &Told, stored: &Stored) -> Vec<&'static str> {
    let has_row_before = matches!(told.operation.as_str(), "UPDATE" | "DELETE");
    let is_complete = told.operation == "CREATE" || (has_row_before && told.is_full);
    let is_before_same = if has_row_before && !told.is_full {
        is_key_of(told, &stored.before)
    } else {
        told.before == stored.before
    };
    let is_committed_at_same =
        told.committed_at.as_ref().is_none_or(|committed_at| *committed_at == stored.committed_at);
    [
        ("schema", told.schema == stored.schema),
        ("table", told.table == stored.table),
        ("operation", told.operation == stored.operation),
        ("primary_key", key_text(told.key.as_deref()) == stored.primary_key),
        ("previous_key", key_text(told.previous_key.as_deref()) == stored.previous_key),
        ("before", is_before_same),
        ("before_complete", is_complete == stored.before_complete),
        ("after", is_after_same(told, stored)),
        ("context", told.context == stored.context),
        ("encoded", stored.encoded.is_none()),
        ("committed_at", is_committed_at_same),
    ]
    .into_iter()
    .filter_map(|(field, is_same)| (!is_same).then_some(field))
    .collect()
}

/// As `changes` has it.
fn key_text(key: Option<&[String]>) -> Option<String> {
    match key? {
        [column] => Some(column.clone()),
        columns => serde_json::to_string(columns).ok(),
    }
}

/// Whether `before` has the key's columns, and no other.
fn is_key_of(told: &Told, before: &str) -> bool {
    let (told_row, stored_row) = (object(&told.before), object(before));
    let key = told.previous_key.as_ref().or(told.key.as_ref());
    let Some(key) = key else { return false };
    stored_row.len() == key.len()
        && stored_row.iter().all(|(name, value)| told_row.get(name) == Some(value))
        && stored_row.values().all(|value| match value {
            Value::String(text) => key.contains(text),
            other => key.contains(&other.to_string()),
        })
}

/// Whether `after` is the row, but for large values that did not change, where those are not in the WAL.
fn is_after_same(told: &Told, stored: &Stored) -> bool {
    let Some(unavailable) = &stored.unavailable else { return told.after == stored.after };
    if told.is_full || told.operation != "UPDATE" || unavailable.is_empty() {
        return false;
    }
    let (before, mut after) = (object(&told.before), object(&told.after));
    let are_untouched = unavailable.iter().all(|name| {
        let value = after.remove(name);
        let is_large = value
            .as_ref()
            .is_some_and(|value| value.to_string().chars().count() > TOASTED_CHARS_MIN);
        is_large && value.as_ref() == before.get(name)
    });
    are_untouched && after == object(&stored.after)
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}

fn shown_told(told: &Told, sequence: i64) -> String {
    let Told { transaction_id, schema, table, operation, key, .. } = told;
    let key = key_text(key.as_deref()).unwrap_or_else(|| "no key".to_owned());
    let row = shown_row(&told.before, &told.after, &told.context);
    format!("transaction {transaction_id}, {sequence}: {operation} {schema}.{table} {key} {row}")
}

fn shown_stored(stored: &Stored) -> String {
    let Stored { transaction_id, sequence, schema, table, operation, commit_position, .. } = stored;
    let key = stored.primary_key.as_deref().unwrap_or("no key");
    let row = shown_row(&stored.before, &stored.after, &stored.context);
    format!(
        "transaction {transaction_id}, {sequence}: {operation} {schema}.{table} {key} {row} \
         (commit {commit_position})"
    )
}

fn shown_row(before: &str, after: &str, context: &str) -> String {
    let cut = |json: &str| -> String {
        let shown: String = json.chars().take(SHOWN_CHARS_MAX).collect();
        if shown.len() < json.len() { format!("{shown}…") } else { shown }
    };
    format!("{} → {} by {}", cut(before), cut(after), cut(context))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Two transactions: row 1 is made and altered, row 2 is made; then row 1 is deleted.
    fn truth() -> (Vec<Told>, Vec<Stored>) {
        let told = |ordinal, transaction_id, operation: &str, key: &str, rows: [&str; 2]| Told {
            ordinal,
            transaction_id,
            schema: "public".to_owned(),
            table: "t".to_owned(),
            operation: operation.to_owned(),
            key: Some(vec![key.to_owned()]),
            previous_key: None,
            is_full: true,
            before: rows[0].to_owned(),
            after: rows[1].to_owned(),
            context: "{}".to_owned(),
            committed_at: None,
        };
        let told = vec![
            told(1, 7, "CREATE", "1", ["{}", r#"{"id": 1}"#]),
            told(2, 7, "UPDATE", "1", [r#"{"id": 1}"#, r#"{"id": 1}"#]),
            told(3, 7, "CREATE", "2", ["{}", r#"{"id": 2}"#]),
            told(4, 8, "DELETE", "1", [r#"{"id": 1}"#, "{}"]),
        ];
        let places = [(100, 1), (100, 2), (100, 3), (200, 1)];
        let stored = told.iter().zip(places).map(|(told, (commit_position, sequence))| Stored {
            id: format!("{commit_position}.{sequence}"),
            transaction_id: told.transaction_id,
            commit_position,
            sequence,
            schema: told.schema.clone(),
            table: told.table.clone(),
            operation: told.operation.clone(),
            primary_key: key_text(told.key.as_deref()),
            previous_key: None,
            before: told.before.clone(),
            after: told.after.clone(),
            context: told.context.clone(),
            before_complete: true,
            unavailable: None,
            encoded: None,
            committed_at: "0".to_owned(),
        });
        let stored = stored.collect();
        (told, stored)
    }

    /// The first difference that is told once `spoil` was at what is stored.
    fn told_of(spoil: impl FnOnce(&mut Vec<Stored>)) -> String {
        let (told, mut stored) = truth();
        spoil(&mut stored);
        stored.sort_by_key(|stored| (stored.commit_position, stored.sequence));
        compare(&told, &stored).differences.into_iter().next().unwrap_or_default()
    }

    #[test]
    fn what_is_the_same_is_not_told() {
        assert_eq!(told_of(|_| {}), "");
    }

    #[test]
    fn one_row_that_is_lost_or_invented_or_there_twice_is_told() {
        assert!(
            told_of(|stored| drop(stored.remove(1))).starts_with("not stored: transaction 7, 2")
        );
        assert!(told_of(|stored| stored.truncate(3)).starts_with("not stored: transaction 8, 1"));
        let twice = told_of(|stored| stored.push(stored[3].clone()));
        assert!(twice.starts_with("stored 2 times: transaction 8, 1"), "{twice}");
        let invented = told_of(|stored| {
            stored.push(Stored { transaction_id: 9, commit_position: 300, ..stored[0].clone() });
        });
        assert!(invented.starts_with("not true: transaction 9"), "{invented}");
        let one_more = told_of(|stored| stored.push(Stored { sequence: 4, ..stored[0].clone() }));
        assert!(one_more.starts_with("not true: transaction 7, 4"), "{one_more}");
    }

    #[test]
    fn another_row_key_or_context_is_told() {
        let first = |spoil: fn(&mut Stored)| told_of(|stored| spoil(&mut stored[0]));
        assert!(first(|s| s.after = "{}".to_owned()).starts_with("after differs"));
        assert!(first(|s| s.primary_key = None).starts_with("primary_key differs"));
        assert!(first(|s| s.context = "{\"a\": 1}".to_owned()).starts_with("context differs"));
        assert!(first(|s| s.before_complete = false).starts_with("before_complete differs"));
        assert!(first(|s| s.unavailable = Some(Vec::new())).starts_with("after differs"));
    }

    #[test]
    fn two_rows_in_each_others_place_are_told() {
        let swapped = told_of(|stored| {
            stored[0].sequence = 2;
            stored[1].sequence = 1;
        });
        assert!(swapped.starts_with("operation differs"), "{swapped}");
    }

    #[test]
    fn a_transaction_before_one_that_it_came_after_is_told() {
        let early = told_of(|stored| stored[3].commit_position = 50);
        assert!(early.starts_with("is behind what came later: transaction 7, 1"), "{early}");
    }

    #[test]
    fn a_transaction_in_two_places_is_told() {
        let torn = told_of(|stored| stored[2].commit_position = 150);
        assert!(torn.starts_with("commits in two places"), "{torn}");
    }
}
