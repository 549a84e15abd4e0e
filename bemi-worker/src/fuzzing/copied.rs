//! Rows as COPY takes them, read back when the destination refuses one.

use crate::batch::Quarantined;
use crate::render::read_row;

/// Any bytes can be read as a row, and are kept as they are.
pub fn copied(row: &[u8]) {
    let values: Vec<_> = read_row(row).collect();
    let lengths = values.iter().map(|value| 4 + value.map_or(0, <[u8]>::len));
    assert!(lengths.sum::<usize>() <= row.len());

    let refused = Quarantined::refused(row, String::new());
    assert_eq!(refused.raw, row);
    let names = [refused.schema, refused.table].into_iter().flatten();
    // Each byte that is no text becomes a character of three.
    assert!(names.map(|name| name.len()).sum::<usize>() <= 3 * row.len());
}
