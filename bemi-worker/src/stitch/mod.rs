//! Pairs changes with the context message that governs them.
//!
//! A message governs the changes that follow it in its own transaction, until the next message;
//! changes before the first have `{}`. Nothing crosses a transaction. The order is that of the
//! stream: the LSN of a message may equal that of the change after it.
//!
//! Stitching is pure: it holds the context that is in force and counts. It never sees a row.

mod context;
mod ddl;
mod django;
mod table_event;

use bemi_core::{CommitPosition, Sequence, TransactionId};
use jiff::Timestamp;

pub(crate) use self::context::{BadMessage, is_empty_object};
pub(crate) use self::ddl::Ddl;
pub(crate) use self::table_event::{
    EventColumn, Hidden, TableEvent, TableEventKind, TableIdentity,
};

/// A source transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) position: CommitPosition,
    pub(crate) committed_at: Timestamp,
    /// When the worker began to receive it.
    pub(crate) queued_at: Timestamp,
}

/// Where a change belongs: its transaction, its order in it, and the context that governs it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) transaction: Transaction,
    pub(crate) sequence: Sequence,
    /// JSON that `jsonb` accepts.
    pub(crate) context: &'a str,
}

/// Where a table's event belongs: behind a change of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventPlace {
    pub(crate) transaction: Transaction,
    /// The change before it; zero before the first.
    pub(crate) sequence: Sequence,
    /// Its own order among the events of the transaction, from 1.
    pub(crate) ordinal: i32,
}

/// The stream is not a sequence of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutOfOrder {
    #[error("a transaction began inside another one")]
    NestedBegin,
    #[error("a change or a commit came outside of any transaction")]
    Outside,
}

/// The transaction that is being received, and the context in force in it.
#[derive(Debug, Default)]
pub(crate) struct Stitcher {
    transaction: Option<Transaction>,
    context: String,
    has_context: bool,
    changes: i64,
    events: i32,
}

impl Stitcher {
    pub(crate) fn begin(&mut self, transaction: Transaction) -> Result<(), OutOfOrder> {
        if self.transaction.replace(transaction).is_some() {
            return Err(OutOfOrder::NestedBegin);
        }
        self.changes = 0;
        self.events = 0;
        self.context.clear();
        self.context.push_str("{}");
        self.has_context = false;
        Ok(())
    }

    /// Takes the content of a context message. From here on it governs, also where it is bad: then
    /// as an object that says so, with the raw text.
    pub(crate) fn message(&mut self, content: &[u8]) -> Result<Option<BadMessage>, OutOfOrder> {
        if self.transaction.is_none() {
            return Err(OutOfOrder::Outside);
        }
        self.context.clear();
        let bad = context::write_stored(&mut self.context, content);
        self.has_context = !is_empty_object(&self.context);
        Ok(bad)
    }

    /// Whether the next change has a context, other than `{}`.
    pub(crate) fn has_context(&self) -> bool {
        self.has_context
    }

    /// The place of the next change.
    pub(crate) fn next_change(&mut self) -> Result<Place<'_>, OutOfOrder> {
        let transaction = self.transaction.ok_or(OutOfOrder::Outside)?;
        self.changes += 1;
        Ok(Place { transaction, sequence: Sequence(self.changes), context: &self.context })
    }

    /// The place of a table's event. It takes no number of a change.
    pub(crate) fn next_event(&mut self) -> Result<EventPlace, OutOfOrder> {
        let transaction = self.transaction.ok_or(OutOfOrder::Outside)?;
        self.events = self.events.saturating_add(1);
        let sequence = Sequence(self.changes);
        Ok(EventPlace { transaction, sequence, ordinal: self.events })
    }

    /// Ends the transaction. Returns it with the number of its changes.
    pub(crate) fn commit(&mut self) -> Result<(Transaction, i64), OutOfOrder> {
        let transaction = self.transaction.take().ok_or(OutOfOrder::Outside)?;
        Ok((transaction, self.changes))
    }

    /// The transaction that has begun and not ended.
    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// Whether a transaction has begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.transaction.is_some()
    }
}

#[cfg(test)]
mod tests {
    use bemi_core::Lsn;

    use super::*;

    fn transaction(lsn: u64) -> Transaction {
        Transaction {
            id: TransactionId(7),
            position: CommitPosition(Lsn::new(lsn)),
            committed_at: Timestamp::UNIX_EPOCH,
            queued_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// What happens in the stream: `B`egin, `C`ommit, `.` for a change, anything else a message.
    /// Returns the context of each change.
    fn contexts(events: &[&str]) -> Vec<String> {
        let mut stitcher = Stitcher::default();
        let mut contexts = Vec::new();
        for event in events {
            match *event {
                "B" => stitcher.begin(transaction(1)).unwrap(),
                "C" => drop(stitcher.commit().unwrap()),
                "." => contexts.push(stitcher.next_change().unwrap().context.to_owned()),
                message => drop(stitcher.message(message.as_bytes()).unwrap()),
            }
        }
        contexts
    }

    #[test]
    fn changes_before_the_first_message_have_none() {
        assert_eq!(contexts(&["B", ".", "{\"a\":1}", ".", "C"]), ["{}", "{\"a\":1}"]);
    }

    #[test]
    fn a_message_governs_until_the_next() {
        assert_eq!(
            contexts(&["B", "{\"a\":1}", ".", ".", "{\"a\":2}", ".", "{}", ".", "C"]),
            ["{\"a\":1}", "{\"a\":1}", "{\"a\":2}", "{}"]
        );
    }

    #[test]
    fn nothing_crosses_a_transaction() {
        assert_eq!(contexts(&["B", "{\"a\":1}", ".", "C", "B", ".", "C"]), ["{\"a\":1}", "{}"]);
        assert_eq!(contexts(&["B", "{\"a\":1}", "C", "B", ".", "C"]), ["{}"]);
    }

    #[test]
    fn a_bad_message_governs_too_and_does_not_leave_the_one_before_in_force() {
        let stored = contexts(&["B", "{\"a\":1}", "garbage", ".", "C"]);
        assert!(stored[0].contains("\"raw\":\"garbage\""), "{stored:?}");
    }

    #[test]
    fn the_order_restarts_with_each_transaction() {
        let mut stitcher = Stitcher::default();
        for lsn in [1, 2] {
            stitcher.begin(transaction(lsn)).unwrap();
            for sequence in [1, 2, 3] {
                let place = stitcher.next_change().unwrap();
                assert_eq!(place.sequence, Sequence(sequence));
                assert_eq!(place.transaction, transaction(lsn));
            }
            assert_eq!(stitcher.commit(), Ok((transaction(lsn), 3)));
        }
    }

    #[test]
    fn an_event_stands_behind_a_change_and_takes_no_number_of_one() {
        let mut stitcher = Stitcher::default();
        for lsn in [1, 2] {
            stitcher.begin(transaction(lsn)).unwrap();
            let mut event = || {
                let place = stitcher.next_event().unwrap();
                (place.sequence.0, place.ordinal)
            };
            assert_eq!((event(), event()), ((0, 1), (0, 2)));
            assert_eq!(stitcher.next_change().unwrap().sequence, Sequence(1));
            let place = stitcher.next_event().unwrap();
            assert_eq!((place.sequence.0, place.ordinal), (1, 3));
            assert_eq!(stitcher.next_change().unwrap().sequence, Sequence(2));
            assert_eq!(stitcher.commit(), Ok((transaction(lsn), 2)));
        }
    }

    #[test]
    fn a_stream_out_of_order_is_an_error() {
        let mut stitcher = Stitcher::default();
        assert_eq!(stitcher.next_change(), Err(OutOfOrder::Outside));
        assert_eq!(stitcher.next_event(), Err(OutOfOrder::Outside));
        assert_eq!(stitcher.commit(), Err(OutOfOrder::Outside));
        assert_eq!(stitcher.message(b"{}").unwrap_err(), OutOfOrder::Outside);
        stitcher.begin(transaction(1)).unwrap();
        assert_eq!(stitcher.begin(transaction(2)), Err(OutOfOrder::NestedBegin));
    }
}
