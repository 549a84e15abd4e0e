//! Text search.

use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "tsvector" => draw.several(5, lexeme_with_positions).join(" "),
        "tsquery" => match draw.below(8) {
            0 => String::new(),
            _ => query(draw, 3),
        },
        _ => return None,
    })
}

/// In quotes, which two quotes or backslashes escape.
fn lexeme(draw: &mut Draw) -> String {
    let text: String = draw.text().chars().take(100).collect();
    // A lexeme of a query has one character at least.
    format!("'x{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn lexeme_with_positions(draw: &mut Draw) -> String {
    let positions = draw.several(4, |draw| {
        format!("{}{}", draw.between(1, 16_383), draw.pick(&["", "A", "B", "C", "D"]))
    });
    let colon = if positions.is_empty() { "" } else { ":" };
    format!("{}{colon}{}", lexeme(draw), positions.join(","))
}

fn query(draw: &mut Draw, depth: usize) -> String {
    match draw.below(5) {
        0 if depth > 0 => format!("!({})", query(draw, depth - 1)),
        1..4 if depth > 0 => {
            let operator = *draw.pick(&["&", "|", "<->", "<7>"]);
            format!("({}) {operator} ({})", query(draw, depth - 1), query(draw, depth - 1))
        }
        _ => format!("{}{}", lexeme(draw), draw.pick(&["", ":*", ":A", ":*BD"])),
    }
}
