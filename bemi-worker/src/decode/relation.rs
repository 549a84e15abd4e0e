//! A table, as the stream describes it before the first change of it.

use super::DecodeError;
use super::cursor::Cursor;

/// What pgoutput says of a table. It is the table as it was when the change was made, not as the
/// catalog has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) replica_identity: ReplicaIdentity,
    pub(crate) columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Part of the replica identity. Under FULL every column is.
    pub(crate) in_identity: bool,
    pub(crate) type_oid: u32,
}

/// What of the old row PostgreSQL writes to the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplicaIdentity {
    Default,
    Nothing,
    Full,
    Index,
}

impl ReplicaIdentity {
    /// From the letter of `pg_class.relreplident`.
    pub(crate) fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'd' => Some(Self::Default),
            b'n' => Some(Self::Nothing),
            b'f' => Some(Self::Full),
            b'i' => Some(Self::Index),
            _ => None,
        }
    }
}

impl Relation {
    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let oid = cursor.u32("table's oid")?;
        // An empty name stands for pg_catalog.
        let schema = match cursor.name()? {
            "" => "pg_catalog",
            schema => schema,
        };
        let name = cursor.name()?;
        let letter = cursor.u8("replica identity")?;
        let replica_identity = ReplicaIdentity::from_letter(letter)
            .ok_or(DecodeError::Unexpected { field: "replica identity", found: letter })?;
        let count = cursor.column_count()?;
        let columns = (0..count).map(|_| Column::take(cursor)).collect::<Result<_, _>>()?;
        Ok(Self {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            replica_identity,
            columns,
        })
    }
}

impl Column {
    fn take(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let flags = cursor.u8("flags of a column")?;
        let name = cursor.name()?.to_owned();
        let type_oid = cursor.u32("type of a column")?;
        let _type_modifier = cursor.u32("type modifier of a column")?;
        Ok(Self { name, in_identity: flags & 1 != 0, type_oid })
    }
}
