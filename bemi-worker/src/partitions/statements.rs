//! The statements that make, attach and describe partitions.
//!
//! Instants are put into them as texts: statements that define tables take no parameters. Names are quoted.

use bemi_core::changes_table::TABLE;
use jiff::Timestamp;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::config::PartitionBy;

/// The constraint that says what is in a table before it is attached, so that it need not be read then.
pub(crate) const BOUND_CONSTRAINT: &str = "bemi_bound";

/// In the name of the partition that has no beginning.
pub(super) const EARLIER: &str = "before";

/// How much of the name of a schema is in the names of its partitions.
const SCHEMA_NAME_BYTES_MAX: usize = 24;

/// What the names of the partitions of `changes` in a schema begin with.
pub(super) fn name_prefix(schema: &str) -> String {
    if schema == "public" {
        return TABLE.to_owned();
    }
    let mut schema = schema;
    while schema.len() > SCHEMA_NAME_BYTES_MAX {
        let mut shorter = schema.chars();
        shorter.next_back();
        schema = shorter.as_str();
    }
    format!("{schema}_{TABLE}")
}

/// A table's name, as SQL has it.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(name))
}

/// Makes an empty partition, and attaches it. Storing goes on meanwhile.
pub(crate) fn attach_new(
    parent: &str,
    name: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Vec<String> {
    let partition = qualified("bemi", name);
    vec![
        format!(
            "CREATE TABLE {partition} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS \
             INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION)"
        ),
        attach(parent, &partition, from, to),
    ]
}

/// Attaches a table.
pub(crate) fn attach(
    parent: &str,
    partition: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> String {
    let bound = |at: Option<Timestamp>, open: &str| match at {
        Some(at) => format!("'{at}'"),
        None => open.to_owned(),
    };
    let (from, to) = (bound(from, "MINVALUE"), bound(to, "MAXVALUE"));
    format!("ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ({from}) TO ({to})")
}

/// Drops a table that is no partition any more.
pub(crate) fn drop_table(qualified: &str) -> String {
    format!("DROP TABLE IF EXISTS {qualified}")
}

/// Says in the comment on a table how long its partitions are, behind what it said before.
pub(crate) fn comment(table: &str, before: &str, by: PartitionBy) -> String {
    let kept = match before.split_once(" Partitioned by ") {
        Some((kept, _)) => kept,
        None => before,
    };
    let text = format!("{kept} Partitioned by {by}.");
    format!("COMMENT ON TABLE {table} IS {}", escape_literal(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_room_for_what_comes_behind_the_schema() {
        assert_eq!(name_prefix("public"), "changes");
        assert_eq!(name_prefix("audit"), "audit_changes");
        assert_eq!(name_prefix(&"ä".repeat(40)).len(), SCHEMA_NAME_BYTES_MAX + "_changes".len());
    }

    #[test]
    fn a_comment_says_one_length() {
        let once = comment("t", "Rows.", PartitionBy::Day);
        assert_eq!(once, "COMMENT ON TABLE t IS 'Rows. Partitioned by day.'");
        let again = comment("t", "Rows. Partitioned by day.", PartitionBy::Week);
        assert_eq!(again, "COMMENT ON TABLE t IS 'Rows. Partitioned by week.'");
    }
}
