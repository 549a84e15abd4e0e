//! Rows as aligned columns.

use std::io::{self, Write};

/// Writes rows of text, each column as wide as its widest cell but the last, which may be long.
pub(super) fn write<const N: usize>(
    out: &mut impl Write,
    rows: impl IntoIterator<Item = [String; N]> + Clone,
) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(&row) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_where_their_text_ends() {
        let rows = [["é", "b", ""], ["long", "x", "last"]].map(|row| row.map(str::to_owned));
        let mut out = Vec::new();
        super::write(&mut out, rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "é     b\nlong  x  last\n");
    }
}
