//! A whole stream, from its messages to the rows that are stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use bemi_core::{DDL_PREFIX, Lsn, Origin};
use bytes::Bytes;
use pgwire_replication::ReplicationEvent;

use super::{assert_jsonb, assert_text};
use crate::batch::{Batch, BatchBuilder, Next, truncates_apart};
use crate::decode::{Message, Relation};
use crate::render::{
    COPY_COLUMNS, CatalogFacts, ChangeWriter, Dated, Kind, OldRow, Table, read_row,
};

/// How far apart transactions commit here: each has a position of its own, in the order of the stream.
const COMMIT_STEP: u64 = 1000;

/// Of any stream, every change of each transaction that ended is stored or quarantined, once, in its
/// order; and what is stored is what the columns of `changes` take.
///
/// The input is messages of pgoutput, each behind its length in two bytes.
pub fn change(input: &[u8]) {
    let mut stream = Stream::new();
    let mut stored = Stored::default();
    for message in messages(input) {
        let Some(event) = stream.event(message) else { continue };
        let ends = matches!(event, ReplicationEvent::Commit { .. });
        // When the stream cannot be followed, what was whole before is still stored.
        if stream.take(event).is_none() {
            break;
        }
        stream.count(message);
        if ends {
            stream.commit();
            if stream.builder.is_ready() && stream.commits.is_multiple_of(2) {
                stored.batch(stream.builder.take_batch());
            }
        }
    }
    if let Some(batch) = stream.builder.take_whole() {
        stored.batch(batch);
    }
    assert_eq!(stored.places, stream.expected);
}

/// The messages of an input; of one that is cut off, what is there.
fn messages(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = input.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(length);
        input = rest;
        Some(message)
    })
}

/// What is fed, and what is to come of it, counted in another way.
struct Stream {
    builder: BatchBuilder,
    commits: u64,
    /// How many changes the open transaction has so far.
    changes: i64,
    /// The places of the changes of all transactions that ended.
    expected: BTreeSet<(i64, i64)>,
}

impl Stream {
    fn new() -> Self {
        let writer = ChangeWriter::new(Origin::new(1, 1, "fuzz"), "fuzz".to_owned());
        Self {
            builder: BatchBuilder::new(writer, Lsn::ZERO),
            commits: 0,
            changes: 0,
            expected: BTreeSet::new(),
        }
    }

    /// The event that the replication client makes of a message; none where that refuses it.
    fn event(&self, message: &[u8]) -> Option<ReplicationEvent> {
        let position = pgwire_replication::Lsn((self.commits + 1) * COMMIT_STEP);
        let (tag, rest) = message.split_first()?;
        Some(match tag {
            b'B' => {
                let [_, commit_time, xid] = [rest.get(..8)?, rest.get(8..16)?, rest.get(16..20)?];
                ReplicationEvent::Begin {
                    final_lsn: position,
                    commit_time_micros: i64::from_be_bytes(commit_time.try_into().ok()?),
                    xid: u32::from_be_bytes(xid.try_into().ok()?),
                }
            }
            b'C' => ReplicationEvent::Commit {
                lsn: position,
                end_lsn: pgwire_replication::Lsn(position.as_u64() + 1),
                commit_time_micros: 0,
            },
            b'M' => {
                let (flags, rest) = rest.split_first()?;
                let (lsn, rest) = rest.split_first_chunk()?;
                let end = rest.iter().position(|byte| *byte == 0)?;
                // Behind the prefix are its end and the content's length, which the frame has too.
                let content = rest.get(end + 5..)?;
                ReplicationEvent::Message {
                    transactional: flags & 1 == 1,
                    lsn: pgwire_replication::Lsn(u64::from_be_bytes(*lsn)),
                    prefix: String::from_utf8_lossy(rest.get(..end)?).into_owned(),
                    content: Bytes::copy_from_slice(content),
                }
            }
            _ => ReplicationEvent::XLogData {
                wal_start: position,
                wal_end: position,
                server_time_micros: 0,
                data: Bytes::copy_from_slice(message),
            },
        })
    }

    /// Does what the pipeline does with an event.
    fn take(&mut self, event: ReplicationEvent) -> Option<()> {
        if let Some(mut truncates) = truncates_apart(&event) {
            return truncates.try_for_each(|truncate| self.take_one(truncate));
        }
        self.take_one(event)
    }

    fn take_one(&mut self, event: ReplicationEvent) -> Option<()> {
        if let Next::Describe(relation) = self.builder.take(event).ok()? {
            let oid = relation.oid;
            self.builder.describe(oid, table(relation));
        }
        Some(())
    }

    /// Counts what the builder has taken.
    fn count(&mut self, message: &[u8]) {
        match message.first() {
            Some(b'B') => self.changes = 0,
            Some(b'I' | b'U' | b'D') => self.changes += 1,
            Some(b'T') => {
                let tables = match Message::decode(message) {
                    Ok(Message::Truncate { relations }) => relations.len(),
                    _ => 1,
                };
                self.changes += i64::try_from(tables).unwrap_or(i64::MAX);
            }
            Some(b'M') => {
                let is_ddl = message.get(10..).is_some_and(|rest| {
                    rest.strip_prefix(DDL_PREFIX.as_bytes())
                        .is_some_and(|rest| rest.starts_with(b"\0"))
                });
                let transactional = message.get(1).is_some_and(|flags| flags & 1 == 1);
                self.changes += i64::from(is_ddl && transactional);
            }
            _ => {}
        }
    }

    fn commit(&mut self) {
        self.commits += 1;
        let position = i64::try_from(self.commits * COMMIT_STEP).unwrap_or(i64::MAX);
        self.expected.extend((1..=self.changes).map(|sequence| (position, sequence)));
    }
}

/// A table of the stream, with what the catalog could say of it.
fn table(relation: Relation) -> Table {
    let is_mixed = relation.oid.is_multiple_of(3);
    let identity = relation.columns.iter().filter(|column| column.in_identity);
    let key = Dated::always(identity.map(|column| column.name.clone()).collect());
    let kinds = relation.columns.iter().map(|column| Dated::always(kind(column.type_oid)));
    let facts = CatalogFacts { key, kinds: kinds.collect() };
    let mut table = Table::new(relation, facts);
    if is_mixed {
        table.set_identity(OldRow::Mixed, |_| true);
    }
    table
}

/// A kind for each type: the built-in ones as they are, any other one as one of those that only the
/// catalog knows.
fn kind(type_oid: u32) -> Kind {
    if let Some(kind) = Kind::of_builtin(type_oid) {
        return kind;
    }
    let element = Arc::new(Kind::of_builtin(type_oid / 8).unwrap_or(Kind::Text));
    match type_oid % 8 {
        0 | 1 => Kind::Array { element, delimiter: b',' },
        2 => Kind::Array { element, delimiter: b';' },
        3 => Kind::Vector { element },
        4 => Kind::Hstore,
        5 => Kind::Composite {
            attributes: vec![("a".to_owned(), element), ("b".to_owned(), Arc::new(Kind::Text))],
        },
        6 => Kind::Unknown,
        _ => Kind::Text,
    }
}

/// What became of the stream.
#[derive(Default)]
struct Stored {
    /// Commit position and sequence of each change.
    places: BTreeSet<(i64, i64)>,
}

impl Stored {
    fn batch(&mut self, batch: Batch) {
        for quarantined in &batch.quarantined {
            assert_text(quarantined.error.as_bytes());
            self.place(quarantined.commit_position.0.to_bigint(), quarantined.sequence.0);
        }
        assert!(batch.boundary.is_some(), "what was taken here was whole");
        let (bytes, ends) = batch.rows.into_parts();
        let mut start = 0;
        let mut before = None;
        for end in ends {
            let place = self.row(bytes.get(start..end).expect("rows do not overlap"));
            assert!(before < Some(place), "{place:?} comes behind {before:?}");
            before = Some(place);
            start = end;
        }
        assert_eq!(start, bytes.len());
    }

    fn row(&mut self, row: &[u8]) -> (i64, i64) {
        let values: Vec<_> = read_row(row).collect();
        assert_eq!(values.len(), COPY_COLUMNS.len());
        let mut place = (0, 0);
        for (column, value) in COPY_COLUMNS.iter().zip(values) {
            let Some(value) = value else { continue };
            match *column {
                "before" | "after" | "context" => {
                    let json = value.strip_prefix(b"\x01").expect("the version of its format");
                    assert_jsonb(json);
                }
                "primary_key" | "previous_key" | "database" | "schema" | "table" | "operation" => {
                    assert_text(value);
                }
                "commit_position" => place.0 = bigint(value),
                "sequence" => place.1 = bigint(value),
                _ => {}
            }
        }
        self.place(place.0, place.1);
        place
    }

    fn place(&mut self, commit_position: i64, sequence: i64) {
        let is_new = self.places.insert((commit_position, sequence));
        assert!(is_new, "the change {commit_position}/{sequence} is there twice");
    }
}

fn bigint(value: &[u8]) -> i64 {
    i64::from_be_bytes(value.try_into().expect("eight bytes"))
}
