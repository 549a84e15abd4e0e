//! What each index costs where changes are stored: one COPY of the same rows into `changes` with it and without.
//!
//! The rows are those of the other parts: in the order of commits, of a hundred thousand rows that come in no order, with one
//! key in a hundred that changes.

use std::time::{Duration, Instant};

use bemi_core::changes_table;
use tokio_postgres::Client;

use crate::Result;
use crate::many::{self, COLUMNS};
use crate::options::Options;
use crate::report;
use crate::server::Server;

#[path = "../throughput/proc.rs"]
#[allow(dead_code, reason = "the other benchmark asks for more")]
mod proc;

/// The indexes that a table has. All have the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// Nothing but the key.
    Key,
    /// As setup makes it, without the one of this name.
    Without(&'static str),
    /// As setup makes it.
    Setup,
    /// That, and another one.
    With(&'static str),
}

impl Set {
    const ALL: [Self; 10] = [
        Self::Setup,
        Self::Key,
        Self::Without("changes_record_idx"),
        Self::Without("changes_previous_key_idx"),
        Self::Without("changes_truncate_idx"),
        Self::Without("changes_commit_position_idx"),
        Self::With("USING brin (commit_position)"),
        Self::With("((context ->> 'user_id'), commit_position, sequence)"),
        Self::With("((context ->> 'request_id'), commit_position, sequence)"),
        Self::With("USING gin (context jsonb_path_ops)"),
    ];

    /// For people.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Key => "the key alone".to_owned(),
            Self::Without(index) => format!("without `{index}`"),
            Self::Setup => "as setup makes it".to_owned(),
            Self::With(index) => format!("and `{index}`"),
        }
    }

    /// What makes the table, in schema `stored`.
    fn statements(self) -> Vec<String> {
        let mut statements = changes_table::create_statements("stored");
        match self {
            Self::Key => statements.truncate(1),
            Self::Without(index) => {
                statements.retain(|statement| !statement.contains(&format!("INDEX {index} ")));
            }
            Self::Setup => {}
            Self::With(index) => statements.push(format!("CREATE INDEX ON stored.changes {index}")),
        }
        statements
    }
}

/// Storing once.
#[derive(Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) time: Duration,
    /// Of the server's process; known on Linux only.
    pub(crate) cpu: Option<Duration>,
    pub(crate) index_bytes: i64,
}

/// Stores the rows with each set of indexes, round by round, and prints.
pub(crate) async fn measure(server: &Server, options: &Options) -> Result<()> {
    let tracked = server.tracked().await?;
    let client = &tracked.client;
    let changes = options.stored_changes;
    eprintln!("making {changes} changes");
    many::make(client, changes, 100_000.min(changes / 2), true).await?;
    let file = server.cluster().socket_dir().join("rows");
    let path = file.display();
    client
        .batch_execute(&format!(
            "COPY (SELECT {COLUMNS} FROM changes ORDER BY commit_position, sequence) TO '{path}' (FORMAT binary); \
             DROP TABLE changes"
        ))
        .await?;
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let mut stored = Vec::new();
        for set in Set::ALL {
            stored.push(
                store(
                    client,
                    set,
                    &format!("COPY stored.changes ({COLUMNS}) FROM '{path}' (FORMAT binary)"),
                    changes,
                )
                .await?,
            );
        }
        rounds.push(stored);
    }
    report::indexes(options, &Set::ALL, &rounds);
    tracked.close().await
}

async fn store(client: &Client, set: Set, copy: &str, changes: u32) -> Result<Stored> {
    client.batch_execute("CREATE SCHEMA stored").await?;
    for statement in set.statements() {
        client.batch_execute(&statement).await?;
    }
    client.batch_execute("CHECKPOINT").await?;
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let backend = u32::try_from(backend)?;
    let cpu_before = proc::cpu_time(backend);
    let started = Instant::now();
    let rows = client.execute(copy, &[]).await?;
    let time = started.elapsed();
    let cpu = proc::cpu_time(backend).zip(cpu_before).map(|(after, before)| after - before);
    if rows != u64::from(changes) {
        return Err(format!("{rows} rows were stored, and not {changes}").into());
    }
    let size = "SELECT pg_indexes_size('stored.changes')";
    let index_bytes = client.query_one(size, &[]).await?.get(0);
    client.batch_execute("DROP SCHEMA stored CASCADE").await?;
    Ok(Stored { time, cpu, index_bytes })
}
