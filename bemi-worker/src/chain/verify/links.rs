//! The first look: every link, from the first to the last, each by its own hash and that of the one
//! before.
//!
//! Bounds: links are read by the page; what their rows are is hashed by the server.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use tokio_postgres::{Client, Error, Row};

use super::hex;
use super::report::{ChainHead, Finding, FindingKind};
use crate::chain::link::Covered;
use crate::chain::{Hash, HeadState, Kind, Link, Place};
use crate::config::ChainKey;

/// How many links are read at once.
const LINKS_AT_ONCE: i64 = 1_000;

/// What links say beside their rows.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) findings: Vec<Finding>,
    pub(super) links: u64,
    pub(super) is_keyed: bool,
    pub(super) head: Option<ChainHead>,
    /// Since when and until when what was stored was covered.
    pub(super) switches: Vec<Switch>,
    /// The days before this one may be gone.
    pub(super) expired_before: Option<Date>,
    /// Links up to this one went with them, and what may be left of them says nothing.
    pub(super) pruned_to: i64,
    /// The erasures that links tell of, with the link and the hash over the record of it.
    pub(super) erasures: Vec<(i64, i64, String)>,
}

/// Where covering began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    pub(super) begins: bool,
    /// Up to where changes were stored then.
    pub(super) position: i64,
    /// The commit position of the last rows of a baseline that were stored then.
    pub(super) baseline: i64,
}

#[derive(Deserialize)]
struct SwitchNote {
    position: i64,
    baseline: Option<i64>,
    goes_on: bool,
}

#[derive(Deserialize)]
struct ErasureNote {
    erasure: i64,
    record: String,
}

/// What retention notes down: the first day that is kept, and the last link that it removed with what is
/// older, so that the chain goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub(in crate::chain) struct ExpiredNote {
    pub(in crate::chain) before: Option<Date>,
    pub(in crate::chain) pruned_to: i64,
    pub(in crate::chain) pruned_hash: Option<String>,
}

/// A link as it is stored.
struct Found {
    number: i64,
    /// `None` where it is of no kind that is known.
    link: Option<Link>,
    is_keyed: bool,
    hash: Vec<u8>,
    /// The hash over the rows that are there.
    rows: Option<Vec<u8>>,
}

/// Walks along the chain, up to the head as it is said to be now.
///
/// # Errors
///
/// Those of the destination.
pub(super) async fn walk(
    client: &Client,
    slot: &str,
    head: &HeadState,
    key: Option<&ChainKey>,
    kept: Option<&ChainHead>,
) -> Result<Told, Error> {
    let mut walk = Walk { slot, key, kept, told: Told::default(), number: 0, hash: None };
    let expired = last_expired(client, slot).await?;
    walk.told.expired_before = expired.before;
    walk.told.pruned_to = expired.pruned_to;
    walk.number = expired.pruned_to;
    walk.hash = expired.pruned_hash.as_deref().and_then(hash_of);
    while walk.number < head.number {
        let page = read(client, slot, walk.number, head.number).await?;
        if page.is_empty() {
            break;
        }
        for found in page {
            walk.take(found);
        }
    }
    walk.end(head);
    Ok(walk.told)
}

struct Walk<'a> {
    slot: &'a str,
    key: Option<&'a ChainKey>,
    kept: Option<&'a ChainHead>,
    told: Told,
    /// Of the last link.
    number: i64,
    hash: Option<Hash>,
}

impl Walk<'_> {
    fn take(&mut self, found: Found) {
        let number = found.number;
        if number > self.number + 1 {
            self.missing(self.number + 1, number - 1);
            // Its own hash is over one that nobody knows any more.
            self.hash = None;
        } else {
            self.check(&found);
        }
        if let Some(kept) = self.kept.filter(|kept| kept.number == number)
            && kept.hash != hex(&found.hash)
        {
            let what = format!(
                "link {number} is not the one that was kept as {kept}: the chain was made anew"
            );
            self.find(FindingKind::OtherHead, number, what);
        }
        self.told.links += 1;
        if let Some(link) = &found.link {
            self.note(number, link);
        }
        self.number = number;
        self.hash = found.hash.as_slice().try_into().ok();
    }

    /// Whether a link is what it was when it was made.
    fn check(&mut self, found: &Found) {
        let number = found.number;
        let Some(link) = &found.link else {
            let what = format!("link {number} is none that a worker makes");
            return self.find(FindingKind::AlteredLink, number, what);
        };
        // Where the key came later, links before it have none.
        if self.told.is_keyed && !found.is_keyed {
            let what = format!("link {number} was made without the key");
            self.find(FindingKind::AlteredLink, number, what);
        } else {
            let key = if found.is_keyed { self.key } else { None };
            let hash = link.hash(self.slot, number, self.hash.as_ref(), key);
            if hash.as_slice() != found.hash {
                let what = format!(
                    "link {number} ({}) is not as it was made, or not behind the link that is before it",
                    link.kind.text()
                );
                self.find(FindingKind::AlteredLink, number, what);
            }
        }
        self.told.is_keyed |= found.is_keyed;
        let Some(covered) = &link.covered else { return };
        let is_expired = self.told.expired_before.is_some_and(|before| link.day < before);
        let is_there = found.rows.as_deref() == Some(covered.digest.as_slice());
        let went = is_expired && found.rows.is_none();
        if !is_there && !went {
            let how = if found.rows.is_some() { "altered" } else { "not there" };
            let what = format!("which rows link {number} covers is {how}, in bemi.chain_rows");
            self.find(FindingKind::AlteredRows, number, what);
        }
    }

    fn note(&mut self, number: i64, link: &Link) {
        let Some(note) = &link.note else { return };
        match link.kind {
            Kind::Begin | Kind::End => {
                let Ok(note) = serde_json::from_str::<SwitchNote>(note) else { return };
                let begins = link.kind == Kind::Begin;
                if !(begins && note.goes_on) {
                    self.told.switches.push(Switch {
                        begins,
                        position: note.position,
                        baseline: note.baseline.unwrap_or(i64::MIN),
                    });
                }
            }
            Kind::Erasure => {
                if let Ok(note) = serde_json::from_str::<ErasureNote>(note) {
                    self.told.erasures.push((number, note.erasure, note.record));
                }
            }
            Kind::Rows | Kind::Erased | Kind::Expired => {}
        }
    }

    fn end(&mut self, head: &HeadState) {
        if self.number < head.number {
            self.missing(self.number + 1, head.number);
        } else if self.hash.as_ref().map(<[u8; 32]>::as_slice) != head.hash.as_deref() {
            let what =
                format!("the head in bemi.chain_heads is not the hash of link {}", head.number);
            self.find(FindingKind::AlteredLink, head.number, what);
        }
        if let Some(kept) = self.kept.filter(|kept| kept.number > head.number) {
            let what = format!(
                "link {} was kept, and the chain ends with link {}: its end was cut off",
                kept.number, head.number
            );
            self.find(FindingKind::OtherHead, head.number, what);
        }
        if self.key.is_some() && !self.told.is_keyed {
            let what = "a key is given, and no link was made with it: the chain was made anew, or the worker has not run with the key yet";
            self.find(FindingKind::AlteredLink, head.number, what.to_owned());
        }
        self.told.head =
            head.hash.as_deref().map(|hash| ChainHead { number: head.number, hash: hex(hash) });
    }

    fn missing(&mut self, first: i64, last: i64) {
        let what = if first == last {
            format!("link {first} is not there")
        } else {
            format!("links {first} to {last} are not there")
        };
        self.find(FindingKind::MissingLink, first, what);
    }

    fn find(&mut self, kind: FindingKind, link: i64, what: String) {
        if self.told.findings.len() < super::FINDINGS_MAX {
            self.told.findings.push(Finding { kind, link: Some(link), change: None, what });
        }
    }
}

/// The last that retention has noted down, which has all that it noted down before.
pub(in crate::chain) async fn last_expired(
    client: &Client,
    slot: &str,
) -> Result<ExpiredNote, Error> {
    let row = client
        .query_opt(
            "SELECT note FROM bemi.chain WHERE slot = $1 AND kind = 'expired' \
               AND number <= (SELECT h.number FROM bemi.chain_heads AS h WHERE h.slot = $1) \
             ORDER BY number DESC LIMIT 1",
            &[&slot],
        )
        .await?;
    let note: Option<String> = row.map(|row| row.try_get(0)).transpose()?.flatten();
    Ok(note.and_then(|note| serde_json::from_str(&note).ok()).unwrap_or_default())
}

async fn read(client: &Client, slot: &str, behind: i64, upto: i64) -> Result<Vec<Found>, Error> {
    let rows = client
        .query(
            "SELECT l.number, l.kind, l.day, l.first_commit_position, l.first_sequence, \
                    l.last_commit_position, l.last_sequence, l.row_count, l.piece, l.rows_digest, \
                    l.note, l.made_at, l.is_keyed, l.hash, pg_catalog.sha256(r.rows) \
             FROM bemi.chain AS l LEFT JOIN bemi.chain_rows AS r ON r.piece = l.piece \
             WHERE l.slot = $1 AND l.number > $2 AND l.number <= $3 ORDER BY l.number LIMIT $4",
            &[&slot, &behind, &upto, &LINKS_AT_ONCE],
        )
        .await?;
    rows.iter().map(found).collect()
}

fn found(row: &Row) -> Result<Found, Error> {
    let kind: &str = row.try_get(1)?;
    let (day, note, made_at): (Date, Option<String>, Timestamp) =
        (row.try_get(2)?, row.try_get(10)?, row.try_get(11)?);
    let covered = covered(row)?;
    let link = Kind::of_text(kind).map(|kind| Link { kind, day, covered, note, made_at });
    Ok(Found {
        number: row.try_get(0)?,
        link,
        is_keyed: row.try_get(12)?,
        hash: row.try_get(13)?,
        rows: row.try_get(14)?,
    })
}

/// The rows of a link, if it says all of them.
fn covered(row: &Row) -> Result<Option<Covered>, Error> {
    let number = |index: usize| row.try_get::<_, Option<i64>>(index);
    let count: Option<i32> = row.try_get(7)?;
    let digest: Option<&[u8]> = row.try_get(9)?;
    let digest = digest.and_then(|digest| digest.try_into().ok());
    let place = |commit_position: Option<i64>, sequence: Option<i64>| {
        Some(Place { commit_position: commit_position?, sequence: sequence? })
    };
    let (first, last) = (place(number(3)?, number(4)?), place(number(5)?, number(6)?));
    Ok(match (number(8)?, first, last, count, digest) {
        (Some(piece), Some(first), Some(last), Some(row_count), Some(digest)) => {
            Some(Covered { piece, first, last, row_count, digest })
        }
        _ => None,
    })
}

fn hash_of(hex: &str) -> Option<Hash> {
    let bytes = hex.as_bytes();
    let mut hash = [0; 32];
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    if pairs.len() != hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
