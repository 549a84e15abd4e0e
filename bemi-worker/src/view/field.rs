//! What became of a column: one line, in which the difference can be seen even where there is no room
//! for the values.

use std::borrow::Cow;

use super::screen::{Ink, Line, Screen};
use super::text::{self, ELLIPSIS, printable};

/// What stands where the record does not tell a value.
const NOT_RECORDED: &str = "?";

const ARROW: &str = " → ";

/// How much is shown of what two values have in common before they differ.
const SHARED_SHOWN: usize = 8;

/// A column with a value that came: `+ task: "milk"`.
pub(super) fn came(column: &str, value: &str) -> Line {
    Line::new().with(Ink::New, &format!("  + {column}: {value}"))
}

/// A column with a value that went: `- task: "milk"`.
pub(super) fn went(column: &str, value: &str) -> Line {
    Line::new().with(Ink::Old, &format!("  - {column}: {value}"))
}

/// A column with another value than before: `status: "open" → "done"`. None is a value that the
/// record does not tell.
pub(super) fn changed(
    column: &str,
    before: Option<&str>,
    after: Option<&str>,
    screen: Screen,
) -> Line {
    let name = format!("  {column}: ");
    let (before, after) = (before.unwrap_or(NOT_RECORDED), after.unwrap_or(NOT_RECORDED));
    let (before, after) = (printable(before), printable(after));
    let taken = text::width(&printable(&name)) + text::width(ARROW);
    let room = screen.width.map(|width| width.saturating_sub(taken));
    let (before, after) = fit(&before, &after, room);
    Line::new()
        .with(Ink::Plain, &name)
        .with(Ink::Old, &before)
        .with(Ink::Faint, ARROW)
        .with(Ink::New, &after)
}

/// Both values, cut so that they have room, and begun shortly before they differ.
fn fit<'a>(before: &'a str, after: &'a str, room: Option<usize>) -> (Cow<'a, str>, Cow<'a, str>) {
    let widths = (text::width(before), text::width(after));
    let Some(room) = room.filter(|room| widths.0 + widths.1 > *room) else {
        return (before.into(), after.into());
    };
    let (before, after) = from_difference(before, after);
    let widths = (text::width(&before), text::width(&after));
    let half = room / 2;
    let rooms = match widths {
        (wide, _) if wide <= half => (wide, room - wide),
        (_, wide) if wide <= half => (room - wide, wide),
        _ => (half, room - half),
    };
    let cut = |value: &str, room| Cow::Owned(text::cut(value, room).into_owned());
    (cut(&before, rooms.0), cut(&after, rooms.1))
}

/// Both values without what they have in common at the beginning, but for a little of it.
fn from_difference<'a>(before: &'a str, after: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    let shared = before.chars().zip(after.chars()).take_while(|(one, other)| one == other).count();
    let skipped = shared.saturating_sub(SHARED_SHOWN);
    // Not worth an ellipsis otherwise.
    if skipped <= SHARED_SHOWN {
        return (before.into(), after.into());
    }
    let rest = |value: &str| {
        let rest: String = value.chars().skip(skipped).collect();
        Cow::Owned(format!("{ELLIPSIS}{rest}"))
    };
    (rest(before), rest(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: Option<&str>, after: Option<&str>, width: Option<usize>) -> String {
        let screen = Screen { width, has_colours: false };
        let mut out = Vec::new();
        changed("task", before, after, screen).write(&mut out, screen).unwrap();
        String::from_utf8(out).unwrap().trim_end().to_owned()
    }

    #[test]
    fn both_values_are_there_where_there_is_room() {
        let told = "  task: \"open\" → \"done\"";
        assert_eq!(shown(Some("\"open\""), Some("\"done\""), None), told);
        assert_eq!(shown(Some("\"open\""), Some("\"done\""), Some(23)), told);
        assert_eq!(shown(None, Some("1"), None), "  task: ? → 1");
    }

    #[test]
    fn each_has_half_of_the_room_unless_it_needs_less() {
        assert_eq!(shown(Some("1"), Some("\"0123456789\""), Some(20)), "  task: 1 → \"012345…");
        assert_eq!(shown(Some("\"0123456789\""), Some("1"), Some(20)), "  task: \"012345… → 1");
        let both = shown(Some("\"0123456789\""), Some("\"abcdefghij\""), Some(25));
        assert_eq!(both, "  task: \"01234… → \"abcde…");
    }

    #[test]
    fn long_values_are_shown_from_where_they_differ() {
        let text = |end: &str| format!("\"{}{end}\"", "a".repeat(100));
        let told = shown(Some(&text("OLD")), Some(&text("NEW")), Some(60));
        assert_eq!(told, "  task: …aaaaaaaaOLD\" → …aaaaaaaaNEW\"");
    }

    #[test]
    fn nothing_is_wider_than_the_screen() {
        for width in 0..40 {
            let told = shown(Some("\"日本語日本語\""), Some("\"日本語\u{1b}日本\""), Some(width));
            assert!(text::width(&told) <= width, "{width}: {told}");
        }
    }
}
