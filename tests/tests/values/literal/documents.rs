//! JSON, paths into it, and XML.

use crate::draw::{Draw, Room};

/// How deep a document nests that wants to be deep; `jsonb` in `changes` may go further.
const DEEP: usize = 900;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "json" | "jsonb" if draw.is_large() => match draw.one_in(2) {
            true => "[".repeat(DEEP) + "1" + &"]".repeat(DEEP),
            false => "{\"a\":".repeat(DEEP) + "{}" + &"}".repeat(DEEP),
        },
        "json" | "jsonb" => {
            let depth = draw.below(5);
            json(draw, depth)
        }
        "jsonpath" => jsonpath(draw),
        "xml" => xml(draw, 3),
        _ => return None,
    })
}

/// What a `json` column holds and `jsonb` does not.
pub(crate) fn json_beyond_jsonb(draw: &mut Draw) -> String {
    let beyond = *draw.pick(&[
        r#""\u0000""#,
        r#"{"\u0000":1}"#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""a\udfff""#,
        "1E400000",
        "-1e131072",
        "1e-16384",
        "[0e-16384]",
        r#"{"deep":[{"a":"x\u0000y"}]}"#,
        r#""\ud83d\ud83d""#,
    ]);
    match draw.below(3) {
        0 => format!(" [ {beyond}\n]\t"),
        1 => format!("{{\"a\":1,\"b\":{beyond}}}"),
        _ => beyond.to_owned(),
    }
}

fn json(draw: &mut Draw, depth: usize) -> String {
    let space = *draw.pick(&["", "", "", " ", "\n\t", "\r\n  "]);
    let value = match draw.below(8) {
        0 => (*draw.pick(&["null", "true", "false", "[]", "{}", "{ }"])).to_owned(),
        1 => number(draw),
        2 => string(draw),
        _ if depth == 0 => string(draw),
        3..6 => {
            let elements = draw.several(4, |draw| json(draw, depth - 1));
            format!("[{}]", elements.join(","))
        }
        _ => {
            let members = draw.several(4, |draw| {
                // The same key twice, every now and then.
                let key = if draw.one_in(3) { "\"a\"".to_owned() } else { string(draw) };
                format!("{key}{space}:{}", json(draw, depth - 1))
            });
            format!("{{{}}}", members.join(","))
        }
    };
    format!("{space}{value}{space}")
}

fn number(draw: &mut Draw) -> String {
    let sign = *draw.pick(&["", "-"]);
    match draw.below(8) {
        0 => format!("{sign}0"),
        1 => format!("{sign}0.{}", "0".repeat(1 + draw.below(9))),
        2 => format!("{sign}{}", u128::from(draw.bits()) << 60),
        3 => format!("{sign}{}.{}0", draw.bits(), draw.bits()),
        4 => format!(
            "{sign}{}{}{}",
            draw.below(10),
            draw.pick(&["e", "E", "e+", "E-"]),
            draw.below(400)
        ),
        5 if draw.room == Room::Column => {
            format!("{sign}{}", draw.pick(&["1e131071", "0.1e131072", "1e-16383", "0e131071"]))
        }
        _ => format!("{sign}{}", draw.below(1000)),
    }
}

/// Characters as they are and escaped, in all ways that there are.
fn string(draw: &mut Draw) -> String {
    let mut string = String::from("\"");
    for character in draw.text().chars().take(200) {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            '/' if draw.one_in(2) => string.push_str("\\/"),
            '\u{8}' if draw.one_in(2) => string.push_str("\\b"),
            '\u{c}' if draw.one_in(2) => string.push_str("\\f"),
            '\n' => string.push_str("\\n"),
            '\r' => string.push_str("\\r"),
            '\t' => string.push_str("\\t"),
            _ if character < ' ' || draw.one_in(8) => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    let escape = if draw.one_in(2) {
                        format!("\\u{unit:04x}")
                    } else {
                        format!("\\u{unit:04X}")
                    };
                    string.push_str(&escape);
                }
            }
            _ => string.push(character),
        }
    }
    string.push('"');
    string
}

fn jsonpath(draw: &mut Draw) -> String {
    let key = string(draw);
    let paths = [
        "$".to_owned(),
        format!("strict $.{key}[*] ? (@ > {})", draw.below(100)),
        format!("lax $.a.{key}.double()"),
        "$[0 to last]".to_owned(),
        "$.** ? (@ like_regex \"^a.*\\\\d\" flag \"i\")".to_owned(),
        format!("exists($.a ? (@ == {key})) || !($.b starts with {key}) && $ == null"),
        "-$.a * (2 + $x) % 3".to_owned(),
    ];
    draw.pick(&paths).clone()
}

fn xml(draw: &mut Draw, depth: usize) -> String {
    let attribute = format!("a=\"{}\"", xml_text(draw));
    let content = if depth == 0 || draw.one_in(3) {
        match draw.below(4) {
            0 => format!("<![CDATA[{} <&>]]>", draw.word()),
            1 => format!("<!-- {} -->", draw.word()),
            _ => xml_text(draw),
        }
    } else {
        draw.several(3, |draw| xml(draw, depth - 1)).concat()
    };
    match draw.below(4) {
        0 => format!("<e {attribute}/>"),
        1 if depth == 3 => format!("<?xml version=\"1.0\"?><e>{content}</e>"),
        _ => format!("<e {attribute}>{content}</e>"),
    }
}

/// XML has no control characters, and none of what is no character.
fn xml_text(draw: &mut Draw) -> String {
    let is_fit = |c: &char| matches!(c, '\t' | '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fdcf}' | '\u{10000}'..='\u{1fffd}');
    let text: String = draw.text().chars().filter(is_fit).take(60).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
