//! The statements that tell what was there as of a point.
//!
//! All of them have the same parameters, each a text, so that functions in the database can hold the
//! same statements: see [`sql_text::as_of`](crate::record::sql_text::as_of).

const BOUNDS: &str = include_str!("bounds.sql");
const FACTS: &str = include_str!("facts.sql");
const NEAREST: &str = include_str!("nearest.sql");
const ROWS: &str = include_str!("rows.sql");
const COVERAGE: &str = include_str!("coverage.sql");
const MOVES: &str = include_str!("moves.sql");
const RANGE_BEFORE: &str = include_str!("range_before.sql");
const RANGE_BEHIND: &str = include_str!("range_behind.sql");
const MAPPED: &str = include_str!("mapped.sql");
const COLUMNS: &str = include_str!("columns.sql");
const ADDED: &str = include_str!("added.sql");
const SEEN: &str = include_str!("seen.sql");

/// What a column held that is gone since, a later row does not tell.
const GONE: &str = "SELECT 'null'::jsonb AS missing, true AS is_unknown";

/// What can be said about the table as a whole: see
/// [`sql_text::as_of_facts`](crate::record::sql_text::as_of_facts).
pub(crate) fn facts(changes: &str) -> String {
    format!("WITH {BOUNDS} {FACTS}").replace("{changes}", changes)
}

/// What the nearest change tells alone: see
/// [`sql_text::as_of_nearest`](crate::record::sql_text::as_of_nearest).
pub(crate) fn nearest(changes: &str) -> String {
    NEAREST.replace("{changes}", changes)
}

/// The rows: see [`sql_text::as_of`](crate::record::sql_text::as_of).
pub(crate) fn rows(changes: &str) -> String {
    let rows = ROWS
        .replace(
            "{moves_before}",
            &MOVES
                .replace("{range}", RANGE_BEFORE)
                .replace("{mapped}", &mapped("x.row", &columns("x"), &ADDED.replace("{at}", "x")))
                .replace(
                    "{is_mapped}",
                    "(x.commit_position, x.sequence) <= (b.shaped_position, b.shaped_sequence)",
                ),
        )
        .replace(
            "{moves_behind}",
            &MOVES
                .replace("{range}", RANGE_BEHIND)
                .replace("{mapped}", &mapped("x.row", &columns("x"), GONE))
                .replace(
                    "{is_mapped}",
                    "(x.commit_position, x.sequence) > (b.reshaped_position, b.reshaped_sequence)",
                ),
        )
        .replace("{mapped_forward}", &mapped("f.row", &columns("f"), &ADDED.replace("{at}", "f")))
        .replace("{mapped_counted}", &mapped("c.row", &columns("c"), &ADDED.replace("{at}", "c")))
        .replace("{mapped_read}", &mapped("z.row", &columns("z"), GONE))
        .replace("{mapped_backward}", &mapped("e.row", &columns("e"), GONE))
        .replace(
            "{mapped_live}",
            &mapped("r.row", "(SELECT live.live -> 'columns' FROM live)", GONE),
        )
        .replace("{is_seen}", SEEN);
    format!("WITH RECURSIVE {BOUNDS}, {rows} SELECT a.key, a.state, a.row, a.why FROM answer AS a")
        .replace("{changes}", changes)
}

/// What the record has of the table, as JSON: see [`Coverage`](crate::record::Coverage).
pub(crate) fn coverage(changes: &str) -> String {
    format!("WITH {BOUNDS} {COVERAGE}").replace("{changes}", changes)
}

/// The columns of the table where a change is.
fn columns(at: &str) -> String {
    COLUMNS.replace("{at}", at)
}

/// A row in the columns of the point.
fn mapped(row: &str, columns: &str, added: &str) -> String {
    MAPPED.replace("{added}", added).replace("{row}", row).replace("{columns}", columns)
}
