//! What the family's original worker has left: its slot, its publication, its table `changes`.

use bemi_core::Lsn;
use bemi_core::changes_table::TABLE;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

use super::Found;
use super::destination::ChangesTable;
use super::source::RecordKind;
use crate::config::{Config, SlotName};
use crate::source::SlotState;

/// The slot of the original worker: as it comes, and of the service of the same name.
const SLOTS: [&str; 2] = ["bemi_local", "bemi"];

/// Its publication, likewise.
const PUBLICATIONS: [&str; 2] = ["dbz_publication", "bemi"];

const PLUGIN: &str = "pgoutput";

/// The columns of its table by its last migration, as `format_type` spells their types.
const COLUMNS: [(&str, &str); 14] = [
    ("id", "uuid"),
    ("created_at", "timestamp with time zone"),
    ("primary_key", "character varying(255)"),
    ("before", "jsonb"),
    ("after", "jsonb"),
    ("context", "jsonb"),
    ("database", "character varying(255)"),
    ("schema", "character varying(255)"),
    ("table", "character varying(255)"),
    ("operation", "text"),
    ("committed_at", "timestamp with time zone"),
    ("queued_at", "timestamp with time zone"),
    ("transaction_id", "bigint"),
    ("position", "bigint"),
];

/// The columns by which even an older table of the original worker is known.
const MARKS: [&str; 4] = ["queued_at", "transaction_id", "position", "primary_key"];

/// What the original worker has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Original {
    /// Slots of its names, in this database, that setup did not make.
    pub(crate) slots: Vec<(SlotName, SlotState)>,
    /// A publication of its names that setup did not make.
    pub(crate) publication: Option<String>,
    /// What is to be known of its table to make it ours; `None` where it is not its table, or not
    /// of its last shape.
    pub(crate) changes: Option<OriginalChanges>,
}

/// What is to be known of the original table to make it ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OriginalChanges {
    /// Whether the role may alter it.
    pub(crate) is_owned: bool,
    /// Its constraints: the primary key, unique ones, and the check of operations.
    pub(crate) constraints: Vec<String>,
    /// Unique indexes that belong to no constraint, as they go into SQL.
    pub(crate) unique_indexes: Vec<String>,
    /// The position of the last change in it.
    pub(crate) last: Option<Lsn>,
}

impl Original {
    /// Looks in both databases. `slot` is the name of the original worker's slot, where it is not
    /// that with which it comes.
    pub(crate) async fn inspect(
        source: &Client,
        destination: &Client,
        found: &Found,
        config: &Config,
        slot: Option<&SlotName>,
    ) -> Result<Self, Error> {
        let (facts, changes) = (&found.source, &found.destination.changes);
        let usual = SLOTS.iter().filter_map(|name| name.parse::<SlotName>().ok());
        let names: Vec<SlotName> = slot.map_or_else(|| usual.collect(), |name| vec![name.clone()]);
        let mut slots = Vec::new();
        for name in names {
            if facts.made(RecordKind::Slot, name.as_str()) {
                continue;
            }
            if let Some(state) = SlotState::read(source, &name).await?
                && state.database == facts.database
                && state.plugin == PLUGIN
            {
                slots.push((name, state));
            }
        }
        let mut publication = None;
        for name in PUBLICATIONS {
            let exists = source
                .query_one(
                    "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)",
                    &[&name],
                )
                .await?
                .try_get(0)?;
            if exists && publication.is_none() && !facts.made(RecordKind::Publication, name) {
                publication = Some(name.to_owned());
            }
        }
        let changes = match changes {
            Some(changes) if unlike_original(changes).is_none() => {
                Some(OriginalChanges::read(destination, &config.changes_schema).await?)
            }
            _ => None,
        };
        Ok(Self { slots, publication, changes })
    }
}

impl OriginalChanges {
    async fn read(client: &Client, schema: &str) -> Result<Self, Error> {
        let table = format!("{}.{}", escape_identifier(schema), escape_identifier(TABLE));
        let row = client
            .query_one(
                "SELECT pg_has_role(c.relowner, 'USAGE'),
                        ARRAY(SELECT k.conname::text FROM pg_constraint k
                              WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'c')
                              ORDER BY k.conname),
                        ARRAY(SELECT x.indexrelid::regclass::text FROM pg_index x
                              WHERE x.indrelid = c.oid AND x.indisunique
                                AND NOT EXISTS (SELECT FROM pg_constraint k
                                                WHERE k.conindid = x.indexrelid)
                              ORDER BY x.indexrelid)
                 FROM pg_class c WHERE c.oid = $1::text::regclass",
                &[&table],
            )
            .await?;
        let is_readable: bool = client
            .query_one("SELECT has_table_privilege($1::text::regclass, 'SELECT')", &[&table])
            .await?
            .try_get(0)?;
        let last: Option<i64> = if is_readable {
            let last = format!("SELECT max(position) FROM {table}");
            client.query_one(&last, &[]).await?.try_get(0)?
        } else {
            None
        };
        Ok(Self {
            last: last.map(Lsn::from_bigint),
            is_owned: row.try_get(0)?,
            constraints: row.try_get(1)?,
            unique_indexes: row.try_get(2)?,
        })
    }
}

/// Why this is not the table of the original worker, or not one that can be taken over; `None` if it
/// is.
pub(crate) fn unlike_original(table: &ChangesTable) -> Option<String> {
    let type_of = |name: &str| {
        let column = table.columns.iter().find(|(column, ..)| column == name);
        column.map(|(_, data_type, ..)| data_type.as_str())
    };
    if !table.is_table {
        return Some("it is not a table".to_owned());
    }
    if MARKS.iter().any(|name| type_of(name).is_none()) {
        return Some("it is not the original worker's".to_owned());
    }
    let older = |why: &str| {
        Some(format!(
            "{why}, as in older versions of the original worker; let the last one migrate it"
        ))
    };
    for (name, expected) in COLUMNS {
        match type_of(name) {
            None => return older(&format!("it has no column {name}")),
            Some(data_type) if data_type != expected => {
                return older(&format!("its column {name} is {data_type}, not {expected}"));
            }
            Some(_) => {}
        }
    }
    let more = |(name, _, not_null, fills_itself_in): &&(String, String, bool, bool)| {
        *not_null && !fills_itself_in && COLUMNS.iter().all(|(original, _)| original != name)
    };
    if let Some((name, ..)) = table.columns.iter().find(more) {
        return Some(format!("its column {name} is NOT NULL and has no default"));
    }
    (table.key != ["id"]).then(|| "its primary key is not (id)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original() -> ChangesTable {
        ChangesTable {
            is_table: true,
            is_adopted: false,
            columns: COLUMNS
                .iter()
                .map(|&(name, data_type)| {
                    (name.to_owned(), data_type.to_owned(), name != "primary_key", name == "id")
                })
                .collect(),
            key: vec!["id".to_owned()],
            indexes: Vec::new(),
        }
    }

    #[test]
    fn its_last_shape_is_recognised_and_others_are_told_apart() {
        assert_eq!(unlike_original(&original()), None);
        let mut older = original();
        older.columns[4].0 = "values".to_owned();
        assert!(unlike_original(&older).unwrap().contains("older"), "{older:?}");
        let mut seconds = original();
        seconds.columns[10].1 = "timestamp(0) with time zone".to_owned();
        assert!(unlike_original(&seconds).unwrap().contains("timestamp(0)"));
        let mut demanding = original();
        demanding.columns.push(("tenant".to_owned(), "text".to_owned(), true, false));
        assert!(unlike_original(&demanding).unwrap().contains("tenant"));
        let mut other = original();
        other.columns.truncate(4);
        assert!(unlike_original(&other).unwrap().contains("not the original worker's"));
    }
}
