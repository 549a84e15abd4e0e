//! What is needed to look at a run that failed: the plan, what was told and stored, and every log.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use tokio_postgres::Client;

use super::run::RunReport;
use super::stage::Stage;
use super::supervisor::Ended;

/// Tables of the database with `changes` that are kept.
const DESTINATION_TABLES: [&str; 5] =
    ["changes", "bemi.checkpoint", "bemi.gaps", "bemi.quarantine", "bemi.table_events"];

/// The same of the tracked one.
const SOURCE_TABLES: [&str; 2] = ["truth.log", "pg_replication_slots"];

/// Writes everything into a folder of its own in `folder`, and returns that.
pub(super) async fn keep(
    stage: &Stage,
    report: &RunReport,
    ended: &[Ended],
    folder: &Path,
) -> PathBuf {
    let folder = folder.join(format!("seed-{}-{}", report.plan.seed, stage.tracked().name()));
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("report.txt", &format!("{}\n{}\n", report.plan, report.problems.join("\n")));
    write("source.log", &stage.source().log());
    write("destination.log", &stage.destination().log());
    for one in ended {
        write(&format!("worker-{}.log", one.number), &one.output.to_string());
    }
    let (source, changes) = stage.sessions().await;
    for (client, tables) in [(&source, &SOURCE_TABLES[..]), (&changes, &DESTINATION_TABLES[..])] {
        for table in tables {
            write(&format!("{table}.csv"), &csv(client, table).await);
        }
    }
    folder
}

async fn csv(client: &Client, table: &str) -> String {
    let copy = format!("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT csv, HEADER)");
    let chunks: Vec<_> = client.copy_out(&copy).await.unwrap().try_collect().await.unwrap();
    String::from_utf8_lossy(&chunks.concat()).into_owned()
}
