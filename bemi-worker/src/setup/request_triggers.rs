//! The triggers that take the context of a request from PostgREST's settings, one for each table.
//!
//! A trigger for the statement, before it: the message must come before the rows that it governs, and
//! a trigger for the row would add one message for each of them.

use super::functions::EMIT_REQUEST_CONTEXT_NAME;

/// Before statements, triggers fire by name: nothing printable but a space comes before this one, so
/// what other triggers write has the context, too.
pub(crate) const TRIGGER: &str = "!bemi_context";

/// Creates the trigger on `table`, as SQL names it. `track_table` has the same statement.
pub(crate) fn create(table: &str) -> String {
    format!(
        "CREATE TRIGGER \"{TRIGGER}\" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} \
         FOR EACH STATEMENT EXECUTE FUNCTION bemi.{EMIT_REQUEST_CONTEXT_NAME}()"
    )
}

/// Drops the trigger `name` of `table`, both as SQL names them.
pub(crate) fn drop(name: &str, table: &str) -> String {
    format!("DROP TRIGGER IF EXISTS {name} ON {table}")
}
