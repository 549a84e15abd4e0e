//! Types of the user's own: random ones, and those that are special.

use std::fmt::Write as _;

use tokio_postgres::Client;

use crate::draw::Draw;
use crate::{message, quote, sql_literal};

/// Extensions that bring types. What a server does not have is left out.
const EXTENSIONS: &[&str] =
    &["hstore", "citext", "ltree", "cube", "isn", "seg", "intarray", "lo", "vector", "postgis"];

/// What types of one's own are made of, besides each other.
const PARTS: &[&str] = &[
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "numeric(12,3)",
    "money",
    "text",
    "varchar(20)",
    "char(4)",
    "\"char\"",
    "name",
    "bytea",
    "uuid",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "json",
    "jsonb",
    "inet",
    "macaddr",
    "bit(4)",
    "varbit",
    "point",
    "box",
    "tsvector",
    "oid",
    "regclass",
    "oidvector",
    "xid8",
    "pg_lsn",
    "int4range",
    "tstzrange",
    "nummultirange",
    "jsonpath",
];

/// What has an order that ranges can have.
const SUBTYPES: &[&str] = &[
    "text", "float8", "timetz", "uuid", "bytea", "inet", "interval", "varbit", "jsonb", "own.pair",
    "own.mood",
];

/// How many types of its own a run makes at random.
const TYPES: usize = 24;

/// Types that stand for one property each.
const SPECIAL: &str = "\
CREATE TYPE own.mood AS ENUM ('sad', 'very \"happy\"', '', 'NULL', 'it''s', '\u{1f600}', '\\', ' a, {b} (c) '); \
CREATE TYPE own.\"no label\" AS ENUM (); \
CREATE TYPE own.pair AS (n int, \"a \"\"text\"\"\" text); \
CREATE TYPE own.nothing AS (); \
CREATE TYPE own.one AS (\"only\" text); \
CREATE TYPE own.one_array AS (\"only\" int[]); \
CREATE TYPE own.dropped AS (a int, b text, c own.pair[], d text, e timestamp); \
ALTER TYPE own.dropped DROP ATTRIBUTE b, DROP ATTRIBUTE e, ADD ATTRIBUTE f json; \
CREATE TYPE own.all_dropped AS (a int); ALTER TYPE own.all_dropped DROP ATTRIBUTE a; \
CREATE TABLE own.\"a table\" (id int PRIMARY KEY, gone text, at timestamptz, tags text[], p own.pair); \
ALTER TABLE own.\"a table\" DROP COLUMN gone; \
CREATE TABLE own.modified (a numeric(20,4), b numeric(1000,1000), c varchar(10), d char(5), e char, f bit(9), g varbit(9), \
    h time(0), i timetz(2), j timestamp(3), k timestamptz(0), l interval second(2), m interval year, n text[], o numeric(7,2)[], \
    p varchar(3)[]); \
CREATE DOMAIN own.positive AS int CHECK (VALUE IS NULL OR VALUE = VALUE); \
CREATE DOMAIN own.of_domain AS own.positive; \
CREATE DOMAIN own.of_array AS own.of_domain[]; \
CREATE DOMAIN own.of_composite AS own.dropped; \
CREATE DOMAIN own.of_enum AS own.mood; \
CREATE TYPE own.nested AS (a own.of_array[], b own.of_composite, c own.nothing, d own.one[], e own.\"a table\"); \
CREATE TYPE own.semicolon; \
CREATE FUNCTION own.semicolon_in(cstring) RETURNS own.semicolon LANGUAGE internal IMMUTABLE STRICT AS 'textin'; \
CREATE FUNCTION own.semicolon_out(own.semicolon) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'; \
CREATE FUNCTION own.semicolon_receive(internal) RETURNS own.semicolon LANGUAGE internal STABLE STRICT AS 'textrecv'; \
CREATE TYPE own.semicolon (INPUT = own.semicolon_in, OUTPUT = own.semicolon_out, RECEIVE = own.semicolon_receive, LIKE = text, DELIMITER = ';'); \
CREATE TYPE own.shown AS ENUM ('a', 'b \"c\"'); \
CREATE FUNCTION own.shown_to_json(own.shown) RETURNS json LANGUAGE sql IMMUTABLE \
    AS 'SELECT json_build_object(''shown'', $1::text)'; \
CREATE CAST (own.shown AS json) WITH FUNCTION own.shown_to_json(own.shown); \
CREATE DOMAIN own.of_shown AS own.shown";

/// The columns of `own.modified`: types with a length, a precision, and so on.
pub(crate) const MODIFIED: &str = "\
SELECT format_type(atttypid, atttypmod), atttypid, atttypmod FROM pg_attribute \
WHERE attrelid = 'own.modified'::regclass AND attnum > 0 ORDER BY attnum";

/// Makes everything. Prints which extensions there are not.
pub(crate) async fn create(client: &Client, draw: &mut Draw) {
    let available = client
        .query(
            "SELECT name::text FROM pg_available_extensions WHERE name = ANY ($1)",
            &[&EXTENSIONS],
        )
        .await
        .unwrap();
    let available: Vec<String> = available.iter().map(|row| row.get(0)).collect();
    let mut script = "CREATE SCHEMA own; ".to_owned();
    for extension in EXTENSIONS {
        if available.iter().any(|name| name == extension) {
            write!(script, "CREATE EXTENSION {extension}; ").unwrap();
        } else {
            eprintln!("left out extension {extension}: this server does not have it");
        }
    }
    script.push_str(SPECIAL);
    client.batch_execute(&script).await.unwrap();

    let mut parts: Vec<String> = PARTS.iter().map(|part| (*part).to_owned()).collect();
    parts.extend(
        ["own.mood", "own.pair", "own.nothing", "own.one", "own.nested", "own.semicolon"]
            .map(str::to_owned),
    );
    if available.iter().any(|name| name == "hstore") {
        parts.push("hstore".to_owned());
    }
    for number in 0..TYPES {
        let name = format!("own.{}", quote(&unique(number, draw)));
        let definition = definition(&name, number, &parts, draw);
        if let Err(error) = client.batch_execute(&definition).await {
            panic!("{}\n{definition}", message(&error));
        }
        parts.push(name);
    }
}

fn definition(name: &str, number: usize, parts: &[String], draw: &mut Draw) -> String {
    let part =
        |draw: &mut Draw| format!("{}{}", draw.pick(parts), if draw.one_in(4) { "[]" } else { "" });
    match draw.below(8) {
        0 => {
            let labels: Vec<_> = (0..5).map(|number| sql_literal(&unique(number, draw))).collect();
            format!("CREATE TYPE {name} AS ENUM ({})", labels.join(", "))
        }
        1 => format!(
            "CREATE TYPE {name} AS RANGE (SUBTYPE = {}, MULTIRANGE_TYPE_NAME = own.multirange{number})",
            draw.pick(SUBTYPES)
        ),
        2 | 3 => format!("CREATE DOMAIN {name} AS {}", part(draw)),
        kind => {
            let columns: Vec<_> = (0..draw.below(7))
                .map(|number| format!("{} {}", quote(&unique(number, draw)), part(draw)))
                .collect();
            let kind = if kind == 4 { "TABLE" } else { "TYPE" };
            let keyword = if kind == "TYPE" { "AS " } else { "" };
            format!("CREATE {kind} {name} {keyword}({})", columns.join(", "))
        }
    }
}

/// A name that no other number has.
fn unique(number: usize, draw: &mut Draw) -> String {
    let mut name = format!("{number}{}", draw.name());
    while name.len() > 63 {
        name.pop();
    }
    name
}
