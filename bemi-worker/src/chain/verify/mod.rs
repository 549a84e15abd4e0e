//! Verifies what is stored against the chain.
//!
//! ```text
//! links    each by its hash and that of the one before      what was done to the chain
//! rows     changes in the order of commits beside links     what was done to changes
//! records  of erasures, as links have them                  what was done to these
//! ```
//!
//! It reads the destination alone and changes nothing. Every statement is short: nothing is kept from
//! vacuum or retention, and storing, erasing and dropping go on meanwhile.
//!
//! What it believes: that the server computes what it is asked to. Invariant: what is told as tampering was
//! seen in one snapshot.

mod links;
mod look;
mod report;
mod rows;

use std::fmt::Write as _;

use bemi_core::Origin;
use serde::Serialize;
use tokio_postgres::{Client, Error};

pub(in crate::chain) use self::links::last_expired;
pub use self::report::{ChainHead, ChangePlace, Finding, FindingKind, VerifyReport};
use self::rows::Rows;
use super::HeadState;
use crate::config::{ChainKey, ConnectionConfig, SlotName};
use crate::error::WorkerError;

/// How much tampering is told: with more there is nothing left to learn.
const FINDINGS_MAX: usize = 100;

/// Where the chain is, and what it is made with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Chained {
    /// The database that holds `changes`.
    pub destination: ConnectionConfig,
    /// The schema of `changes`.
    pub changes_schema: String,
    /// The slot whose changes are covered.
    pub slot: SlotName,
    /// What links are made with, if anything.
    pub key: Option<ChainKey>,
}

impl Chained {
    /// The chain of the default slot, made without a key.
    #[must_use]
    pub fn new(destination: ConnectionConfig) -> Self {
        let (slot, changes_schema) = (SlotName::default(), "public".to_owned());
        Self { destination, changes_schema, slot, key: None }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum VerifyEvent {
    /// The links are verified; that many.
    Links(u64),
    /// That many changes were looked at so far.
    Changes(u64),
}

/// Verifies what is stored. `kept` is a head of the chain that was kept elsewhere; `tell` hears how far it
/// is.
///
/// # Errors
/// [`WorkerError::NoChain`] where tamper evidence was never turned on, [`WorkerError::ChainKey`] where it is
/// another key; [`WorkerError::Connect`] and [`WorkerError::Database`] when the destination refuses.
///
/// # Cancellation
/// Safe: nothing is changed.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::chain::{Chained, verify};
///
/// let chained = Chained::new("postgres://postgres@localhost/audit".parse()?);
/// let report = verify(&chained, None, |_| ()).await?;
/// assert!(report.findings.is_empty(), "{:?}", report.findings);
/// # Ok(())
/// # }
/// ```
pub async fn verify(
    chained: &Chained,
    kept: Option<&ChainHead>,
    mut tell: impl FnMut(VerifyEvent) + Send,
) -> Result<VerifyReport, WorkerError> {
    let Chained { destination, changes_schema, slot, key } = chained;
    let client = destination.connect().await?;
    prepare(&client).await.map_err(failed)?;
    let slot = slot.as_str();
    let head = HeadState::read(&client, slot).await.map_err(failed)?;
    let Some(head) = head.filter(|head| head.number > 0) else {
        return Err(WorkerError::NoChain { slot: slot.to_owned() });
    };
    head.check_key(slot, key.as_ref())?;
    let mut told = links::walk(&client, slot, &head, key.as_ref(), kept).await.map_err(failed)?;
    tell(VerifyEvent::Links(told.links));
    let mut report = VerifyReport {
        slot: slot.to_owned(),
        is_covering: head.is_covering,
        is_keyed: told.is_keyed,
        head: told.head.clone(),
        links: told.links,
        findings: std::mem::take(&mut told.findings),
        ..VerifyReport::default()
    };
    check_erasures(&client, &told, &mut report).await.map_err(failed)?;
    report.is_cut_short = report.findings.len() >= FINDINGS_MAX;
    if !report.is_cut_short {
        let origins = origins(&client, slot).await.map_err(failed)?;
        Rows::new(&client, slot, changes_schema, &told, head.number, origins)
            .walk(&mut report, |count| tell(VerifyEvent::Changes(count)))
            .await
            .map_err(failed)?;
    }
    Ok(report)
}

/// How it shows in `pg_stat_activity`, so that nobody takes it for a worker that stores; and that it reads
/// in the order of the index, whatever the server knows of the table.
async fn prepare(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(
            "SET application_name = 'bemi-worker verify'; SET statement_timeout = 0; \
             SET default_transaction_read_only = on; \
             SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off",
        )
        .await
}

/// Whether the records of erasures are as links have them.
async fn check_erasures(
    client: &Client,
    told: &links::Told,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    for (link, erasure, record) in &told.erasures {
        let found = client
            .query_opt(
                &format!("SELECT {ERASURE_DIGEST} FROM bemi.erasures AS e WHERE e.id = $1"),
                &[erasure],
            )
            .await?
            .map(|row| row.try_get::<_, Vec<u8>>(0))
            .transpose()?;
        let how = match found {
            Some(digest) if hex(&digest) == *record => continue,
            Some(_) => "is not as it was written",
            None => "is not there",
        };
        let what = format!("the record of erasure {erasure}, in bemi.erasures, {how}");
        let kind = FindingKind::AlteredErasure;
        report.findings.push(Finding { kind, link: Some(*link), change: None, what });
    }
    Ok(())
}

/// The digest of what the record of an erasure says from its beginning on.
pub(crate) const ERASURE_DIGEST: &str = "pg_catalog.sha256(pg_catalog.record_send(ROW(\
     e.id, e.slot, e.selection, e.reason, e.erased_by, e.began_at)))";

/// Where changes of this slot, and of the other ones, come from: the ids of changes say it. A cluster may
/// have been on any timeline up to its own.
async fn origins(client: &Client, slot: &str) -> Result<(Vec<Origin>, Vec<Origin>), Error> {
    let rows = client
        .query("SELECT slot, system_identifier, timeline, database FROM bemi.checkpoint", &[])
        .await?;
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for row in &rows {
        let of: &str = row.try_get(0)?;
        let identifier = row.try_get::<_, &str>(1)?.parse().unwrap_or(0);
        let timeline = u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0);
        let database = row.try_get(3)?;
        let origins = (1..=timeline).map(|timeline| Origin::new(identifier, timeline, database));
        if of == slot { &mut ours } else { &mut others }.extend(origins);
    }
    Ok((ours, others))
}

/// In hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn failed(error: Error) -> WorkerError {
    WorkerError::database("verify what is stored in the destination")(error)
}
