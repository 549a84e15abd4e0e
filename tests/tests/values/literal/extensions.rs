//! Types that extensions bring.

use super::numbers::coordinate;
use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "citext" => draw.text(),
        "hstore" => draw.several(5, pair).join(","),
        "ltree" => draw.several(5, label).join("."),
        "lquery" => {
            let item = *draw.pick(&["*", "*{1,3}", "a|b", "!c", "d*@%", "*{,4}"]);
            format!("{}.{item}", draw.word())
        }
        "ltxtquery" => format!("{} {} !{}*@", draw.word(), draw.pick(&["&", "|"]), draw.word()),
        "cube" => cube(draw),
        "seg" => (*draw.pick(&[
            "1.5 .. 2.50",
            "~5.0",
            "<1e-5",
            "5(+-)0.3",
            "5 ..",
            ".. >3e10",
            "-0.1 .. ~7",
        ]))
        .to_owned(),
        "query_int" => format!(
            "{}{}(!{}|{})",
            draw.below(99),
            draw.pick(&["&", "|"]),
            draw.below(99),
            draw.below(99)
        ),
        "ean13" => article_number(draw, ""),
        "isbn" | "isbn13" => article_number(draw, "978"),
        "ismn" | "ismn13" => article_number(draw, "9790"),
        "issn" | "issn13" => article_number(draw, "977"),
        "upc" => article_number(draw, "0"),
        // pgvector: 32 bits, 16 bits, and those that are not zero only.
        "vector" => {
            format!("[{}]", elements(draw, &["1e-30", "-3.4e38", "1.1754944e-38"]).join(","))
        }
        "halfvec" => format!("[{}]", elements(draw, &["65504", "-6.1e-05", "6e-08"]).join(",")),
        "sparsevec" => {
            let elements = elements(draw, &["1e-30", "-3.4e38"]);
            let elements: Vec<_> = (1..)
                .zip(elements)
                .map(|(place, element)| format!("{}:{element}", place * 3))
                .collect();
            format!("{{{}}}/1000", elements.join(","))
        }
        // PostGIS.
        "geometry" => format!("{}{}", draw.pick(&["", "SRID=4326;"]), geometry(draw, 2)),
        "geography" => match draw.below(3) {
            0 => "POINT EMPTY".to_owned(),
            1 => format!("POINT Z ({} {} 3.25)", draw.between(-180, 180), draw.between(-90, 90)),
            _ => format!(
                "LINESTRING({} {},0.1 -0.2)",
                draw.between(-179, 180),
                draw.between(-90, 89)
            ),
        },
        "box2d" => format!(
            "BOX({} {},{} {})",
            coordinate(draw),
            coordinate(draw),
            coordinate(draw),
            coordinate(draw)
        ),
        "box3d" => format!(
            "BOX3D({} {} 1,{} {} 2.5)",
            coordinate(draw),
            coordinate(draw),
            coordinate(draw),
            coordinate(draw)
        ),
        "spheroid" => "SPHEROID[\"WGS 84\",6378137,298.257223563]".to_owned(),
        // A base type that `definitions` makes, with a delimiter of its own in its arrays.
        "semicolon" => draw.text(),
        _ => return None,
    })
}

fn quoted(draw: &mut Draw) -> String {
    format!("\"{}\"", draw.text().replace('\\', "\\\\").replace('"', "\\\""))
}

fn pair(draw: &mut Draw) -> String {
    let value = if draw.one_in(4) { "NULL".to_owned() } else { quoted(draw) };
    format!("{}=>{value}", quoted(draw))
}

fn label(draw: &mut Draw) -> String {
    let hyphen = if draw.version >= 160_000 && draw.one_in(4) { "-" } else { "_" };
    format!("{}{hyphen}{}", draw.word(), draw.word())
}

fn cube(draw: &mut Draw) -> String {
    let mut corner = |count: usize| {
        let numbers: Vec<_> = (0..count).map(|_| coordinate(draw)).collect();
        format!("({})", numbers.join(","))
    };
    let (one, other) = (corner(3), corner(3));
    if draw.one_in(2) { one } else { format!("{one},{other}") }
}

/// Thirteen digits, the last of which checks the others.
fn article_number(draw: &mut Draw, prefix: &str) -> String {
    let digits = format!("{prefix}{}", draw.digits(12 - prefix.len()));
    let sum: u32 = digits
        .chars()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| digit.to_digit(10).unwrap() * weight)
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn elements(draw: &mut Draw, edges: &[&str]) -> Vec<String> {
    let mut elements = draw.several(8, |draw| {
        if draw.one_in(3) {
            (*draw.pick(edges)).to_owned()
        } else {
            format!("-{}.5", draw.below(1000))
        }
    });
    elements.push("7".to_owned());
    elements
}

fn geometry(draw: &mut Draw, depth: usize) -> String {
    match draw.below(5) {
        0 => (*draw.pick(&["POINT EMPTY", "LINESTRING EMPTY", "GEOMETRYCOLLECTION EMPTY"]))
            .to_owned(),
        1 => format!("LINESTRING({} {},0.1 -0.2)", coordinate(draw), coordinate(draw)),
        2 => "POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))".to_owned(),
        3 if depth > 0 => format!(
            "GEOMETRYCOLLECTION({},{})",
            geometry(draw, depth - 1),
            geometry(draw, depth - 1)
        ),
        _ => format!("POINT({} {})", coordinate(draw), coordinate(draw)),
    }
}
