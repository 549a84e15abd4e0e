//! Numbers, and what is written like one.

use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "bool" => (*draw.pick(&["t", "f"])).to_owned(),
        "int2" => integer(draw, i16::MIN.into(), i16::MAX.into()),
        "int4" => integer(draw, i32::MIN.into(), i32::MAX.into()),
        "int8" => integer(draw, i64::MIN, i64::MAX),
        "oid" | "xid" | "cid" => integer(draw, 0, u32::MAX.into()),
        "xid8" => match draw.below(8) {
            0 => u64::MAX.to_string(),
            _ => draw.bits().to_string(),
        },
        "tid" => {
            format!("({},{})", integer(draw, 0, u32::MAX.into()), integer(draw, 0, u16::MAX.into()))
        }
        "pg_lsn" => format!("{:X}/{:X}", draw.bits() >> 32, draw.bits() >> 32),
        "float4" => float4(draw),
        "float8" => float8(draw),
        "numeric" => numeric(draw),
        "money" => match draw.below(8) {
            0 => "-92233720368547758.08".to_owned(),
            1 => "92233720368547758.07".to_owned(),
            _ => format!("{}{}.{:02}", draw.pick(&["", "-"]), draw.bits() >> 10, draw.below(100)),
        },
        "bit" | "varbit" => (0..draw.below(70)).map(|_| *draw.pick(&['0', '1'])).collect(),
        _ => return None,
    })
}

/// The ends, what is around zero and around what a double holds, and anything.
fn integer(draw: &mut Draw, first: i64, last: i64) -> String {
    let edges = [first, first + 1, last, last - 1, 0, 1, -1, 9_007_199_254_740_993];
    match *draw.pick(&edges) {
        edge if draw.one_in(3) && (first..=last).contains(&edge) => edge.to_string(),
        _ if draw.one_in(2) => draw.between(first, last).to_string(),
        _ => draw.between(first.max(-1000), last.min(1000)).to_string(),
    }
}

fn float4(draw: &mut Draw) -> String {
    let edges = [
        "NaN",
        "Infinity",
        "-Infinity",
        "-0",
        "0",
        "1e-45",
        "-1.1754942e-38",
        "3.4028235e38",
        "0.1",
        "1e15",
        "1e-5",
    ];
    if draw.one_in(2) {
        return (*draw.pick(&edges)).to_owned();
    }
    // The upper half has the bits of sign and exponent.
    let bits = u32::try_from(draw.between(0, u32::MAX.into())).unwrap_or_default();
    spelled(f32::from_bits(bits).into(), &format!("{:e}", f32::from_bits(bits)))
}

pub(super) fn float8(draw: &mut Draw) -> String {
    let edges = [
        "NaN",
        "Infinity",
        "-Infinity",
        "-0",
        "0",
        "5e-324",
        "-2.2250738585072011e-308",
        "1.7976931348623157e308",
        "0.1",
        "9007199254740993",
        "1e15",
        "1e16",
        "1e-5",
        "123456.789",
    ];
    if draw.one_in(2) {
        return (*draw.pick(&edges)).to_owned();
    }
    let value = f64::from_bits(u64::from_ne_bytes(draw.bytes(8).try_into().unwrap()));
    spelled(value, &format!("{value:e}"))
}

/// A number that is not too large for the rest of a geometric value.
pub(super) fn coordinate(draw: &mut Draw) -> String {
    format!("{}{}.{}", draw.pick(&["", "-"]), draw.bits() >> 40, draw.below(1000))
}

/// As the server reads it.
fn spelled(value: f64, text: &str) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        text.to_owned()
    }
}

fn numeric(draw: &mut Draw) -> String {
    let sign = *draw.pick(&["", "-"]);
    if draw.is_large() {
        return match draw.below(5) {
            0 => format!("{sign}{}", draw.digits(130_000)),
            1 => format!("{sign}0.{}", draw.digits(16_383)),
            2 => format!("{sign}{}.{}", draw.digits(131_072), draw.digits(16_383)),
            3 => format!("{sign}1e131071"),
            _ => format!("{sign}1e-16383"),
        };
    }
    match draw.below(12) {
        0 => "NaN".to_owned(),
        1 => format!("{sign}Infinity"),
        2 => format!("{sign}0.{}", "0".repeat(draw.below(20))),
        3 => format!("{sign}{}e{}", draw.below(1000), draw.between(-40, 40)),
        _ => {
            let (before, after) = (draw.below(30), draw.below(30));
            format!("{sign}0{}.{}0", draw.digits(before), draw.digits(after))
        }
    }
}
