//! Lines for people, on a terminal or not: colours, and a width that nothing goes beyond.
//!
//! Invariant: whatever is written by a [`Line`] is [printable](super::text::printable).

use std::io::{self, Write};

use super::text::{self, printable};

/// Where lines are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Screen {
    /// How wide it is; lines are whole where nobody says.
    pub(crate) width: Option<usize>,
    /// Whether it has colours.
    pub(crate) has_colours: bool,
}

/// What a piece of a line is, which says its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// As it is.
    Plain,
    /// What the eye should find first.
    Strong,
    /// What stands there to be looked up.
    Faint,
    /// What was, or goes.
    Old,
    /// What is, or comes.
    New,
    /// What is other than before.
    Changed,
}

impl Ink {
    /// As terminals have been told since the VT100.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Old => "\x1b[31m",
            Self::New => "\x1b[32m",
            Self::Changed => "\x1b[33m",
        }
    }
}

/// A line, piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Vec<(Ink, String)>);

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a piece.
    #[must_use]
    pub(crate) fn with(mut self, ink: Ink, text: &str) -> Self {
        self.0.push((ink, printable(text).into_owned()));
        self
    }

    /// How many columns it takes so far.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text::width(text)).sum()
    }

    /// Writes it, cut where the screen ends.
    pub(crate) fn write(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let room = screen.width.unwrap_or(usize::MAX);
        let mut taken = 0;
        // The last piece that fits must leave a place for the ellipsis, if more would follow.
        let is_cut = self.width() > room;
        for (ink, piece) in &self.0 {
            let left = room.saturating_sub(taken);
            let wide = text::width(piece);
            let is_last = is_cut && taken + wide >= room;
            let shown = if is_last {
                // Wider than its room, so that it is cut even if it alone would fit.
                text::cut(&format!("{piece}  "), left).into_owned()
            } else {
                piece.clone()
            };
            taken += wide;
            if screen.has_colours && *ink != Ink::Plain {
                write!(out, "{}{shown}\x1b[0m", ink.code())?;
            } else {
                out.write_all(shown.as_bytes())?;
            }
            if is_last {
                break;
            }
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &Line, width: Option<usize>, has_colours: bool) -> String {
        let mut out = Vec::new();
        line.write(&mut out, Screen { width, has_colours }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_ends_where_the_screen_ends() {
        let line = Line::new().with(Ink::Old, "abc").with(Ink::Plain, "def").with(Ink::New, "g");
        assert_eq!(shown(&line, None, false), "abcdefg\n");
        assert_eq!(shown(&line, Some(7), false), "abcdefg\n");
        assert_eq!(shown(&line, Some(6), false), "abcde…\n");
        assert_eq!(shown(&line, Some(4), false), "abc…\n");
        assert_eq!(shown(&line, Some(3), false), "ab…\n");
        assert_eq!(shown(&line, Some(0), false), "\n");
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted_and_end_with_their_piece() {
        let line = Line::new().with(Ink::Old, "a").with(Ink::Plain, "b");
        assert_eq!(shown(&line, None, true), "\x1b[31ma\x1b[0mb\n");
        assert_eq!(shown(&line, None, false), "ab\n");
    }

    #[test]
    fn what_others_wrote_cannot_colour_the_line() {
        let line = Line::new().with(Ink::Plain, "\x1b[31mred\nnext");
        assert_eq!(shown(&line, None, false), "\\u001b[31mred\\nnext\n");
    }
}
