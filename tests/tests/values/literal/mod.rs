//! A text that a base type's input function takes, for each base type that there is.

mod documents;
mod extensions;
mod geometry;
mod network;
mod numbers;
mod search;
mod system;
mod texts;
mod times;

pub(crate) use self::documents::json_beyond_jsonb;

use crate::draw::Draw;

/// Base types that take no text, each with an expression that has a value of it, where one can be had.
const NO_INPUT: &[(&str, Option<&str>)] = &[
    // From the rules of the system's views.
    ("pg_node_tree", Some("(SELECT ev_action FROM pg_catalog.pg_rewrite ORDER BY oid LIMIT 1)")),
    // From the statistics that `Stage` makes.
    ("pg_ndistinct", Some("(SELECT stxdndistinct FROM pg_catalog.pg_statistic_ext_data LIMIT 1)")),
    (
        "pg_dependencies",
        Some("(SELECT stxddependencies FROM pg_catalog.pg_statistic_ext_data LIMIT 1)"),
    ),
    ("pg_mcv_list", Some("(SELECT stxdmcv FROM pg_catalog.pg_statistic_ext_data LIMIT 1)")),
    // What is in pages of indexes only.
    ("pg_brin_bloom_summary", None),
    ("pg_brin_minmax_multi_summary", None),
    ("gtsvector", None),
    ("ghstore", None),
    ("intbig_gkey", None),
    ("ltree_gist", None),
    ("box2df", None),
    ("gidx", None),
];

/// Whether a base type takes no text at all.
pub(crate) fn has_no_input(name: &str) -> bool {
    NO_INPUT.iter().any(|(no_input, _)| *no_input == name)
}

/// An expression that has a value of a type that takes no text.
pub(crate) fn expression(name: &str) -> Option<&'static str> {
    NO_INPUT.iter().find(|(no_input, _)| *no_input == name)?.1
}

/// A text for the base type of this name; `None` where nobody has thought of the type.
pub(crate) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    let families = [
        numbers::of,
        texts::of,
        times::of,
        geometry::of,
        network::of,
        documents::of,
        search::of,
        system::of,
        extensions::of,
    ];
    families.iter().find_map(|family| family(name, draw))
}

/// The same where the type has a modifier: a length, a precision, a choice of fields; -1 is none.
pub(crate) fn modified(name: &str, modifier: i32, draw: &mut Draw) -> Option<String> {
    let Ok(modifier) = usize::try_from(modifier) else { return of(name, draw) };
    let length = modifier.saturating_sub(4);
    let truncated = |text: String, length: usize| text.chars().take(length).collect();
    Some(match name {
        "varchar" | "bpchar" => truncated(draw.text(), length),
        "varbit" => truncated(of(name, draw)?, modifier),
        "bit" => (0..modifier).map(|_| *draw.pick(&['0', '1'])).collect(),
        "numeric" => {
            let (precision, scale) = (length >> 16, length & 0x7FF);
            format!("0{}.0{}", draw.digits(precision - scale), draw.digits(scale.saturating_sub(1)))
        }
        "timestamp" | "timestamptz" => times::timestamp_of_these_days(draw),
        "interval" => times::interval_of_these_days(draw),
        _ => of(name, draw)?,
    })
}
