//! Whether an UPDATE is one that nobody wants to know of.

use bemi_core::Lsn;

use crate::decode::{OldTuple, Tuple, TupleValue};

use super::table::{OldRow, Table};

/// Whether an UPDATE changed something, and nothing but columns whose changes are ignored.
///
/// The row before tells, where it is whole; else nobody knows, and the UPDATE counts. So it does where
/// nobody knows what the key was, which is never ignored.
pub(super) fn changes_only_ignored(
    table: &Table,
    position: Lsn,
    old: Option<OldTuple<'_>>,
    new: Tuple<'_>,
) -> bool {
    let tells = table.ignores_columns && table.old_row == OldRow::Whole;
    let Some(old) = old.filter(|_| tells && table.knows_key(position)) else { return false };
    let mut has_changed = false;
    for ((column, before), after) in
        table.columns.iter().zip(old.tuple().values()).zip(new.values())
    {
        // A large value that the UPDATE did not touch is not sent again.
        if after == TupleValue::Unchanged || after == before {
            continue;
        }
        if !column.rule.is_ignored {
            return false;
        }
        has_changed = true;
    }
    has_changed
}
