//! What the worker needs to be allowed, and who reads what it stores: the privileges of two duties.
//!
//! Invariant: neither duty can change or remove a row of `changes`; no role is created, and none is given
//! more than is listed here.

use bemi_core::changes_table::TABLE;
use postgres_protocol::escape::escape_identifier;

use super::plan::Side;

/// What a role is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    /// `bemi-worker run` and `status`.
    Worker,
    /// Queries of `changes`, the SQL pack, and the commands that ask the record.
    Reader,
}

/// Something that a role may be allowed to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// The database that we are connected to.
    Database,
    /// By its name as the catalog has it.
    Schema(String),
    /// By its name as SQL has it.
    Table(String),
    /// A table, as SQL has it, and some of its columns.
    Columns(&'static str, &'static [&'static str]),
}

/// Privileges on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Privileges {
    pub(crate) on: Object,
    /// `SELECT`, `INSERT` and so on.
    pub(crate) names: &'static [&'static str],
}

/// What setup wrote down in the source: what to store, and of what.
const RULES: [&str; 5] = [
    "bemi.installation",
    "bemi.settings",
    "bemi.tracked_tables",
    "bemi.full_identity",
    "bemi.column_rules",
];

/// What the worker keeps in the destination.
const STATE: [(&str, &[&str]); 9] = [
    ("bemi.checkpoint", &["SELECT", "UPDATE"]),
    ("bemi.gaps", &["SELECT", "INSERT", "UPDATE"]),
    ("bemi.table_events", &["SELECT", "INSERT", "UPDATE"]),
    ("bemi.backfill", &["SELECT", "INSERT", "UPDATE"]),
    ("bemi.quarantine", &["SELECT", "INSERT"]),
    ("bemi.retention", &["SELECT"]),
    ("bemi.chain_heads", &["SELECT", "UPDATE"]),
    ("bemi.chain", &["SELECT", "INSERT"]),
    ("bemi.chain_rows", &["SELECT", "INSERT"]),
];

/// What tells a reader how whole the record is, and whether somebody has altered it.
const RECORD: [&str; 9] = [
    "bemi.checkpoint",
    "bemi.gaps",
    "bemi.table_events",
    "bemi.backfill",
    "bemi.retention",
    "bemi.chain_heads",
    "bemi.chain",
    "bemi.chain_rows",
    "bemi.erasures",
];

/// All of a change in quarantine but its bytes: no rule for columns has masked them.
const QUARANTINE: Object = Object::Columns(
    "bemi.quarantine",
    &[
        "id",
        "slot",
        "position",
        "commit_position",
        "sequence",
        "committed_at",
        "transaction_id",
        "schema",
        "\"table\"",
        "error",
        "quarantined_at",
    ],
);

impl Duty {
    pub(crate) const ALL: [Self; 2] = [Self::Worker, Self::Reader];

    /// What it is called in messages: the role may …
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Worker => "run the worker",
            Self::Reader => "read what is stored",
        }
    }

    /// What it takes on this side.
    pub(crate) fn needs(self, side: Side, changes_schema: &str) -> Vec<Privileges> {
        let schema =
            |name: &str| Privileges { on: Object::Schema(name.to_owned()), names: &["USAGE"] };
        let table = |name: &str, names| Privileges { on: Object::Table(name.to_owned()), names };
        let changes = format!("{}.{TABLE}", escape_identifier(changes_schema));
        let connect = Privileges { on: Object::Database, names: &["CONNECT"] };
        let mut needs = vec![connect, schema("bemi")];
        match (self, side) {
            (Self::Worker, Side::Source) => {
                needs.extend(RULES.map(|name| table(name, &["SELECT"])));
                needs.push(table("bemi.given_up", &["SELECT", "INSERT", "UPDATE"]));
                needs.push(table("bemi.given_up", &["SELECT", "INSERT", "UPDATE"]));
            }
            (Self::Worker, Side::Destination) => {
                needs.push(schema(changes_schema));
                needs.extend(STATE.map(|(name, names)| table(name, names)));
                // What it has stored it reads to cover it by the chain, and to serve it.
                needs.push(table(&changes, &["SELECT", "INSERT"]));
            }
            (Self::Reader, Side::Destination) => {
                needs.push(schema(changes_schema));
                needs.extend(RECORD.map(|name| table(name, &["SELECT"])));
                needs.push(Privileges { on: QUARANTINE, names: &["SELECT"] });
                needs.push(table(&changes, &["SELECT"]));
            }
            // Readers need not know the source.
            (Self::Reader, Side::Source) => needs.clear(),
        }
        needs
    }
}

impl Privileges {
    /// Gives them to a role.
    pub(crate) fn grant(&self, database: &str, role: &str) -> String {
        format!("GRANT {} TO {}", self.clause(database), escape_identifier(role))
    }

    /// Takes them back.
    pub(crate) fn revoke(&self, database: &str, role: &str) -> String {
        format!("REVOKE {} FROM {}", self.clause(database), escape_identifier(role))
    }

    fn clause(&self, database: &str) -> String {
        let names = self.names.join(", ");
        match &self.on {
            Object::Database => format!("{names} ON DATABASE {}", escape_identifier(database)),
            Object::Schema(name) => format!("{names} ON SCHEMA {}", escape_identifier(name)),
            Object::Table(name) => format!("{names} ON {name}"),
            Object::Columns(table, columns) => {
                format!("{names} ({}) ON {table}", columns.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_and_a_schema_of_any_name_stay_names() {
        let needs = Duty::Worker.needs(Side::Destination, "a\"b; DROP TABLE x");
        let sql: Vec<String> =
            needs.iter().map(|need| need.grant("c\"d", "e\"; DROP ROLE f")).collect();
        assert_eq!(sql[0], "GRANT CONNECT ON DATABASE \"c\"\"d\" TO \"e\"\"; DROP ROLE f\"");
        assert_eq!(
            sql.last().unwrap(),
            "GRANT SELECT, INSERT ON \"a\"\"b; DROP TABLE x\".changes TO \"e\"\"; DROP ROLE f\""
        );
    }

    #[test]
    fn nobody_is_given_what_would_change_a_stored_row() {
        for duty in Duty::ALL {
            for need in duty.needs(Side::Destination, "public") {
                let is_changes =
                    matches!(&need.on, Object::Table(name) if name.ends_with(".changes"));
                assert!(
                    !is_changes || matches!(need.names, ["SELECT", "INSERT"] | ["SELECT"]),
                    "{need:?}"
                );
            }
        }
    }
}
