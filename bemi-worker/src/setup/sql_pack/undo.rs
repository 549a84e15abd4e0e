//! Taking changes back from SQL: the statements that do it, as text, to be looked at and run in the
//! source.
//!
//! They need nothing of the source to be written, and say everything that must hold there: a statement
//! that does not hit exactly the rows that are meant fails, and the transaction with it. What needs the
//! source's catalog, such as an order by foreign keys or the rows that a TRUNCATE took away, is for
//! `bemi-worker revert`.

use super::object::{Function, Object};

pub(super) fn objects(changes: &str) -> Vec<Object> {
    [TO_UNDO, UNDO_CHECK, UNDO_STATEMENT, UNDO_SQL]
        .iter()
        .map(|function| function.over(changes))
        .collect()
}

const TO_UNDO: Function = Function {
    name: "to_undo",
    types: "text, uuid, bigint, jsonb, timestamp with time zone, timestamp with time zone, text[]",
    declaration: "(text, uuid, bigint, jsonb, timestamptz, timestamptz, text[]) RETURNS TABLE (place bigint, \
                  id uuid, commit_position bigint, action text, schema text, \"table\" text, \
                  primary_key text, key_columns text[], columns text[], key jsonb, was jsonb, \"is\" jsonb, now jsonb, \
                  names text[], problem text)",
    attributes: "sql STABLE",
    body: include_str!("to_undo.sql"),
    comment: "What takes changes back, the newest first: rows, what they must still be, and what they will be.",
    is_open: true,
};

const UNDO_CHECK: Function = Function {
    name: "undo_check",
    types: "text, text, jsonb, jsonb",
    declaration: "(schema text, \"table\" text, deleted jsonb, touched jsonb) RETURNS text",
    attributes: "sql IMMUTABLE",
    body: include_str!("undo_check.sql"),
    comment: "The statement that fails where deleting these rows would change others.",
    is_open: true,
};

const UNDO_STATEMENT: Function = Function {
    name: "undo_statement",
    types: "text, text, text, text[], text[], jsonb",
    declaration: "(action text, schema text, \"table\" text, key_columns text[], columns text[], \
                  rows jsonb) RETURNS text",
    attributes: "sql IMMUTABLE",
    body: include_str!("undo_statement.sql"),
    comment: "The statement that takes changes of these rows back: each with what it was known by, what it \
              must still be, and what it will be.",
    is_open: true,
};

const UNDO_SQL: Function = Function {
    name: "undo_sql",
    types: "uuid, bigint, jsonb, timestamp with time zone, timestamp with time zone, text, text",
    declaration: "(change uuid DEFAULT NULL, transaction bigint DEFAULT NULL, context jsonb DEFAULT NULL, \
                  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, \
                  \"table\" text DEFAULT NULL, reason text DEFAULT NULL) RETURNS SETOF text",
    attributes: "plpgsql STABLE",
    body: include_str!("undo_sql.sql"),
    comment: "The statements that take changes back, the newest first, in a transaction of their own: of a \
              change, of the last transaction with an id, of whatever has this in its context; narrowed by \
              time and table.",
    is_open: true,
};
