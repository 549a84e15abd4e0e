//! One TRUNCATE of several tables as a TRUNCATE of each.
//!
//! It is the one message that makes several rows, each with the context. So that a batch can be stored
//! between two of them, none makes more than one.

use bytes::Bytes;
use pgwire_replication::ReplicationEvent;

use crate::decode::Message;

/// The TRUNCATEs that stand for this one; `None` for one of a single table, and for all other events.
pub(crate) fn truncates_apart(
    event: &ReplicationEvent,
) -> Option<impl Iterator<Item = ReplicationEvent>> {
    let ReplicationEvent::XLogData { wal_start, wal_end, server_time_micros, data } = event else {
        return None;
    };
    let [b'T', _, _, _, _, options, ..] = **data else { return None };
    let Ok(Message::Truncate { relations }) = Message::decode(data) else { return None };
    if relations.len() < 2 {
        return None;
    }
    let (wal_start, wal_end, server_time_micros) = (*wal_start, *wal_end, *server_time_micros);
    Some(relations.into_iter().map(move |relation| {
        let one = [&b"T\0\0\0\x01"[..], &[options], &relation.to_be_bytes()].concat();
        ReplicationEvent::XLogData {
            wal_start,
            wal_end,
            server_time_micros,
            data: Bytes::from(one),
        }
    }))
}

#[cfg(test)]
mod tests {
    use pgwire_replication::Lsn;

    use super::*;

    fn apart(data: &'static [u8]) -> Option<Vec<Vec<u8>>> {
        let event = ReplicationEvent::XLogData {
            wal_start: Lsn(7),
            wal_end: Lsn(8),
            server_time_micros: 9,
            data: Bytes::from_static(data),
        };
        let data = |event| match event {
            ReplicationEvent::XLogData {
                wal_start: Lsn(7),
                wal_end: Lsn(8),
                server_time_micros: 9,
                data,
            } => data.to_vec(),
            other => panic!("{other:?}"),
        };
        truncates_apart(&event).map(|events| events.map(data).collect())
    }

    #[test]
    fn each_table_has_a_truncate_of_its_own() {
        assert_eq!(
            apart(b"T\0\0\0\x02\x01\0\0\x40\x01\0\0\x40\x02").unwrap(),
            [b"T\0\0\0\x01\x01\0\0\x40\x01", b"T\0\0\0\x01\x01\0\0\x40\x02"]
        );
    }

    #[test]
    fn all_else_is_left_alone() {
        for data in [
            &b"T\0\0\0\x01\0\0\0\x40\x01"[..],
            b"T\0\0\0\0\0",
            b"T\0\0\0\x02\0\0\0\x40\x01",
            b"I\0\0\0\x02\0\0\0\x40\x01",
            b"",
        ] {
            assert_eq!(apart(data), None, "{data:?}");
        }
    }
}
