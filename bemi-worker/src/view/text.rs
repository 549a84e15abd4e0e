//! Texts that others wrote, made fit for a terminal: nothing in them moves the cursor, changes a
//! colour or turns the direction of writing, and each is as wide as is said.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// What stands where something was cut off.
pub(super) const ELLIPSIS: &str = "…";

/// The text with everything escaped that a terminal would obey instead of showing, as JSON would
/// escape it.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_obeyed(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a String cannot fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Controls; marks that turn the direction of writing, or that cannot be seen. Joiners stay: scripts
/// need them, and they do no harm.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61C}'
                | '\u{200B}'
                | '\u{200E}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

/// How many columns of a terminal the text takes, at most.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The text, or as much of its beginning as there is room for, and `…`.
pub(super) fn cut(text: &str, room: usize) -> Cow<'_, str> {
    let mut taken = 0;
    // Where the text ends if the ellipsis has to stand behind it.
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let wide = width_of(c);
        if taken + wide < room {
            end = at + c.len_utf8();
        }
        taken += wide;
        if taken > room {
            if room == 0 {
                return Cow::Borrowed("");
            }
            return Cow::Owned(format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default()));
        }
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(printable("\u{1b}[2J\u{7}a\tb\r\n"), "\\u001b[2J\\u0007a\\tb\\r\\n");
        assert_eq!(printable("\u{9b}1m\u{7f}"), "\\u009b1m\\u007f");
        assert_eq!(printable("ab\u{202e}dc\u{2066}"), "ab\\u202edc\\u2066");
        assert_eq!(printable("\u{e0041}"), "\\udb40\\udc41");
        assert_eq!(printable("naïve 日本 👩\u{200d}🚀"), "naïve 日本 👩\u{200d}🚀");
    }

    #[test]
    fn what_is_cut_is_never_wider_than_its_room_and_never_within_a_character() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本語", 1), "…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut("", 0), "");
        for room in 0..20 {
            assert!(width(&cut("a日e\u{301}本👩\u{200d}🚀 with some text behind", room)) <= room);
        }
    }

    #[test]
    fn accents_that_are_combined_stay_with_their_letter_and_take_no_room() {
        assert_eq!(cut("e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
        assert_eq!(cut("e\u{301}ee", 2), "e\u{301}…");
    }
}
