//! Erases page by page, each with the link that covers it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::json;
use tokio::sync::watch;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::statement::{CHANGES_AT_ONCE, Statement};
use super::{ErasedChanges, ErasureReport, failed, salts};
use crate::chain::{Covered, Head, Kind, Link, Piece, Place, Salts, append};
use crate::config::ChainKey;
use crate::error::WorkerError;
use crate::setup::append_only::LIFT;

/// An erasure at work.
pub(super) struct Pages<'a> {
    pub(super) client: &'a Client,
    pub(super) slot: &'a str,
    pub(super) key: Option<&'a ChainKey>,
    /// Whether there is a chain.
    pub(super) is_covered: bool,
    /// The record of the erasure.
    pub(super) id: i64,
}

/// A change that was erased.
pub(super) struct Erased {
    pub(super) id: Uuid,
    pub(super) place: Place,
    pub(super) day: Date,
    digest: Vec<u8>,
}

impl Pages<'_> {
    /// Erases until nothing is left; returns whether it was told to stop before.
    ///
    /// # Errors
    ///
    /// Those of the destination; the page at hand is not erased then.
    pub(super) async fn erase(
        &self,
        statement: &Statement,
        report: &mut ErasureReport,
        shutdown: watch::Receiver<bool>,
        mut tell: impl FnMut(i64) + Send,
    ) -> Result<bool, WorkerError> {
        let mut behind = (Place::MIN, Uuid::nil());
        let mut count = 0;
        while !*shutdown.borrow() {
            self.execute(&format!("BEGIN; {LIFT}")).await?;
            let rows = statement.erase(self.client, behind).await.map_err(failed)?;
            let mut page =
                rows.iter().map(erased).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            page.sort_unstable_by_key(|change| (change.place, change.id));
            let erased = i64::try_from(page.len()).unwrap_or(i64::MAX);
            if let Some(last) = page.last() {
                behind = (last.place, last.id);
            }
            self.client
                .execute(
                    "UPDATE bemi.erasures SET changes = changes + $2 WHERE id = $1",
                    &[&self.id, &erased],
                )
                .await
                .map_err(failed)?;
            if self.is_covered && !page.is_empty() {
                self.cover(&page).await?;
            }
            self.execute("COMMIT").await?;
            for row in &rows {
                note(report, row).map_err(failed)?;
            }
            count += erased;
            tell(count);
            if erased < CHANGES_AT_ONCE {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Covers changes as they are now, and lets nobody try what they were.
    async fn cover(&self, page: &[Erased]) -> Result<(), WorkerError> {
        salts::remove(self.client, self.slot, page).await.map_err(failed)?;
        let mut pieces: BTreeMap<Date, Piece> = BTreeMap::new();
        let mut salts = Salts::new().take(page.len())?.into_iter();
        for change in page {
            let salt = salts.next().ok_or(WorkerError::NoRandomBytes)?;
            let piece = pieces.entry(change.day).or_default();
            piece.push(change.id, change.place, salt, &change.digest);
        }
        let mut links = Vec::with_capacity(pieces.len());
        for (day, piece) in pieces {
            let row = self
                .client
                .query_one(
                    "INSERT INTO bemi.chain_rows (rows, salts) VALUES ($1, $2) RETURNING piece",
                    &[&piece.rows, &piece.salts],
                )
                .await
                .map_err(failed)?;
            let covered = Covered::of(&piece, row.try_get(0).map_err(failed)?);
            let note = json!({ "erasure": self.id }).to_string();
            links.push(Link::covering(Kind::Erased, day, covered, Some(note)));
        }
        let mut head = Head::lock(self.client, self.slot).await.map_err(failed)?;
        head.state.check_key(self.slot, self.key)?;
        append(self.client, &mut head, self.key, &links).await.map_err(failed)
    }

    async fn execute(&self, sql: &str) -> Result<(), WorkerError> {
        self.client.batch_execute(sql).await.map_err(failed)
    }
}

fn erased(row: &Row) -> Result<Erased, tokio_postgres::Error> {
    let place = Place { commit_position: row.try_get(1)?, sequence: row.try_get(2)? };
    Ok(Erased { id: row.try_get(0)?, place, day: row.try_get(3)?, digest: row.try_get(4)? })
}

fn note(report: &mut ErasureReport, row: &Row) -> Result<(), tokio_postgres::Error> {
    let (table, operation): (String, String) = (row.try_get(5)?, row.try_get(6)?);
    let same =
        |changes: &&mut ErasedChanges| changes.table == table && changes.operation == operation;
    match report.changes.iter_mut().find(same) {
        Some(changes) => changes.count += 1,
        None => report.changes.push(ErasedChanges { table, operation, count: 1 }),
    }
    Ok(())
}
