//! The second look: every change, in the order of commits, beside the links that cover it.
//!
//! ```text
//! changes   ──●──●──●──●──────●──●──▶      a page at a time
//! links     ├─────────┤├──┤ ├─────┤        open while the page is in them
//! ```
//!
//! A change that is in no open link, or is not as its link says, and an entry of a link that no change
//! came for, are suspects: what is stored may have been added to or erased between the two readings. Each
//! is looked at again alone, both sides in one snapshot, before it is told.
//!
//! Bounds: a page of changes, and the entries of the links that are open, [`ENTRIES_OPEN_MAX`] unless more
//! lie over one another.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bemi_core::changes_table::TABLE;
use bemi_core::{CommitPosition, Lsn, Origin, Sequence};
use jiff::Timestamp;
use jiff::civil::Date;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use super::FINDINGS_MAX;
use super::links::Told;
use super::look::{Seen, Verdict, look};
use super::report::{ChangePlace, Finding, FindingKind, VerifyReport};
use crate::chain::link::utc_day;
use crate::chain::{Hash, Kind, Piece, Place, SALT_BYTES, digest_of, leaf};

/// How many changes are read at once.
const CHANGES_AT_ONCE: i64 = 10_000;

/// How many links are looked up at once, and how many of their rows are read at once.
const LINKS_AT_ONCE: i64 = 1_000;
const ROWS_AT_ONCE: i64 = 20_000;

/// How many entries may be open before changes are looked at first.
const ENTRIES_OPEN_MAX: usize = 200_000;

/// What a link says of a change.
struct Expected {
    place: Place,
    leaf: Hash,
    salt: Option<[u8; SALT_BYTES]>,
    /// The link, the newest that says something of it.
    link: i64,
    is_erased: bool,
    /// The link with which it is forgotten: the first that said something of it.
    owner: i64,
    day: Date,
    is_seen: bool,
}

/// A change as it is stored.
struct Change {
    id: Uuid,
    place: Place,
    committed_at: Timestamp,
    is_snapshot: bool,
    digest: Vec<u8>,
}

/// A link whose rows are to be read.
struct Next {
    number: i64,
    kind: Kind,
    day: Date,
    first: Place,
    last: Place,
    rows: i64,
    piece: i64,
}

pub(super) struct Rows<'a> {
    client: &'a Client,
    slot: &'a str,
    schema: &'a str,
    told: &'a Told,
    /// Links up to this one: what comes later is being stored now.
    upto: i64,
    /// Where the changes of this slot come from, on each timeline so far.
    origins: Vec<Origin>,
    /// Where those of other slots do.
    others: Vec<Origin>,
    open: HashMap<Uuid, Expected>,
    /// The open links, by where they end, and what goes with each.
    ends: BTreeMap<(Place, i64), Vec<Uuid>>,
    /// Links that are to be opened next.
    next: VecDeque<Next>,
    behind: Option<(Place, i64)>,
    has_more_links: bool,
    /// What was told already: a change that was moved is found at both places.
    found: HashSet<Uuid>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        client: &'a Client,
        slot: &'a str,
        schema: &'a str,
        told: &'a Told,
        upto: i64,
        (origins, others): (Vec<Origin>, Vec<Origin>),
    ) -> Self {
        Self {
            client,
            slot,
            schema,
            told,
            upto,
            origins,
            others,
            open: HashMap::new(),
            ends: BTreeMap::new(),
            next: VecDeque::new(),
            behind: None,
            has_more_links: true,
            found: HashSet::new(),
        }
    }

    /// Looks at all changes; `tell` hears how many it were so far.
    ///
    /// # Errors
    ///
    /// Those of the destination.
    pub(super) async fn walk(
        &mut self,
        report: &mut VerifyReport,
        mut tell: impl FnMut(u64) + Send,
    ) -> Result<(), Error> {
        let statement = self.client.prepare(&page(self.schema)).await?;
        let mut behind = (Place::MIN, Uuid::nil());
        let mut count = 0;
        loop {
            let (place, id) = behind;
            let rows = self
                .client
                .query(
                    &statement,
                    &[&place.commit_position, &place.sequence, &id, &CHANGES_AT_ONCE],
                )
                .await?;
            let is_last = i64::try_from(rows.len()).unwrap_or(i64::MAX) < CHANGES_AT_ONCE;
            let changes = rows.iter().map(change).collect::<Result<Vec<_>, Error>>()?;
            count += changes.len() as u64;
            if let Some(last) = changes.last() {
                behind = (last.place, last.id);
            }
            let mut changes = changes.into_iter().peekable();
            loop {
                // Up to where every link is open that has something there.
                let upto = self.open_links((!is_last).then_some(behind.0)).await?;
                while let Some(change) =
                    changes.next_if(|change| upto.is_none_or(|upto| change.place < upto))
                {
                    self.check(&change, report).await?;
                    if report.is_cut_short {
                        return Ok(());
                    }
                }
                let before = upto.or((!is_last).then_some(behind.0));
                self.close(before, report).await?;
                if report.is_cut_short {
                    return Ok(());
                }
                if upto.is_none() {
                    break;
                }
            }
            tell(count);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Opens links that begin at `upto` or before. Returns where the next one begins, if there was no
    /// room for it.
    async fn open_links(&mut self, upto: Option<Place>) -> Result<Option<Place>, Error> {
        let mut opened = false;
        loop {
            if self.next.is_empty() && self.has_more_links {
                self.look_up().await?;
            }
            let Some(next) = self.next.front() else { return Ok(None) };
            if upto.is_some_and(|upto| next.first > upto) {
                return Ok(None);
            }
            if opened && self.open.len() >= ENTRIES_OPEN_MAX {
                return Ok(Some(next.first));
            }
            opened = true;
            self.open_some(upto).await?;
        }
    }

    /// Looks up which links come next in the order of their rows.
    async fn look_up(&mut self) -> Result<(), Error> {
        let (place, number) = self.behind.unwrap_or((Place::MIN, 0));
        let rows = self
            .client
            .query(
                "SELECT number, kind, day, first_commit_position, first_sequence, \
                        last_commit_position, last_sequence, row_count::bigint, piece \
                 FROM bemi.chain \
                 WHERE slot = $1 AND piece IS NOT NULL AND number <= $5 AND number > $7 \
                   AND (first_commit_position, first_sequence, number) > ($2, $3, $4) \
                 ORDER BY first_commit_position, first_sequence, number LIMIT $6",
                &[
                    &self.slot,
                    &place.commit_position,
                    &place.sequence,
                    &number,
                    &self.upto,
                    &LINKS_AT_ONCE,
                    &self.told.pruned_to,
                ],
            )
            .await?;
        self.has_more_links = i64::try_from(rows.len()).unwrap_or(i64::MAX) == LINKS_AT_ONCE;
        for row in &rows {
            let place = |commit: usize, sequence: usize| -> Result<Place, Error> {
                Ok(Place {
                    commit_position: row.try_get(commit)?,
                    sequence: row.try_get(sequence)?,
                })
            };
            let number = row.try_get(0)?;
            let (first, last) = (place(3, 4)?, place(5, 6)?);
            self.behind = Some((first, number));
            let Some(kind) = Kind::of_text(row.try_get(1)?) else { continue };
            let (day, rows, piece) = (row.try_get(2)?, row.try_get(7)?, row.try_get(8)?);
            self.next.push_back(Next { number, kind, day, first, last, rows, piece });
        }
        Ok(())
    }

    /// Reads the rows of one link or more, and opens them.
    async fn open_some(&mut self, upto: Option<Place>) -> Result<(), Error> {
        let (mut links, mut rows) = (Vec::new(), 0);
        while let Some(next) = self.next.front() {
            let is_beyond = upto.is_some_and(|upto| next.first > upto);
            if is_beyond || (!links.is_empty() && rows + next.rows > ROWS_AT_ONCE) {
                break;
            }
            rows += next.rows;
            links.extend(self.next.pop_front());
        }
        let pieces: Vec<i64> = links.iter().map(|link| link.piece).collect();
        let read = self
            .client
            .query(
                "SELECT piece, rows, salts FROM bemi.chain_rows WHERE piece = ANY ($1)",
                &[&pieces],
            )
            .await?;
        let mut read_rows = HashMap::new();
        for row in &read {
            let bytes: (&[u8], &[u8]) = (row.try_get(1)?, row.try_get(2)?);
            read_rows.insert(row.try_get::<_, i64>(0)?, bytes);
        }
        for link in &links {
            // Where they are not there, the first look has said so, or they have expired.
            let Some((rows, salts)) = read_rows.get(&link.piece) else { continue };
            self.open(link, rows, salts);
        }
        Ok(())
    }

    fn open(&mut self, link: &Next, rows: &[u8], salts: &[u8]) {
        let mut owned = Vec::new();
        for (entry, salt) in Piece::entries(rows, salts) {
            let is_erased = link.kind == Kind::Erased;
            let expected = self.open.entry(entry.id).or_insert_with(|| {
                owned.push(entry.id);
                Expected {
                    place: entry.place,
                    leaf: entry.leaf,
                    salt,
                    link: link.number,
                    is_erased,
                    owner: link.number,
                    day: link.day,
                    is_seen: false,
                }
            });
            if expected.link < link.number {
                (expected.leaf, expected.salt, expected.link) = (entry.leaf, salt, link.number);
                expected.is_erased |= is_erased;
            }
        }
        self.ends.insert((link.last, link.number), owned);
    }

    /// Closes links that end before `before`; what no change came for is not there any more.
    async fn close(
        &mut self,
        before: Option<Place>,
        report: &mut VerifyReport,
    ) -> Result<(), Error> {
        while let Some(end) = self.ends.first_entry() {
            let (last, number) = *end.key();
            if before.is_some_and(|before| last >= before) {
                return Ok(());
            }
            for id in end.remove() {
                // It may be that a later link has it, too, and goes on having it.
                let Some(expected) = self.open.get(&id) else { continue };
                if expected.owner != number {
                    continue;
                }
                let Some(expected) = self.open.remove(&id) else { continue };
                if expected.is_seen {
                    continue;
                }
                if self.is_expired(expected.day) {
                    report.expired += 1;
                    continue;
                }
                let seen = self.look(id, expected.day, expected.place).await?;
                self.conclude(seen, id, expected.place, report);
                if report.is_cut_short {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Compares a change with what its link says.
    async fn check(&mut self, change: &Change, report: &mut VerifyReport) -> Result<(), Error> {
        if let Some(expected) = self.open.get_mut(&change.id) {
            expected.is_seen = true;
            let salt = expected.salt.unwrap_or_default();
            if expected.place == change.place && leaf(&salt, &change.digest) == expected.leaf {
                report.verified += 1;
                report.erased += u64::from(expected.is_erased);
                return Ok(());
            }
        } else if self.is_expired(utc_day(change.committed_at)) {
            // It will go with the others of its day.
            report.expired += 1;
            return Ok(());
        } else if !is_of(&self.origins, change) && is_of(&self.others, change) {
            report.others += 1;
            return Ok(());
        } else if self.is_uncovered(change) {
            report.uncovered += 1;
            return Ok(());
        }
        let day = utc_day(change.committed_at);
        let seen = self.look(change.id, day, change.place).await?;
        self.conclude(seen, change.id, change.place, report);
        Ok(())
    }

    fn is_expired(&self, day: Date) -> bool {
        self.told.expired_before.is_some_and(|before| day < before)
    }

    /// Whether it was stored while nothing was covered, as far as its place tells.
    fn is_uncovered(&self, change: &Change) -> bool {
        let mut is_covered = false;
        for switch in &self.told.switches {
            if switch.begins
                && change.is_snapshot
                && change.place.commit_position <= switch.baseline
            {
                return true;
            }
            if change.place.commit_position < switch.position {
                return !is_covered;
            }
            is_covered = switch.begins;
        }
        !is_covered
    }

    async fn look(&self, id: Uuid, day: Date, place: Place) -> Result<Seen, Error> {
        let pruned_to = self.told.pruned_to;
        look(self.client, (self.slot, pruned_to), self.schema, id, day, place).await
    }

    /// Tells what is certain now.
    fn conclude(&mut self, seen: Seen, id: Uuid, place: Place, report: &mut VerifyReport) {
        let place = seen.place.unwrap_or(place);
        let (kind, what) = match seen.verdict {
            Verdict::Fine { is_erased } => {
                report.verified += 1;
                report.erased += u64::from(is_erased);
                return;
            }
            // It is not there any more, and nothing says that it should be.
            Verdict::Gone => return,
            Verdict::Altered => (FindingKind::AlteredChange, "is not as it was stored"),
            Verdict::Missing => (FindingKind::MissingChange, "was stored, and is not there"),
            Verdict::Inserted => {
                (FindingKind::InsertedChange, "is there, and no link says that it was stored")
            }
        };
        if !self.found.insert(id) {
            return;
        }
        let change = ChangePlace {
            id: id.to_string(),
            commit_position: Lsn::from_bigint(place.commit_position),
            sequence: place.sequence,
            table: seen.table,
            operation: seen.operation,
        };
        let by = seen.link.map(|link| format!(", as link {link} has it")).unwrap_or_default();
        let what = format!("{change} {what}{by}");
        report.findings.push(Finding { kind, link: seen.link, change: Some(change), what });
        report.is_cut_short = report.findings.len() >= FINDINGS_MAX;
    }
}

fn page(schema: &str) -> String {
    format!(
        "SELECT c.id, c.commit_position, c.sequence, c.committed_at, c.operation, {} \
         FROM {}.{TABLE} AS c \
         WHERE (c.commit_position, c.sequence, c.id) > ($1, $2, $3) \
         ORDER BY c.commit_position, c.sequence, c.id LIMIT $4",
        digest_of("c"),
        escape_identifier(schema)
    )
}

fn change(row: &Row) -> Result<Change, Error> {
    let place = Place { commit_position: row.try_get(1)?, sequence: row.try_get(2)? };
    Ok(Change {
        id: row.try_get(0)?,
        place,
        committed_at: row.try_get(3)?,
        is_snapshot: row.try_get::<_, &str>(4)? == "SNAPSHOT",
        digest: row.try_get(5)?,
    })
}

/// Whether the worker makes this id for that place, of changes from there.
fn is_of(origins: &[Origin], change: &Change) -> bool {
    let commit_position = CommitPosition(Lsn::from_bigint(change.place.commit_position));
    let sequence = Sequence(change.place.sequence);
    origins.iter().any(|origin| {
        origin.change_id(change.committed_at, commit_position, sequence).as_uuid() == change.id
    })
}
