//! Texts and bytes.

use crate::draw::{Draw, Room};

/// Bytes of a text that is much larger than a page.
const HUGE_BYTES: usize = 1 << 20;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "text" | "varchar" | "bpchar" | "refcursor" => {
            if draw.is_large() {
                huge(draw)
            } else {
                draw.text()
            }
        }
        "name" => match draw.below(8) {
            0 => String::new(),
            _ => draw.name(),
        },
        // One byte. What is not ASCII is not a text before PostgreSQL 16: see `marked`.
        "char" => match draw.below(8) {
            0 => String::new(),
            _ => char::from(draw.bytes(1)[0] & 0x7F).to_string().replace('\0', ""),
        },
        "bytea" => {
            let bytes = match draw.below(10) {
                0 => (0..=u8::MAX).collect(),
                1 if draw.room == Room::Column => {
                    let length = draw.below(10_000);
                    draw.bytes(length)
                }
                _ => {
                    let length = draw.below(30);
                    draw.bytes(length)
                }
            };
            format!("\\x{}", hexadecimal(&bytes))
        }
        "uuid" => hexadecimal(&draw.bytes(16)),
        _ => return None,
    })
}

/// A text that compresses, or one that does not.
fn huge(draw: &mut Draw) -> String {
    if draw.one_in(2) {
        let piece = draw.text() + "x";
        return piece.repeat(HUGE_BYTES / piece.len());
    }
    let mut text = String::with_capacity(HUGE_BYTES);
    while text.len() < HUGE_BYTES {
        text.push(draw.character());
    }
    text
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
