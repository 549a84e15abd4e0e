//! The messages between a transaction's Begin and its Commit.

use super::cursor::Cursor;
use super::{DecodeError, Relation, Tuple};

/// A message of pgoutput. Begin, Commit and logical decoding messages are not here: the
/// replication client tells them apart itself.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    /// A table, before the first change of it in this session and whenever its shape changed.
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple<'a>,
    },
    Update {
        relation: u32,
        old: Option<OldTuple<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        relation: u32,
        old: OldTuple<'a>,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// A message that says nothing about rows: Type, Origin, or one of a newer server.
    Other {
        tag: u8,
    },
}

/// The row before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OldTuple<'a> {
    /// Only the columns of the replica identity hold values; the others are sent as NULL.
    Key(Tuple<'a>),
    /// All columns hold values.
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    pub(crate) fn tuple(self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

impl<'a> Message<'a> {
    /// Decodes one message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are not a message of pgoutput's version 1.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let cursor = &mut cursor;
        match cursor.u8("tag")? {
            b'R' => Ok(Self::Relation(Relation::take(cursor)?)),
            b'I' => {
                let relation = cursor.u32("table's oid")?;
                expect(cursor, b'N')?;
                Ok(Self::Insert { relation, new: Tuple::take(cursor)? })
            }
            b'U' => {
                let relation = cursor.u32("table's oid")?;
                let old = match cursor.u8("tag of a row")? {
                    b'N' => None,
                    tag => {
                        let old = old_tuple(tag, cursor)?;
                        expect(cursor, b'N')?;
                        Some(old)
                    }
                };
                Ok(Self::Update { relation, old, new: Tuple::take(cursor)? })
            }
            b'D' => {
                let relation = cursor.u32("table's oid")?;
                let tag = cursor.u8("tag of a row")?;
                Ok(Self::Delete { relation, old: old_tuple(tag, cursor)? })
            }
            b'T' => {
                let count = cursor.u32("number of tables")?;
                let _options = cursor.u8("options")?;
                let relations =
                    (0..count).map(|_| cursor.u32("table's oid")).collect::<Result<_, _>>()?;
                Ok(Self::Truncate { relations })
            }
            tag => Ok(Self::Other { tag }),
        }
    }
}

fn old_tuple<'a>(tag: u8, cursor: &mut Cursor<'a>) -> Result<OldTuple<'a>, DecodeError> {
    match tag {
        b'K' => Tuple::take(cursor).map(OldTuple::Key),
        b'O' => Tuple::take(cursor).map(OldTuple::Full),
        found => Err(DecodeError::Unexpected { field: "tag of a row", found }),
    }
}

fn expect(cursor: &mut Cursor<'_>, tag: u8) -> Result<(), DecodeError> {
    match cursor.u8("tag of a row")? {
        found if found == tag => Ok(()),
        found => Err(DecodeError::Unexpected { field: "tag of a row", found }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::relation::Column;
    use super::super::{ReplicaIdentity, TupleValue};
    use super::*;

    fn values(tuple: Tuple<'_>) -> Vec<TupleValue<'_>> {
        tuple.values().collect()
    }

    #[test]
    fn a_relation() {
        let bytes = b"R\0\0\x40\x01public\0todo\0f\0\x02\x01id\0\0\0\0\x14\xff\xff\xff\xff\0task\0\0\0\0\x19\xff\xff\xff\xff";
        let Message::Relation(relation) = Message::decode(bytes).unwrap() else { panic!() };
        assert_eq!(
            relation,
            Relation {
                oid: 0x4001,
                schema: "public".into(),
                name: "todo".into(),
                replica_identity: ReplicaIdentity::Full,
                columns: vec![
                    Column { name: "id".into(), in_identity: true, type_oid: 20 },
                    Column { name: "task".into(), in_identity: false, type_oid: 25 },
                ],
            }
        );
    }

    #[test]
    fn an_insert_with_a_null() {
        let bytes = b"I\0\0\x40\x01N\0\x02t\0\0\0\x0212n";
        let Message::Insert { relation: 0x4001, new } = Message::decode(bytes).unwrap() else {
            panic!()
        };
        assert_eq!(values(new), [TupleValue::Text(b"12"), TupleValue::Null]);
        assert_eq!(new.value(0), TupleValue::Text(b"12"));
        assert_eq!(new.value(7), TupleValue::Null);
    }

    #[test]
    fn an_update_with_the_old_row_and_an_unchanged_value() {
        let bytes = b"U\0\0\x40\x01O\0\x02t\0\0\0\x011t\0\0\0\x01aN\0\x02t\0\0\0\x011u";
        let Message::Update { old: Some(OldTuple::Full(old)), new, .. } =
            Message::decode(bytes).unwrap()
        else {
            panic!()
        };
        assert_eq!(values(old), [TupleValue::Text(b"1"), TupleValue::Text(b"a")]);
        assert_eq!(values(new), [TupleValue::Text(b"1"), TupleValue::Unchanged]);
    }

    #[test]
    fn an_update_without_the_old_row() {
        let bytes = b"U\0\0\x40\x01N\0\x01t\0\0\0\x011";
        assert!(matches!(Message::decode(bytes), Ok(Message::Update { old: None, .. })));
    }

    #[test]
    fn a_delete_by_key() {
        let bytes = b"D\0\0\x40\x01K\0\x02t\0\0\0\x011n";
        assert!(matches!(
            Message::decode(bytes),
            Ok(Message::Delete { old: OldTuple::Key(_), .. })
        ));
    }

    #[test]
    fn a_truncate_of_two_tables() {
        let bytes = b"T\0\0\0\x02\x01\0\0\x40\x01\0\0\x40\x02";
        let Message::Truncate { relations } = Message::decode(bytes).unwrap() else { panic!() };
        assert_eq!(relations, [0x4001, 0x4002]);
    }

    #[test]
    fn a_message_of_a_newer_server_is_not_an_error() {
        assert!(matches!(Message::decode(b"Zabc"), Ok(Message::Other { tag: b'Z' })));
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error_and_allocates_nothing() {
        assert!(matches!(
            Message::decode(b"I\0\0\x40\x01N\0\x01t\xff\xff\xff\xff12"),
            Err(DecodeError::TooShort { field: "value", .. })
        ));
        assert!(Message::decode(b"T\xff\xff\xff\xff\0").is_err());
    }

    #[test]
    fn more_columns_than_a_table_can_have_are_an_error() {
        let insert = |count: u16| {
            let nulls = vec![b'n'; usize::from(count)];
            [b"I\0\0\x40\x01N", &count.to_be_bytes()[..], &nulls].concat()
        };
        assert!(Message::decode(&insert(1600)).is_ok());
        assert_eq!(
            Message::decode(&insert(1601)).unwrap_err(),
            DecodeError::TooManyColumns { count: 1601 }
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), tag in "[RIUDT]") {
            let _ = Message::decode(&bytes);
            bytes.insert(0, tag.as_bytes()[0]);
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn a_message_that_is_cut_off_is_an_error(cut in 0_usize..25) {
            let bytes = b"U\0\0\x40\x01O\0\x02t\0\0\0\x011uN\0\x02t\0\0\0\x011u";
            prop_assert_eq!(bytes.len(), 25);
            prop_assert!(Message::decode(&bytes[..cut]).is_err());
        }
    }
}
