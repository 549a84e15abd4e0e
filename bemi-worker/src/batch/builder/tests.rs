//! Batches of events that are made up.

use bemi_core::Origin;
use bytes::Bytes;

use super::super::BATCH_ROWS_MAX;
use super::*;
use crate::render::{CatalogFacts, ColumnMask, ColumnRule, Dated, Kind};

const OID: u32 = 7;

fn begin(position: u64) -> ReplicationEvent {
    ReplicationEvent::Begin {
        final_lsn: pgwire_replication::Lsn(position),
        xid: 1,
        commit_time_micros: 0,
    }
}

fn commit(end: u64) -> ReplicationEvent {
    let lsn = pgwire_replication::Lsn(end - 1);
    let end_lsn = pgwire_replication::Lsn(end);
    ReplicationEvent::Commit { lsn, end_lsn, commit_time_micros: 0 }
}

fn data(bytes: &'static [u8]) -> ReplicationEvent {
    ReplicationEvent::XLogData {
        wal_start: pgwire_replication::Lsn(1),
        wal_end: pgwire_replication::Lsn(1),
        server_time_micros: 0,
        data: Bytes::from_static(bytes),
    }
}

fn insert() -> ReplicationEvent {
    data(b"I\0\0\0\x07N\0\x01t\0\0\0\x011")
}

fn idle(wal_end: u64) -> ReplicationEvent {
    ReplicationEvent::KeepAlive {
        wal_end: pgwire_replication::Lsn(wal_end),
        reply_requested: false,
        server_time_micros: 0,
    }
}

fn message(
    transactional: bool,
    prefix: &str,
    content: &'static str,
    position: u64,
) -> ReplicationEvent {
    ReplicationEvent::Message {
        transactional,
        prefix: prefix.to_owned(),
        content: Bytes::from_static(content.as_bytes()),
        lsn: pgwire_replication::Lsn(position),
    }
}

fn table_event() -> ReplicationEvent {
    let content = r#"{"event": "untracked", "schema": "public", "table": "t", "relation": 7}"#;
    message(true, TABLE_PREFIX, content, 1)
}

/// The places of a batch's table events: commit position, sequence, ordinal.
fn places(batch: &Batch) -> Vec<(u64, i64, i32)> {
    let place = |placed: &super::super::PlacedEvent| {
        let place = placed.place;
        (place.transaction.position.0.get(), place.sequence.0, place.ordinal)
    };
    batch.table_events.iter().map(place).collect()
}

/// A builder that knows the table, after these events.
fn after(start: u64, events: impl IntoIterator<Item = ReplicationEvent>) -> BatchBuilder {
    let writer = ChangeWriter::new(Origin::new(1, 1, "shop"), "shop".to_owned());
    let mut builder = BatchBuilder::new(writer, Lsn::new(start));
    let relation = b"R\0\0\0\x07public\0t\0f\0\x01\x01id\0\0\0\0\x14\xff\xff\xff\xff";
    let Ok(Next::Describe(relation)) = builder.take(data(relation)) else { panic!() };
    let key = Dated::always(vec!["id".to_owned()]);
    let facts = CatalogFacts { key, kinds: vec![Dated::always(Kind::Number)] };
    builder.describe(OID, Table::new(relation, facts));
    take_all(&mut builder, events);
    builder
}

fn take_all(builder: &mut BatchBuilder, events: impl IntoIterator<Item = ReplicationEvent>) {
    for event in events {
        if let Next::Note(event) = builder.take(event).unwrap() {
            builder.note(event).unwrap();
        }
    }
}

fn boundary(batch: &Batch) -> (u64, i64, i64) {
    let boundary = batch.boundary.as_ref().unwrap();
    (boundary.position.get(), boundary.transactions, boundary.changes)
}

#[test]
fn several_transactions_share_a_batch_that_ends_with_the_last() {
    let mut builder =
        after(0, [begin(10), insert(), commit(11), begin(20), insert(), insert(), commit(21)]);
    assert!(builder.is_ready());
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (3, (21, 2, 3)));
    assert!(!builder.is_ready());
}

#[test]
fn a_batch_inside_a_transaction_has_no_boundary_and_the_last_one_counts_it_all() {
    let mut builder = after(0, [begin(10), insert(), insert()]);
    assert!(!builder.is_ready());
    assert_eq!(builder.take_batch().boundary, None);
    take_all(&mut builder, [insert(), commit(11)]);
    assert!(builder.is_ready());
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (1, (11, 1, 3)));
}

#[test]
fn what_has_ended_does_not_wait_for_a_transaction_that_has_not() {
    let mut builder = after(0, [begin(10), insert(), commit(11), begin(20), insert()]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (1, (11, 1, 1)));
    assert!(!builder.is_ready(), "it is half a transaction");
    take_all(&mut builder, [insert(), commit(21)]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (2, (21, 1, 2)));

    // Also where an earlier batch holds its first half.
    let mut builder = after(0, [begin(10), insert()]);
    assert_eq!(builder.take_batch().boundary, None);
    take_all(&mut builder, [commit(11), begin(20), insert()]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (0, (11, 1, 1)));
    assert_eq!((builder.take_batch().rows.len(), builder.is_ready()), (1, false));
}

#[test]
fn rows_that_go_to_the_next_batch_are_what_they_were() {
    let longer = || data(b"I\0\0\0\x07N\0\x01t\0\0\0\x0212");
    let broken = || data(b"I\0\0\0\x07N\0\x01t\0\0\0\xff1");
    let mut builder = after(0, [begin(10), longer(), broken(), commit(11), begin(20)]);
    take_all(&mut builder, [broken(), insert(), longer()]);
    let whole = builder.take_batch();
    assert_eq!((whole.rows.len(), whole.quarantined.len()), (1, 1));
    take_all(&mut builder, [commit(21)]);
    let rest = builder.take_batch();
    assert_eq!((rest.rows.len(), rest.quarantined.len(), boundary(&rest)), (2, 1, (21, 1, 3)));
    let rows = |batch: Batch| {
        let (bytes, ends) = batch.rows.into_parts();
        let mut start = 0;
        ends.into_iter()
            .map(|end| {
                let row = &bytes[std::mem::replace(&mut start, end)..end];
                let after = crate::render::read_row(row).nth(3).flatten().unwrap();
                String::from_utf8_lossy(&after[1..]).into_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(whole), [r#"{"id":12}"#]);
    assert_eq!(rows(rest), [r#"{"id":1}"#, r#"{"id":12}"#]);
}

#[test]
fn the_end_of_a_transaction_is_stored_even_if_no_row_is_left_for_its_batch() {
    let mut builder = after(0, [begin(10), insert()]);
    let _ = builder.take_batch();
    take_all(&mut builder, [commit(11)]);
    assert!(builder.is_ready(), "else the destination's transaction stays open");
    assert_eq!(boundary(&builder.take_batch()), (11, 1, 1));
}

#[test]
fn at_the_end_half_a_transaction_is_given_up_and_what_is_whole_is_kept() {
    let mut builder = after(0, [begin(10), insert(), commit(11), begin(20), insert()]);
    let batch = builder.take_whole().unwrap();
    assert_eq!((batch.rows.len(), boundary(&batch)), (1, (11, 1, 1)));

    let mut builder = after(0, [begin(10), insert()]);
    assert!(builder.take_whole().is_none());
}

#[test]
fn at_the_end_the_half_that_an_earlier_batch_holds_is_not_committed() {
    let mut builder = after(0, [begin(10), insert(), commit(11), begin(20), insert()]);
    let _ = builder.take_batch();
    take_all(&mut builder, [insert()]);
    assert!(builder.take_whole().is_none());

    let mut builder = after(0, [begin(10), insert()]);
    let _ = builder.take_batch();
    take_all(&mut builder, [insert(), commit(11), begin(20), insert()]);
    let batch = builder.take_whole().unwrap();
    assert_eq!((batch.rows.len(), boundary(&batch)), (1, (11, 1, 2)));
}

#[test]
fn what_an_earlier_session_stored_is_skipped() {
    let mut builder = after(15, [begin(10), insert(), commit(11), begin(20), insert(), commit(21)]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (1, (21, 1, 1)));
}

#[test]
fn idle_wal_moves_the_position_but_not_inside_a_transaction() {
    let mut builder = after(5, [idle(8)]);
    assert_eq!(builder.idle_bytes(), 3);
    take_all(&mut builder, [begin(10), idle(30)]);
    assert_eq!((builder.position().get(), builder.idle_bytes()), (8, 0));
    take_all(&mut builder, [commit(11)]);
    assert_eq!(builder.idle_bytes(), 6);
    assert!(!builder.is_ready(), "a transaction without changes needs no batch");
}

#[test]
fn a_change_that_cannot_be_read_is_quarantined_and_keeps_its_place() {
    let broken = data(b"I\0\0\0\x07N\0\x01t\0\0\0\xff1");
    let unknown = data(b"I\0\0\0\x08N\0\x01n");
    let mut builder = after(0, [begin(10), insert(), broken, unknown, insert(), commit(11)]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (2, (11, 1, 4)));
    let places: Vec<_> = batch.quarantined.iter().map(|one| one.sequence.0).collect();
    assert_eq!(places, [2, 3]);
    assert!(batch.quarantined[1].error.contains("oid 8"), "{}", batch.quarantined[1].error);
}

/// A builder that knows a table of a key and of a column that is ignored.
fn with_ignored_column(events: impl IntoIterator<Item = ReplicationEvent>) -> BatchBuilder {
    let mut builder = after(0, []);
    let relation = b"R\0\0\0\x08public\0t\0f\0\x02\x01id\0\0\0\0\x14\xff\xff\xff\xff\
                     \x01at\0\0\0\0\x14\xff\xff\xff\xff";
    let Ok(Next::Describe(relation)) = builder.take(data(relation)) else { panic!() };
    let key = Dated::always(vec!["id".to_owned()]);
    let kinds = vec![Dated::always(Kind::Number), Dated::always(Kind::Number)];
    let mut table = Table::new(relation, CatalogFacts { key, kinds });
    table.set_rules(|_| ColumnRule { is_ignored: true, mask: None });
    builder.describe(8, table);
    take_all(&mut builder, events);
    builder
}

/// Of the column, and of nothing.
const IGNORED: &[u8] = b"U\0\0\0\x08O\0\x02t\0\0\0\x011t\0\0\0\x011N\0\x02t\0\0\0\x011t\0\0\0\x012";
const OF_NOTHING: &[u8] = b"U\0\0\0\x08O\0\x02t\0\0\0\x011t\0\0\0\x011N\0\x02t\0\0\0\x011u";

#[test]
fn an_ignored_update_keeps_its_place_and_is_counted_when_its_transaction_ends() {
    let events = [begin(10), data(IGNORED), data(OF_NOTHING), insert()];
    let mut builder = with_ignored_column(events);
    let first = builder.take_batch();
    assert_eq!((first.rows.len(), first.boundary), (2, None));
    take_all(&mut builder, [data(IGNORED), insert(), commit(11)]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (1, (11, 1, 3)));
    assert_eq!(batch.boundary.unwrap().counts.ignored, 2);
}

#[test]
fn a_transaction_of_ignored_updates_alone_has_nothing_to_store() {
    let mut builder = with_ignored_column([begin(10), data(IGNORED), commit(11)]);
    assert!(!builder.is_ready());
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), boundary(&batch)), (0, (11, 0, 0)));
    let boundary = batch.boundary.unwrap();
    assert_eq!((boundary.counts.ignored, boundary.last_commit), (1, None));
}

#[test]
fn a_row_of_another_number_of_columns_is_quarantined() {
    let shorter = data(b"I\0\0\0\x07N\0\0");
    let longer = data(b"I\0\0\0\x07N\0\x02t\0\0\0\x011n");
    let old = data(b"U\0\0\0\x07O\0\x02nnN\0\x01n");
    let mut builder = after(0, [begin(10), shorter, longer, old, insert(), commit(11)]);
    let batch = builder.take_batch();
    assert_eq!((batch.rows.len(), batch.quarantined.len()), (1, 3));
}

#[test]
fn rows_are_not_read_as_a_table_was_before_a_description_that_cannot_be_read() {
    for broken in [&b"R\0\0\0\x07public\0\xFF\0f\0\0"[..], b"R\0"] {
        let mut builder = after(0, [data(broken), begin(10), insert(), commit(11)]);
        let batch = builder.take_batch();
        assert_eq!((batch.rows.len(), batch.quarantined.len()), (0, 1));
    }
}

#[test]
fn a_batch_is_full_also_of_changes_in_quarantine_of_which_nothing_is_kept() {
    let mut builder = after(0, [begin(10)]);
    builder.tables_mut().for_each(|table| {
        table.set_rules(|_| ColumnRule { is_ignored: false, mask: Some(ColumnMask::Drop) });
    });
    while !builder.is_full() {
        take_all(&mut builder, [data(b"I\0\0\0\x07N\0\0")]);
        assert!(builder.batch.len() <= BATCH_ROWS_MAX);
    }
    assert_eq!(builder.take_batch().quarantined.len(), BATCH_ROWS_MAX);
}

#[test]
fn of_a_table_with_columns_that_must_not_be_stored_no_bytes_are_kept() {
    let mut builder = after(0, []);
    builder.tables_mut().for_each(|table| {
        table.set_rules(|_| ColumnRule { is_ignored: false, mask: Some(ColumnMask::Drop) });
    });
    let broken = data(b"I\0\0\0\x07N\0\x01t\0\0\0\xff1");
    take_all(&mut builder, [begin(10), broken, commit(11)]);
    let quarantined = &builder.take_batch().quarantined[0];
    assert_eq!((quarantined.raw.len(), quarantined.table.as_deref()), (0, Some("t")));
}

#[test]
fn a_tables_event_is_stored_behind_a_change_and_is_none() {
    let mut builder =
        after(0, [begin(10), table_event(), insert(), table_event(), insert(), commit(11)]);
    let batch = builder.take_batch();
    assert_eq!(places(&batch), [(10, 0, 1), (10, 1, 2)]);
    assert_eq!((batch.rows.len(), boundary(&batch)), (2, (11, 1, 2)));
}

#[test]
fn a_transaction_of_nothing_but_a_tables_event_is_stored() {
    let mut builder = after(0, [begin(10), table_event()]);
    assert!(!builder.is_ready(), "it is half a transaction");
    take_all(&mut builder, [commit(11)]);
    assert!(builder.is_ready());
    let batch = builder.take_batch();
    assert_eq!((places(&batch), boundary(&batch)), (vec![(10, 0, 1)], (11, 0, 0)));
}

#[test]
fn events_of_a_transaction_that_has_not_ended_go_to_the_next_batch() {
    let mut builder = after(0, [begin(10), table_event(), commit(11), begin(20), table_event()]);
    let batch = builder.take_batch();
    assert_eq!((places(&batch), boundary(&batch)), (vec![(10, 0, 1)], (11, 0, 0)));
    assert!(!builder.is_ready());
    take_all(&mut builder, [insert()]);
    // Half of it is in the destination, uncommitted, and counts on.
    let half = builder.take_batch();
    assert_eq!((places(&half), half.boundary), (vec![(20, 0, 1)], None));
    take_all(&mut builder, [table_event(), commit(21)]);
    let batch = builder.take_batch();
    assert_eq!((places(&batch), boundary(&batch)), (vec![(20, 1, 2)], (21, 1, 1)));
}

#[test]
fn events_that_are_stored_already_or_make_no_sense_are_passed_over() {
    let bad = || message(true, TABLE_PREFIX, "{\"event\": 7}", 1);
    let outside = message(false, TABLE_PREFIX, "{}", 1);
    let mut builder = after(15, [begin(10), table_event(), bad(), commit(11), outside]);
    assert!(!builder.is_ready());
    take_all(&mut builder, [begin(20), bad(), commit(21)]);
    assert!(!builder.is_ready());
}

#[test]
fn a_heartbeat_asks_for_the_position_to_be_stored() {
    let mut builder = after(5, []);
    let alone = builder.take(message(false, HEARTBEAT_PREFIX, "", 9)).unwrap();
    assert!(matches!((alone, builder.idle_bytes()), (Next::Heartbeat, 4)));
    take_all(&mut builder, [begin(10)]);
    let inside = builder.take(message(true, HEARTBEAT_PREFIX, "", 10)).unwrap();
    assert!(matches!((inside, builder.idle_bytes()), (Next::Heartbeat, 0)));
    take_all(&mut builder, [commit(11)]);
    assert_eq!(builder.idle_bytes(), 6);
}
