//! What the system's own tables are made of.

use super::numbers;
use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    let names: &[&str] = match name {
        "regclass" => {
            &["pg_class", "information_schema.tables", "truth.log", "public.t0", "-", "4294967295"]
        }
        "regcollation" => &["\"C\"", "\"POSIX\"", "\"default\"", "-", "4294967295"],
        "regconfig" => &["simple", "english", "-", "4294967295"],
        "regdictionary" => &["simple", "english_stem", "-", "4294967295"],
        "regnamespace" => &["pg_catalog", "information_schema", "public", "-", "4294967295"],
        "regoper" => &["||/", "|/", "0", "4294967295"],
        "regoperator" => {
            &["+(integer,integer)", "-(NONE,integer)", "||(text,text)", "0", "4294967295"]
        }
        "regproc" => &["now", "truth.write_t0", "-", "4294967295"],
        "regprocedure" => &["now()", "sum(integer)", "truth.write_t0()", "-", "4294967295"],
        "regrole" => &["postgres", "pg_monitor", "-", "4294967295"],
        "regtype" => {
            &["integer", "character varying[]", "\"char\"", "truth.row", "-", "4294967295"]
        }
        "aclitem" => &[
            "=r/postgres",
            "postgres=a*r*w*d*D*x*t*/postgres",
            "pg_monitor=UC/pg_monitor",
            "postgres=/postgres",
        ],
        "pg_snapshot" | "txid_snapshot" => return Some(snapshot(draw)),
        "int2vector" => return Some(vector("int2", draw)),
        "oidvector" => return Some(vector("oid", draw)),
        _ => return None,
    };
    Some((*draw.pick(names)).to_owned())
}

/// `xmin:xmax:` and what was in progress between them.
fn snapshot(draw: &mut Draw) -> String {
    let oldest = draw.between(3, 1 << 40);
    let between: Vec<_> =
        (0..draw.between(0, 4)).map(|step| (oldest + step * 2).to_string()).collect();
    format!("{oldest}:{}:{}", oldest + 100, between.join(","))
}

fn vector(element: &str, draw: &mut Draw) -> String {
    draw.several(5, |draw| numbers::of(element, draw).unwrap()).join(" ")
}
