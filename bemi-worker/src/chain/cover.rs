//! Covers rows as they are stored.

use std::collections::BTreeMap;

use bemi_core::changes_table::TABLE;
use jiff::Timestamp;
use jiff::civil::Date;
use postgres_protocol::escape::escape_identifier;
use rustls::crypto::{SecureRandom, ring};
use serde_json::json;
use tokio_postgres::{Client, Statement};
use tracing::{info, warn};
use uuid::Uuid;

use super::link::Covered;
use super::{Head, HeadState, Kind, Link, Piece, Place, SALT_BYTES, append, digest_of};
use crate::config::{ChainKey, Config};
use crate::error::WorkerError;
use crate::render::{COPY_COLUMNS, POSTGRES_EPOCH_MICROSECONDS, read_row};

/// The chain of a slot, while what is stored is to be covered.
pub(crate) struct Chain {
    slot: String,
    key: Option<ChainKey>,
    /// Reads the digests of what the open transaction has stored.
    digests: Statement,
    insert: Statement,
    salts: Salts,
    /// The links of the open transaction; their rows are in the destination already.
    pending: Vec<Link>,
}

/// Where random salts come from.
pub(crate) struct Salts(&'static dyn SecureRandom);

/// Which rows were stored.
struct Span {
    first: Place,
    last: Place,
    earliest: Timestamp,
    latest: Timestamp,
}

impl Chain {
    /// Opens the chain of the configuration's slot; `None` where nothing is to be covered. What is
    /// stored is covered from here on, which the first one to open it writes down, as the end of it.
    ///
    /// # Errors
    ///
    /// [`WorkerError::ChainKey`] when it is not the key of the chain; those of the destination.
    pub(crate) async fn open(
        client: &Client,
        config: &Config,
    ) -> Result<Option<Self>, WorkerError> {
        let (slot, key) = (config.slot.as_str(), config.chain_key.as_ref());
        let Some(state) = HeadState::read(client, slot).await.map_err(failed)? else {
            return Ok(None);
        };
        if !state.is_wanted && !state.is_covering {
            return Ok(None);
        }
        state.check_key(slot, key)?;
        if state.is_wanted != state.is_covering || state.gets_key(key) {
            switch(client, slot, key).await?;
        }
        if !state.is_wanted {
            return Ok(None);
        }
        // The rows are looked up in the order of commits, whatever the server thinks of a table that it
        // has no statistics of: any other way might read all of it.
        client
            .batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET jit = off")
            .await
            .map_err(failed)?;
        let digests = client.prepare(&digests(&config.changes_schema)).await.map_err(failed)?;
        let insert = client
            .prepare("INSERT INTO bemi.chain_rows (rows, salts) VALUES ($1, $2) RETURNING piece")
            .await
            .map_err(failed)?;
        let (slot, key) = (slot.to_owned(), config.chain_key.clone());
        let (salts, pending) = (Salts::new(), Vec::new());
        Ok(Some(Self { slot, key, digests, insert, salts, pending }))
    }

    /// Whether setup has turned tamper evidence on or off since a worker opened it as `is_open` says.
    ///
    /// # Errors
    ///
    /// Those of the destination.
    pub(crate) async fn is_switched(
        client: &Client,
        slot: &str,
        is_open: bool,
    ) -> Result<bool, WorkerError> {
        let state = HeadState::read(client, slot).await.map_err(failed)?;
        Ok(state.is_some_and(|state| state.is_wanted) != is_open)
    }

    /// Covers the rows that were copied in the open transaction: `rows` as COPY took them, each up to
    /// where `ends` says; `refused` of them are not there.
    ///
    /// # Errors
    ///
    /// Those of the destination; the transaction is to be given up then.
    pub(crate) async fn cover(
        &mut self,
        client: &Client,
        rows: &[u8],
        ends: &[usize],
        refused: usize,
    ) -> Result<(), WorkerError> {
        let Some(span) = Span::of(rows, ends) else { return Ok(()) };
        let found = client
            .query(
                &self.digests,
                &[
                    &span.first.commit_position,
                    &span.first.sequence,
                    &span.last.commit_position,
                    &span.last.sequence,
                    &span.earliest,
                    &span.latest,
                ],
            )
            .await
            .map_err(failed)?;
        let missing = ends.len().saturating_sub(refused).saturating_sub(found.len());
        if missing > 0 {
            warn!(
                missing,
                "changes are not there behind COPY, and cannot be covered; a trigger or a rule on changes keeps them out"
            );
        }
        let mut pieces: BTreeMap<Date, Piece> = BTreeMap::new();
        let mut salts = self.salts.take(found.len())?.into_iter();
        for row in &found {
            let id: Uuid = row.try_get(0).map_err(failed)?;
            let commit_position = row.try_get(1).map_err(failed)?;
            let sequence = row.try_get(2).map_err(failed)?;
            let day: Date = row.try_get(3).map_err(failed)?;
            let digest: &[u8] = row.try_get(4).map_err(failed)?;
            let salt = salts.next().ok_or(WorkerError::NoRandomBytes)?;
            let place = Place { commit_position, sequence };
            pieces.entry(day).or_default().push(id, place, salt, digest);
        }
        for (day, piece) in pieces {
            let row = client
                .query_one(&self.insert, &[&piece.rows, &piece.salts])
                .await
                .map_err(failed)?;
            let covered = Covered::of(&piece, row.try_get(0).map_err(failed)?);
            self.pending.push(Link::covering(Kind::Rows, day, covered, None));
        }
        Ok(())
    }

    /// Adds the links of the open transaction, which is about to be committed, to the chain.
    ///
    /// # Errors
    ///
    /// [`WorkerError::TamperEvidenceSwitched`] when it was turned off meanwhile; those of the destination.
    pub(crate) async fn seal(&mut self, client: &Client) -> Result<(), WorkerError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut head = Head::lock(client, &self.slot).await.map_err(failed)?;
        if !head.state.is_covering || head.state.gets_key(self.key.as_ref()) {
            return Err(WorkerError::TamperEvidenceSwitched { slot: self.slot.clone() });
        }
        head.state.check_key(&self.slot, self.key.as_ref())?;
        append(client, &mut head, self.key.as_ref(), &self.pending).await.map_err(failed)?;
        self.pending.clear();
        Ok(())
    }

    /// Forgets the links of a transaction that is rolled back.
    pub(crate) fn forget(&mut self) {
        self.pending.clear();
    }
}

/// Writes down that covering begins, goes on with a key, or ends; in a transaction of its own.
async fn switch(client: &Client, slot: &str, key: Option<&ChainKey>) -> Result<(), WorkerError> {
    client.batch_execute("BEGIN").await.map_err(failed)?;
    let mut head = Head::lock(client, slot).await.map_err(failed)?;
    head.state.check_key(slot, key)?;
    let HeadState { is_wanted, is_covering, .. } = head.state;
    if is_wanted != is_covering || head.state.gets_key(key) {
        let position = client
            .query_one(
                "SELECT position, (SELECT max(b.position) FROM bemi.backfill b WHERE b.slot = c.slot) \
                 FROM bemi.checkpoint c WHERE c.slot = $1",
                &[&slot],
            )
            .await
            .map_err(failed)?;
        let (stored, baseline): (i64, Option<i64>) =
            (position.try_get(0).map_err(failed)?, position.try_get(1).map_err(failed)?);
        let note = json!({ "position": stored, "baseline": baseline, "goes_on": is_covering });
        let kind = if is_wanted { Kind::Begin } else { Kind::End };
        head.state.is_covering = is_wanted;
        let links = [Link::noting(kind, note.to_string())];
        append(client, &mut head, key, &links).await.map_err(failed)?;
        let (link, is_keyed) = (head.state.number, key.is_some());
        if is_wanted {
            info!(link, is_keyed, "tamper evidence is on: what is stored is covered from here on");
        } else {
            warn!(link, "tamper evidence is off: what is stored is not covered any more");
        }
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}

impl Salts {
    pub(crate) fn new() -> Self {
        Self(ring::default_provider().secure_random)
    }

    /// That many salts.
    ///
    /// # Errors
    ///
    /// [`WorkerError::NoRandomBytes`] when the system has none.
    pub(crate) fn take(&self, count: usize) -> Result<Vec<[u8; SALT_BYTES]>, WorkerError> {
        let mut salts = vec![[0; SALT_BYTES]; count];
        self.0.fill(salts.as_flattened_mut()).map_err(|_| WorkerError::NoRandomBytes)?;
        Ok(salts)
    }
}

impl Span {
    /// From the bytes that COPY was given.
    fn of(rows: &[u8], ends: &[usize]) -> Option<Self> {
        let index = |column: &str| COPY_COLUMNS.iter().position(|name| *name == column);
        let [at, commit, sequence] =
            [index("committed_at")?, index("commit_position")?, index("sequence")?];
        let mut span: Option<Self> = None;
        let mut start = 0;
        for &end in ends {
            let mut values = read_row(rows.get(start..end)?);
            let mut next = |skipped: usize| -> Option<i64> {
                Some(i64::from_be_bytes(values.nth(skipped)??.try_into().ok()?))
            };
            let microseconds = next(at)? + POSTGRES_EPOCH_MICROSECONDS;
            let committed_at = Timestamp::from_microsecond(microseconds).ok()?;
            let commit_position = next(commit - at - 1)?;
            let place = Place { commit_position, sequence: next(sequence - commit - 1)? };
            let span = span.get_or_insert(Self {
                first: place,
                last: place,
                earliest: committed_at,
                latest: committed_at,
            });
            span.first = span.first.min(place);
            span.last = span.last.max(place);
            span.earliest = span.earliest.min(committed_at);
            span.latest = span.latest.max(committed_at);
            start = end;
        }
        span
    }
}

/// What the open transaction has stored, by the time at which it began. What another one has stored at the
/// same places is covered twice, should it ever be among it, which does no harm.
fn digests(schema: &str) -> String {
    format!(
        "SELECT c.id, c.commit_position, c.sequence, (c.committed_at AT TIME ZONE 'UTC')::date, {} \
         FROM {}.{TABLE} AS c \
         WHERE (c.commit_position, c.sequence) >= ($1, $2) \
           AND (c.commit_position, c.sequence) <= ($3, $4) \
           AND c.committed_at >= $5 AND c.committed_at <= $6 AND c.created_at >= pg_catalog.now() \
         ORDER BY c.commit_position, c.sequence",
        digest_of("c"),
        escape_identifier(schema)
    )
}

fn failed(error: tokio_postgres::Error) -> WorkerError {
    WorkerError::database("cover what is stored by the chain in the destination")(error)
}
