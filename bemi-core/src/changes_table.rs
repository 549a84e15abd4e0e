//! The table `changes`: its columns, and the statements that create it.
//!
//! Names and meaning of the columns are a contract with everybody who queries the table. The worker
//! appends to it, nobody updates it.

/// The name of the table.
pub const TABLE: &str = "changes";

/// What its comment says. How its partitions are made, where it has any, stands behind it.
pub const COMMENT: &str = "Row changes with their context, stored by bemi-worker. Append-only; order by commit_position, sequence.";

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type, as `format_type` spells it.
    pub data_type: &'static str,
    /// Whether it is declared NOT NULL.
    pub not_null: bool,
}

const fn required(name: &'static str, data_type: &'static str) -> Column {
    Column { name, data_type, not_null: true }
}

const fn optional(name: &'static str, data_type: &'static str) -> Column {
    Column { name, data_type, not_null: false }
}

/// The columns, in the order in which the table has them.
pub const COLUMNS: &[Column] = &[
    required("id", "uuid"),
    optional("primary_key", "text"),
    required("before", "jsonb"),
    required("after", "jsonb"),
    required("context", "jsonb"),
    required("database", "text"),
    required("schema", "text"),
    required("table", "text"),
    optional("previous_key", "text"),
    required("operation", "text"),
    required("committed_at", "timestamp with time zone"),
    required("queued_at", "timestamp with time zone"),
    required("created_at", "timestamp with time zone"),
    required("transaction_id", "bigint"),
    required("position", "bigint"),
    required("commit_position", "bigint"),
    required("sequence", "bigint"),
    required("before_complete", "boolean"),
    optional("unavailable", "text[]"),
    optional("encoded", "text[]"),
];

/// An index of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Index {
    /// Its name.
    pub name: &'static str,
    /// What it is of, as the server shows it behind `USING`.
    pub definition: &'static str,
}

impl Index {
    /// The statement that creates it in `schema`.
    #[must_use]
    pub fn create_statement(&self, schema: &str) -> String {
        let Self { name, definition } = self;
        format!("CREATE INDEX {name} ON {}.{} USING {definition}", quote(schema), quote(TABLE))
    }
}

/// The indexes beside the key.
pub const INDEXES: &[Index] = &[
    Index {
        name: "changes_record_idx",
        definition: "btree (\"table\", primary_key, commit_position, sequence)",
    },
    Index {
        name: "changes_previous_key_idx",
        definition: "btree (\"table\", previous_key, commit_position, sequence) WHERE (previous_key IS NOT NULL)",
    },
    Index {
        name: "changes_truncate_idx",
        definition: "btree (\"table\", commit_position, sequence) WHERE (operation = 'TRUNCATE'::text)",
    },
    Index { name: "changes_commit_position_idx", definition: "btree (commit_position, sequence)" },
];

/// The statements that create the table and its indexes in `schema`, one each.
///
/// The indexes are what exactly-once and the questions that everybody asks need: by time (the key),
/// the order of commits, and one record's history in it, also under keys that it gave up. Those of keys
/// given up and of TRUNCATE hold next to nothing.
///
/// ```
/// let statements = bemi_core::changes_table::create_statements("public");
/// assert!(statements[0].starts_with("CREATE TABLE \"public\".\"changes\""));
/// ```
#[must_use]
pub fn create_statements(schema: &str) -> Vec<String> {
    let table = format!("{}.{}", quote(schema), quote(TABLE));
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|column| {
            let not_null = if column.not_null { " NOT NULL" } else { "" };
            // The moment of storing is the same for all rows of a batch, and the server's to tell.
            let default = if column.name == "created_at" { " DEFAULT now()" } else { "" };
            format!("    {} {}{not_null}{default}", quote(column.name), column.data_type)
        })
        .collect();
    let create = format!(
        "CREATE TABLE {table} (\n{},\n    PRIMARY KEY (committed_at, id)\n)",
        columns.join(",\n")
    );
    let comment = format!("COMMENT ON TABLE {table} IS '{COMMENT}'");
    let indexes = INDEXES.iter().map(|index| index.create_statement(schema));
    std::iter::once(create).chain(indexes).chain([comment]).collect()
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_any_name_stays_a_name() {
        for statement in create_statements("my \"schema\"; DROP TABLE x") {
            assert!(
                statement.contains("\"my \"\"schema\"\"; DROP TABLE x\".\"changes\""),
                "{statement}"
            );
        }
    }
}
