//! Pieces of the record's SQL, for functions in the database that are to mean the same.
//!
//! They have the placeholders `$1` and so on, each of type `text`, as the functions' arguments have to
//! come. The change is `c`.

use super::{Changes, Sql, TableName};

/// The condition on a change that it is part of the history of a record. `$1` is the name of the
/// table, `$2` its schema, `$3` the key.
///
/// ```
/// let condition = bemi_core::record::sql_text::history_condition();
/// let sql = format!("SELECT c.* FROM changes AS c WHERE {condition}");
/// assert!(sql.contains("c.primary_key = $3::text"));
/// ```
#[must_use]
pub fn history_condition() -> String {
    history().0
}

/// What was there as of a commit position: a statement with a row for each key, and the columns
///
/// | column | type | |
/// | --- | --- | --- |
/// | `key` | `text` | null in a table without a key, which has a row for each of its rows |
/// | `state` | `text` | `present`, `absent` or `unknown` |
/// | `row` | `jsonb` | with the columns of that time, where it is present |
/// | `why` | `jsonb` | why it is unknown: an [`Unknown`](super::Unknown) |
///
/// Its parameters are texts:
///
/// | | |
/// | --- | --- |
/// | `$1`, `$2` | slot and database, as `bemi.checkpoint` has them |
/// | `$3`, `$4` | schema and table |
/// | `$5` | the commit position, a number |
/// | `$6` | the keys, a JSON array of texts; null for all |
/// | `$7`, `$8` | of all, those behind this key, null for the first ones; and how many keys at most |
/// | `$9` | null |
///
/// The position must be one that is [stored](super::Record::resolve). `changes` is the name of the table,
/// as SQL has it. A key that is not among the rows was of no row if [`as_of_facts`] says that nothing is
/// missing.
///
/// ```
/// let sql = bemi_core::record::sql_text::as_of("public.changes");
/// assert!(sql.starts_with("WITH RECURSIVE"));
/// ```
#[must_use]
pub fn as_of(changes: &str) -> String {
    super::as_of::sql::rows(changes)
}

/// What can be said about a table as of a commit position as a whole: a statement with one row. Its
/// parameters are `$1` to `$5` of [`as_of`].
///
/// | column | type | |
/// | --- | --- | --- |
/// | `is_keyed` | `boolean` | whether its rows have keys |
/// | `is_complete` | `boolean` | whether a key that is not among those of [`as_of`] was of no row |
/// | `ceiling_position` | `bigint` | up to where nothing is missing from the point on |
/// | `is_open` | `boolean` | whether nothing is missing from the point on |
/// | `settled_position`, `settled_sequence`, `cleared_position`, `cleared_sequence`, `shaped_position`, `shaped_sequence` | `bigint` | for [`as_of_nearest`] |
/// | `reshapings` | `text` | the same |
///
/// ```
/// let sql = bemi_core::record::sql_text::as_of_facts("public.changes");
/// assert!(sql.starts_with("WITH"));
/// ```
#[must_use]
pub fn as_of_facts(changes: &str) -> String {
    super::as_of::sql::facts(changes)
}

/// What was there as of a commit position, as far as the nearest change tells it alone, in a table whose
/// rows have keys: that is most of it, and it is much faster than [`as_of`]. A statement with a row for
/// each key, and the columns `key`, `state` (`present`, `absent`, `undecided`, or `elsewhere` where only a
/// table of that name in another schema has the key), and `row`. Keys that are undecided are to be asked for
/// by [`as_of`].
///
/// Its parameters are texts:
///
/// | | |
/// | --- | --- |
/// | `$1` to `$4` | database, schema, table, commit position |
/// | `$5` to `$7` | the keys; else those behind this one, and how many at most: `$6` to `$8` of [`as_of`] |
/// | `$8` to `$14` | the last seven columns of [`as_of_facts`], in their order |
///
/// ```
/// let sql = bemi_core::record::sql_text::as_of_nearest("public.changes");
/// assert!(sql.starts_with("WITH"));
/// ```
#[must_use]
pub fn as_of_nearest(changes: &str) -> String {
    super::as_of::sql::nearest(changes)
}

/// What the record covers of a table: a statement with one row and one column, a JSON object as text. Its
/// `since` and `whole` are places, `{"position", "at"}`; what they mean for
/// [`Coverage`](super::Coverage) goes by `was_read` of `whole`, `is_whole_before` and `holes`. The parameters
/// `$1` to `$4` are those of [`as_of`]; `$5` is the position up to which everything is stored.
///
/// ```
/// let sql = bemi_core::record::sql_text::coverage("public.changes");
/// assert!(sql.contains("is_whole_before"));
/// ```
#[must_use]
pub fn coverage(changes: &str) -> String {
    super::as_of::sql::coverage(changes)
}

fn history() -> (String, Sql) {
    let mut sql = Sql::default();
    let changes = Changes::new().record(TableName::new("schema", "table"), "key");
    (changes.to_condition(&mut sql), sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_the_order_that_is_told() {
        let named = ["table", "schema", "key"].map(|name| Some(name.to_owned()));
        assert_eq!(history().1.parameters(), named);
    }
}
