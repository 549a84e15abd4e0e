//! A text of any type: what [`literal`](crate::literal) has for base types, put together as the server's
//! input functions take it.

use std::collections::HashMap;
use std::fmt::Write as _;

use tokio_postgres::Client;

use crate::draw::{Draw, Room};
use crate::literal;
use crate::types::{DataType, Part, Shape, Types};

/// Composites in composites, arrays in them, and so on: below that, NULL.
const DEPTH_MAX: usize = 4;

/// How many ranges of each type there are to choose from.
const RANGES: usize = 10;

/// Values of every type.
pub(crate) struct Values {
    pub(crate) types: Types,
    /// Ranges by their type, as the server wrote them: it knows which bound is the lower one.
    ranges: HashMap<u32, Vec<String>>,
}

impl Values {
    pub(crate) async fn new(types: Types, client: &Client, draw: &mut Draw) -> Self {
        let mut values = Self { types, ranges: HashMap::new() };
        let ranges: Vec<_> = values
            .types
            .iter()
            .filter_map(|data_type| match data_type.shape {
                Shape::Range { subtype } => Some((data_type.oid, subtype)),
                _ => None,
            })
            .collect();
        for (oid, subtype) in ranges {
            let pool = values.draw_ranges(oid, subtype, client, draw).await;
            values.ranges.insert(oid, pool);
        }
        values
    }

    /// A text of the type; `None` is NULL.
    pub(crate) fn text(&self, part: Part, draw: &mut Draw) -> Option<String> {
        self.text_at(part, draw, 0)
    }

    fn text_at(
        &self,
        Part { oid, modifier }: Part,
        draw: &mut Draw,
        depth: usize,
    ) -> Option<String> {
        if draw.one_in(8) || depth > DEPTH_MAX {
            return None;
        }
        let data_type = self.types.get(oid);
        match &data_type.shape {
            Shape::Pseudo => None,
            Shape::Base if literal::has_no_input(&data_type.bare_name) => None,
            Shape::Base if data_type.bare_name == "xml" && !draw.has_xml => None,
            Shape::Base => Some(literal::modified(&data_type.bare_name, modifier, draw).unwrap()),
            Shape::Enum { labels } => {
                if labels.is_empty() {
                    None
                } else {
                    Some(draw.pick(labels).clone())
                }
            }
            Shape::Domain { base } => self.domain(data_type, *base, draw, depth),
            Shape::Array { element, delimiter } => {
                // The modifier is that of the elements.
                let element = Part { oid: *element, modifier };
                Some(with_parts(draw, |draw| self.array(element, delimiter, draw, depth)))
            }
            Shape::Composite { attributes } => {
                let fields: Vec<_> = with_parts(draw, |draw| {
                    let field = |part: &Part| self.text_at(*part, draw, depth + 1);
                    attributes
                        .iter()
                        .map(field)
                        .map(|text| text.map_or_else(String::new, |text| quoted(&text)))
                        .collect()
                });
                Some(format!("({})", fields.join(",")))
            }
            Shape::Range { .. } => self.range(oid, draw),
            Shape::Multirange { range } => {
                let ranges = draw.several(4, |draw| {
                    self.range(*range, draw).unwrap_or_else(|| "empty".to_owned())
                });
                Some(format!("{{{}}}", ranges.join(",")))
            }
        }
    }

    fn domain(
        &self,
        domain: &DataType,
        base: Part,
        draw: &mut Draw,
        depth: usize,
    ) -> Option<String> {
        match domain.bare_name.as_str() {
            // The domains of the information schema have conditions.
            "yes_or_no" => Some((*draw.pick(&["YES", "NO"])).to_owned()),
            "cardinal_number" => Some(draw.between(0, i32::MAX.into()).to_string()),
            _ => self.text_at(base, draw, depth),
        }
    }

    /// Up to six dimensions, of any bounds, all of whose sub-arrays have the same length.
    fn array(&self, element: Part, delimiter: &str, draw: &mut Draw, depth: usize) -> String {
        if draw.one_in(8) {
            return "{}".to_owned();
        }
        let dimensions = match draw.below(20) {
            0 => 6,
            1..4 => 3,
            4..8 => 2,
            _ => 1,
        };
        let lengths: Vec<usize> =
            (0..dimensions).map(|_| 1 + draw.below(if dimensions > 3 { 2 } else { 4 })).collect();
        let mut text = String::new();
        if draw.one_in(4) {
            for length in &lengths {
                let first =
                    *draw.pick(&[0, 2, -1, 1, i64::from(i32::MIN), i64::from(i32::MAX) - 10]);
                write!(text, "[{first}:{}]", first + i64::try_from(*length).unwrap() - 1).unwrap();
            }
            text.push('=');
        }
        self.sub_array(&mut text, element, delimiter, &lengths, draw, depth);
        text
    }

    fn sub_array(
        &self,
        out: &mut String,
        element: Part,
        delimiter: &str,
        lengths: &[usize],
        draw: &mut Draw,
        depth: usize,
    ) {
        let Some((length, inner)) = lengths.split_first() else {
            match self.text_at(element, draw, depth + 1) {
                None => out.push_str("NULL"),
                Some(text) => {
                    write!(out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).unwrap();
                }
            }
            return;
        };
        out.push('{');
        for place in 0..*length {
            if place > 0 {
                out.push_str(delimiter);
            }
            self.sub_array(out, element, delimiter, inner, draw, depth);
        }
        out.push('}');
    }

    fn range(&self, oid: u32, draw: &mut Draw) -> Option<String> {
        let pool = &self.ranges[&oid];
        if pool.is_empty() { None } else { Some(draw.pick(pool).clone()) }
    }

    async fn draw_ranges(
        &self,
        oid: u32,
        subtype: u32,
        client: &Client,
        draw: &mut Draw,
    ) -> Vec<String> {
        let (name, subtype_name) = (&self.types.get(oid).name, &self.types.get(subtype).name);
        let mut pool = vec!["empty".to_owned(), "(,)".to_owned()];
        // Each is used many times.
        draw.room = Room::Key;
        while pool.len() < RANGES {
            let bound = |draw: &mut Draw| {
                let text = self.text(Part { oid: subtype, modifier: -1 }, draw);
                text.map_or("NULL".to_owned(), |text| crate::sql_literal(&text))
                    + "::"
                    + subtype_name
            };
            let (one, other, flags) =
                (bound(draw), bound(draw), *draw.pick(&["[)", "(]", "[]", "()"]));
            let made = client
                .query_one(
                    &format!(
                        "SELECT CASE WHEN a > b THEN {name}(b, a, '{flags}') ELSE {name}(a, b, '{flags}') END::text \
                         FROM (SELECT {one} AS a, {other} AS b) bounds"
                    ),
                    &[],
                )
                .await;
            match made {
                Ok(row) => pool.push(row.get(0)),
                // The largest number, included, would need the one after it as the bound that is not.
                Err(error) => {
                    let message = error
                        .as_db_error()
                        .map_or_else(|| error.to_string(), |error| error.message().to_owned());
                    assert!(
                        message.contains("out of range"),
                        "{name} of {one} and {other}: {message}"
                    );
                    pool.push("empty".to_owned());
                }
            }
        }
        draw.room = Room::Column;
        pool
    }
}

/// What `draw_parts` draws are parts of a value, none of which may be as large as a whole one.
fn with_parts<T>(draw: &mut Draw, draw_parts: impl FnOnce(&mut Draw) -> T) -> T {
    let room = draw.room;
    draw.room = room.min(Room::Part);
    let parts = draw_parts(draw);
    draw.room = room;
    parts
}

/// As a field of a composite.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
}
