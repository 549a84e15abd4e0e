//! The digest of a row of `changes`, as the server makes it.
//!
//! The form is that of `record_send`: the number of values, and for each its type's oid, its length and
//! its bytes as in the binary protocol. It is unambiguous, the same on every version and in every
//! session, and survives dump and restore.
//!
//! Invariant: every column of the contract is in it; a column that somebody has added to the table is not.

use postgres_protocol::escape::escape_identifier;

/// The columns, in the order in which they are hashed. What is hashed is a contract: a column that the
/// table gets later needs another form, and a link that says so.
const DIGESTED: [&str; 20] = [
    "id",
    "primary_key",
    "before",
    "after",
    "context",
    "database",
    "schema",
    "table",
    "previous_key",
    "operation",
    "committed_at",
    "queued_at",
    "created_at",
    "transaction_id",
    "position",
    "commit_position",
    "sequence",
    "before_complete",
    "unavailable",
    "encoded",
];

/// The expression for the digest of a row of the table that the statement calls `alias`.
pub(crate) fn digest_of(alias: &str) -> String {
    let columns: Vec<String> =
        DIGESTED.iter().map(|name| format!("{alias}.{}", escape_identifier(name))).collect();
    format!("pg_catalog.sha256(pg_catalog.record_send(ROW({})))", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use bemi_core::changes_table::COLUMNS;

    use super::*;

    #[test]
    fn every_column_of_the_contract_is_hashed() {
        let columns: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(columns, DIGESTED);
    }
}
