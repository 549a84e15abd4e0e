//! Typed rows of the past, and the views of it: one for each tracked table, with its name and its columns.
//!
//! A view reads through functions alone, never a relation: so it has the rights of whoever asks, on
//! every version, and nothing keeps the application from altering or dropping its table. Where
//! `bemi.as_of` is not set, the function of the live table is inlined, and indexes are used.
//!
//! Invariant: a view whose columns the table no longer has is an error when it is asked, never another
//! answer.

use super::object::{Function, Object};

/// Where they are.
pub(super) const SCHEMA: &str = "bemi_past";

/// Makes those that are missing, and those of columns that have changed, again.
pub(super) const REFRESH: &str = "SELECT * FROM bemi.refresh_past()";

/// Drops all of them, by a function that [`objects`] has.
pub(super) const DROP: &str = "SELECT bemi.drop_past()";
pub(super) const DROP_IDENTITY: &str = " bemi.drop_past()";

pub(super) fn objects(changes: &str) -> Vec<Object> {
    [
        REFUSE,
        PRESENT_ROWS,
        AS_OF_POSITION,
        AS_OF,
        AS_OF_INSTANT,
        PAST_ROWS,
        WANTED,
        STALE,
        DROP_ONE,
        REFRESH_ALL,
        DROP_ALL,
    ]
    .iter()
    .map(|function| function.over(changes))
    .collect()
}

const REFUSE: Function = Function {
    name: "refuse",
    types: "text, text, pg_lsn, text, jsonb",
    declaration: "(schema text, \"table\" text, at pg_lsn, key text, why jsonb) RETURNS jsonb",
    attributes: "plpgsql VOLATILE",
    body: include_str!("refuse.sql"),
    comment: "Fails, since the record does not tell.",
    is_open: true,
};

const PRESENT_ROWS: Function = Function {
    name: "present_rows",
    types: "oid, text, text, bigint",
    declaration: "(relation oid, schema text, \"table\" text, \"position\" bigint) RETURNS SETOF jsonb",
    attributes: "plpgsql VOLATILE ROWS 10000",
    body: include_str!("present_rows.sql"),
    comment: "All rows of a table as of a commit position, with the names that its columns have now; an \
              error where the record does not tell all of them.",
    is_open: true,
};

const AS_OF_POSITION: Function = Function {
    name: "as_of_position",
    types: "anyelement, bigint",
    declaration: "(of_type anyelement, at bigint) RETURNS SETOF anyelement",
    attributes: "plpgsql VOLATILE ROWS 10000",
    body: include_str!("as_of_typed.sql"),
    comment: "The rows of a table as of a commit position, as rows of its type of now.",
    is_open: true,
};

const AS_OF: Function = Function {
    name: "as_of",
    types: "anyelement, text",
    declaration: "(of_type anyelement, point text) RETURNS SETOF anyelement",
    attributes: "sql VOLATILE ROWS 10000",
    body: "
    SELECT * FROM bemi.as_of_position($1, bemi.position_of($2))
",
    comment: "The rows of a table as of a point, as rows of its type of now; an error where the record does \
              not tell all of them. SELECT * FROM bemi.as_of(NULL::todos, '-2h').",
    is_open: true,
};

const AS_OF_INSTANT: Function = Function {
    name: "as_of",
    types: "anyelement, timestamp with time zone",
    declaration: "(of_type anyelement, instant timestamptz) RETURNS SETOF anyelement",
    attributes: "sql VOLATILE ROWS 10000",
    body: "
    SELECT * FROM bemi.as_of_position($1, bemi.position_of($2))
",
    comment: "The rows of a table as of an instant, as rows of its type of now; an error where the record \
              does not tell all of them.",
    is_open: true,
};

const PAST_ROWS: Function = Function {
    name: "past_rows",
    types: "text, text, text[], text",
    declaration: "(schema text, \"table\" text, columns text[], point text) RETURNS SETOF record",
    attributes: "plpgsql VOLATILE ROWS 10000",
    body: include_str!("past_rows.sql"),
    comment: "These columns of the rows of a table as of a point, for the views of schema bemi_past.",
    is_open: true,
};

const WANTED: Function = Function {
    name: "wanted_past",
    types: "",
    declaration: "() RETURNS TABLE (view text, schema text, \"table\" text, columns text, \
                  names text, literals text, description text)",
    attributes: "plpgsql STABLE",
    body: include_str!("wanted_past.sql"),
    comment: "The views that schema bemi_past is to have.",
    is_open: false,
};

const STALE: Function = Function {
    name: "stale_past",
    types: "",
    declaration: "() RETURNS SETOF text",
    attributes: "sql STABLE",
    body: include_str!("stale_past.sql"),
    comment: "The views of schema bemi_past that are missing, of other columns, or of no table any more.",
    is_open: false,
};

const DROP_ONE: Function = Function {
    name: "drop_past",
    types: "text",
    declaration: "(view text) RETURNS void",
    attributes: "plpgsql",
    body: "
BEGIN
    EXECUTE format('DROP VIEW IF EXISTS bemi_past.%I', view);
    EXECUTE format('DROP FUNCTION IF EXISTS bemi_past.%I()', view);
END
",
    comment: "Drops a view of schema bemi_past.",
    is_open: false,
};

const REFRESH_ALL: Function = Function {
    name: "refresh_past",
    types: "",
    declaration: "() RETURNS SETOF text",
    attributes: "plpgsql",
    body: include_str!("refresh_past.sql"),
    comment: "Makes the views of schema bemi_past that are missing or no longer fit their tables. \
              Gives their names.",
    is_open: false,
};

const DROP_ALL: Function = Function {
    name: "drop_past",
    types: "",
    declaration: "() RETURNS void",
    attributes: "sql",
    body: "
    SELECT bemi.drop_past(c.relname)
    FROM pg_class c
    WHERE c.relnamespace = to_regnamespace('bemi_past') AND c.relkind = 'v'
      AND obj_description(c.oid, 'pg_class') LIKE '%Made by bemi.refresh_past()%'
",
    comment: "Drops the views of schema bemi_past.",
    is_open: false,
};
