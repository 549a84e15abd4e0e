//! Rows as aligned columns under a heading, as wide as the screen at most.

use std::io::{self, Write};

use super::screen::{Ink, Line, Screen};
use super::text::{self, printable};

/// What stands between two columns.
const GAP: &str = "  ";

/// How narrow a column becomes, at most, so that others have room.
const COLUMN_WIDTH_MIN: usize = 8;

/// How wide a column becomes where there is no screen, so that one long text does not fill all other
/// rows with spaces. It is not cut.
const COLUMN_WIDTH_MAX: usize = 60;

/// Columns that were made as wide as their first rows need: those that come later are cut.
#[derive(Debug)]
pub(crate) struct Grid {
    widths: Vec<usize>,
    screen: Screen,
}

impl Grid {
    /// Writes the heading, and makes the columns as wide as heading and rows need. Where that is wider
    /// than the screen, the widest columns give way.
    pub(crate) fn begin(
        out: &mut dyn Write,
        screen: Screen,
        heading: &[&str],
        rows: &[Vec<String>],
    ) -> io::Result<Self> {
        let mut widths: Vec<usize> =
            heading.iter().map(|name| text::width(&printable(name))).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = text::width(&printable(cell)).max(*width);
            }
        }
        match screen.width {
            Some(room) => {
                let gaps = GAP.len() * heading.len().saturating_sub(1);
                narrow(&mut widths, room.saturating_sub(gaps));
            }
            None => widths.iter_mut().for_each(|width| *width = COLUMN_WIDTH_MAX.min(*width)),
        }
        let grid = Self { widths, screen };
        grid.write(out, Ink::Strong, heading.iter().copied())?;
        Ok(grid)
    }

    /// Writes a row.
    pub(crate) fn row(&self, out: &mut dyn Write, row: &[String]) -> io::Result<()> {
        self.write(out, Ink::Plain, row.iter().map(String::as_str))
    }

    fn write<'a>(
        &self,
        out: &mut dyn Write,
        ink: Ink,
        cells: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<()> {
        let mut written = String::new();
        for (width, cell) in self.widths.iter().zip(cells) {
            let cell = printable(cell);
            // Only where a screen has an end is anything cut: elsewhere all of it is wanted.
            let cell = match self.screen.width {
                Some(_) => text::cut(&cell, *width),
                None => cell.as_ref().into(),
            };
            let padding = width.saturating_sub(text::width(&cell));
            written.push_str(&cell);
            written.extend(std::iter::repeat_n(' ', padding));
            written.push_str(GAP);
        }
        Line::new().with(ink, written.trim_end()).write(out, self.screen)
    }
}

/// Takes from the widest columns until all of them fit, or none can give more.
fn narrow(widths: &mut [usize], room: usize) {
    while widths.iter().sum::<usize>() > room {
        let Some(widest) = widths.iter_mut().max() else { return };
        if *widest <= COLUMN_WIDTH_MIN {
            return;
        }
        *widest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: Option<usize>, heading: &[&str], rows: &[&[&str]]) -> String {
        let screen = Screen { width, has_colours: false };
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let mut out = Vec::new();
        let grid = Grid::begin(&mut out, screen, heading, &rows).unwrap();
        rows.iter().for_each(|row| grid.row(&mut out, row).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen_and_lines_end_where_their_text_ends() {
        let rows: [&[&str]; 3] = [&["é", "b", ""], &["日本", "x", "last"], &["a\n", "y", "z"]];
        let told = shown(None, &["A", "B", "C"], &rows);
        assert_eq!(told, "A     B  C\né     b\n日本  x  last\na\\n   y  z\n");
    }

    #[test]
    fn the_widest_columns_give_way_to_the_screen() {
        let rows: [&[&str]; 1] = [&["26", "a text that is much too long", "2026-11-21"]];
        let told = shown(Some(30), &["KEY", "TASK", "DUE"], &rows);
        assert_eq!(told, "KEY  TASK           DUE\n26   a text that …  2026-11-21\n");
    }

    #[test]
    fn a_row_is_whole_where_there_is_no_screen() {
        let rows: [&[&str]; 1] = [&["a"]];
        let mut out = Vec::new();
        let screen = Screen::default();
        let first: Vec<Vec<String>> = rows.iter().map(|row| vec![row[0].to_owned()]).collect();
        let grid = Grid::begin(&mut out, screen, &["A"], &first).unwrap();
        grid.row(&mut out, &["much longer than the first".to_owned()]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "A\nmuch longer than the first\n");
    }
}
