//! How this suite says what must be stored: whole rows of `changes`, one after the other.
//!
//! What is not said is the usual: no context, no other key before, a row before that is whole (but for
//! TRUNCATE, which never has one), nothing unavailable, nothing encoded.

use std::fmt;

use bemi_tests::{
    Cluster, ClusterOptions, STORED_WITHIN, Tracked, Wanted, eventually, shared_cluster,
};
use serde_json::{Value, json};

/// A row of `changes`.
#[derive(Clone, PartialEq)]
pub(crate) struct Change {
    operation: String,
    /// With its schema, where that is not `public`.
    table: String,
    primary_key: Option<String>,
    previous_key: Option<String>,
    before: Value,
    after: Value,
    context: Value,
    before_complete: bool,
    unavailable: Vec<String>,
    encoded: Vec<String>,
}

/// An INSERT, or what amounts to one.
pub(crate) fn created<'a>(table: &str, key: impl Into<Option<&'a str>>, after: Value) -> Change {
    change("CREATE", table, key.into(), json!({}), after)
}

/// An UPDATE.
pub(crate) fn updated<'a>(
    table: &str,
    key: impl Into<Option<&'a str>>,
    before: Value,
    after: Value,
) -> Change {
    change("UPDATE", table, key.into(), before, after)
}

/// A DELETE.
pub(crate) fn deleted<'a>(table: &str, key: impl Into<Option<&'a str>>, before: Value) -> Change {
    change("DELETE", table, key.into(), before, json!({}))
}

/// One table of a TRUNCATE.
pub(crate) fn truncated(table: &str) -> Change {
    change("TRUNCATE", table, None, json!({}), json!({})).incomplete()
}

fn change(operation: &str, table: &str, key: Option<&str>, before: Value, after: Value) -> Change {
    Change {
        operation: operation.to_owned(),
        table: table.to_owned(),
        primary_key: key.map(str::to_owned),
        previous_key: None,
        before,
        after,
        context: json!({}),
        before_complete: true,
        unavailable: Vec::new(),
        encoded: Vec::new(),
    }
}

impl Change {
    /// Had this key before.
    pub(crate) fn previously(mut self, key: &str) -> Self {
        self.previous_key = Some(key.to_owned());
        self
    }

    /// With less than the whole row before.
    pub(crate) fn incomplete(mut self) -> Self {
        self.before_complete = false;
        self
    }

    /// Without the values of these columns, which PostgreSQL did not send.
    pub(crate) fn without(mut self, columns: &[&str]) -> Self {
        self.unavailable = columns.iter().map(|&column| column.to_owned()).collect();
        self
    }

    /// Made under this context.
    pub(crate) fn by(mut self, context: Value) -> Self {
        self.context = context;
        self
    }
}

/// In one line, with long values cut: what differs in two lists of changes is to be seen.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.primary_key.as_deref().unwrap_or("-");
        write!(f, "\n{} {} {}", self.operation, self.table, short(key))?;
        if let Some(key) = &self.previous_key {
            write!(f, " (was {})", short(key))?;
        }
        write!(f, ": {} -> {}", short_row(&self.before), short_row(&self.after))?;
        if !self.before_complete {
            write!(f, " incomplete")?;
        }
        for (what, columns) in [("without", &self.unavailable), ("encoded", &self.encoded)] {
            if !columns.is_empty() {
                write!(f, " {what} {columns:?}")?;
            }
        }
        write!(f, " by {}", self.context)
    }
}

fn short_row(row: &Value) -> String {
    let Value::Object(members) = row else { return short(&row.to_string()) };
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{name}={}", short(&value.to_string())))
        .collect();
    format!("{{{}}}", members.join(", "))
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    if cut.len() == text.len() { cut } else { format!("{cut}… {} bytes", text.len()) }
}

/// A database whose tables keep the replica identity that they have.
pub(crate) async fn keeping_identities(schema: &str) -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), schema).await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    tracked
}

/// A cluster of the test's own with these settings, of the version that the others run on.
pub(crate) fn own_cluster(settings: &[(&str, &str)]) -> Cluster {
    let version = Wanted::Major(shared_cluster().binaries().major());
    let options =
        settings.iter().fold(ClusterOptions::new().wanted(version), |options, (name, value)| {
            options.set(name, value)
        });
    Cluster::start(&options).unwrap()
}

/// Runs each text as one transaction: that is what the server makes of several statements that come at once.
pub(crate) async fn commit_each(tracked: &Tracked, transactions: &[&str]) {
    for transaction in transactions {
        tracked.sql(transaction).await;
    }
}

/// SQL that says who makes the changes after it.
pub(crate) fn emit(context: &Value) -> String {
    format!("SELECT pg_logical_emit_message(true, '_bemi', '{context}');")
}

/// The server's version, 150018 for 15.18: what differs by version is told apart by it.
pub(crate) async fn server_version(tracked: &Tracked) -> i32 {
    tracked.value("SELECT current_setting('server_version_num')::int").await
}

/// The name of the slot, once nobody streams from it: a worker that has ended may be there a moment longer.
pub(crate) async fn free_slot(tracked: &Tracked) -> String {
    let slot = tracked.database.slot_name();
    eventually(STORED_WITHIN, "the slot to be free", async || {
        let is_active: bool = tracked
            .value(&format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"))
            .await;
        (!is_active).then_some(())
    })
    .await;
    slot
}

/// Stores everything that was committed, and returns all that is stored, in commit order.
pub(crate) async fn recorded(tracked: &Tracked) -> Vec<Change> {
    transactions(tracked).await.into_iter().flatten().collect()
}

/// The same, by transaction.
pub(crate) async fn transactions(tracked: &Tracked) -> Vec<Vec<Change>> {
    tracked.store().await;
    stored(tracked).await
}

/// What is stored already, by transaction, in commit order. In each, changes are numbered from 1 without a hole.
pub(crate) async fn stored(tracked: &Tracked) -> Vec<Vec<Change>> {
    let rows = tracked
        .client
        .query(
            "SELECT commit_position, sequence, operation, \
                 CASE schema WHEN 'public' THEN \"table\" ELSE schema || '.' || \"table\" END, \
                 primary_key, previous_key, before, after, context, before_complete, \
                 coalesce(unavailable, '{}'), coalesce(encoded, '{}') \
             FROM changes ORDER BY commit_position, sequence",
            &[],
        )
        .await
        .unwrap();
    let mut transactions: Vec<(i64, Vec<Change>)> = Vec::new();
    for row in rows {
        let (commit_position, sequence): (i64, i64) = (row.get(0), row.get(1));
        if transactions.last().is_none_or(|(position, _)| *position != commit_position) {
            transactions.push((commit_position, Vec::new()));
        }
        let (_, changes) = transactions.last_mut().unwrap();
        changes.push(Change {
            operation: row.get(2),
            table: row.get(3),
            primary_key: row.get(4),
            previous_key: row.get(5),
            before: row.get(6),
            after: row.get(7),
            context: row.get(8),
            before_complete: row.get(9),
            unavailable: row.get(10),
            encoded: row.get(11),
        });
        assert_eq!(usize::try_from(sequence).unwrap(), changes.len(), "a hole in a transaction");
    }
    transactions.into_iter().map(|(_, changes)| changes).collect()
}
