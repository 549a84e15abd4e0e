//! Every type of column, given values that fit and values that do not.

use tokio_postgres::types::Type;

use crate::twins::{Twins, clusters};

const DEFINITIONS: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'ok'); \
    CREATE DOMAIN positive AS int CHECK (VALUE > 0); \
    CREATE DOMAIN short AS varchar(3) NOT NULL; \
    CREATE TYPE pair AS (a int, b varchar(2));";

/// A type, and texts to write into a column of it.
const TYPES: [(&str, &[&str]); 38] = [
    ("int2", &["1", "-32769", "x", ""]),
    ("int4", &["1", "2147483648", "x", " 7 "]),
    ("int8", &["1", "9223372036854775808", "1.5"]),
    ("numeric", &["1.10", "NaN", "1e400", "x"]),
    ("numeric(4, 1)", &["12.34", "999.96", "-0.05", "NaN"]),
    ("float4", &["0.1", "1e39", "NaN"]),
    ("float8", &["0.1", "1e309", "-Infinity"]),
    ("money", &["1.005", "x"]),
    ("bool", &["true", "f", "2"]),
    ("text", &["it's \\ \u{1F600}", ""]),
    ("varchar", &["abc"]),
    ("varchar(3)", &["abc", "abcd", "abc   ", "äöü"]),
    ("char(3)", &["a", "abc  ", "abcd", ""]),
    ("\"char\"", &["a", "abc"]),
    ("name", &["abc"]),
    ("bit(3)", &["101", "10", "1011", "2"]),
    ("bit varying(2)", &["1", "10", "101"]),
    ("bytea", &["\\xdeadbeef", "\\x0", "abc"]),
    ("date", &["2024-02-29", "2023-02-29", "infinity"]),
    ("time(0)", &["12:34:56.789", "25:00"]),
    ("timetz", &["12:34:56+02"]),
    ("timestamp(0)", &["2024-02-29 12:34:56.789", "now and then"]),
    ("timestamptz", &["2024-02-29 12:34:56.789+02", "-infinity", "0000-01-01"]),
    ("interval", &["1 month 2 days", "x"]),
    ("interval day to second(0)", &["1 day 01:02:03.456"]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "x"]),
    ("json", &["{\"a\":  1, \"a\": 2}", "{"]),
    ("jsonb", &["{\"a\":  1, \"a\": 2}", "[1e400]", "\"\\u0000\""]),
    ("inet", &["10.0.0.1/8", "10.0.0"]),
    ("cidr", &["10.0.0.0/8", "10.0.0.1/8"]),
    ("point", &["(1, 2)", "1"]),
    ("int4range", &["[1,3]", "[3,1]"]),
    ("tsvector", &["a fat cat"]),
    ("regtype", &["int4", "no_such_type"]),
    ("int[]", &["{1,NULL,3}", "{{1},{2}}", "{x}", "1"]),
    ("varchar(2)[]", &["{a,bc}", "{abc}"]),
    ("mood[]", &["{sad}", "{glad}"]),
    ("pair", &["(1,ab)", "(1,abc)", "(x,)", "1"]),
];

/// Types with definitions of their own, which the server checks when a row is written.
const CHECKED: [(&str, &[&str]); 5] = [
    ("mood", &["ok", "glad"]),
    ("positive", &["1", "0", "x"]),
    ("short", &["abc", "abcd"]),
    ("text NOT NULL", &["a"]),
    ("int CHECK (v < 10)", &["9", "10"]),
];

/// What a client may say that it binds.
const BOUND: [Type; 7] = [
    Type::UNKNOWN,
    Type::TEXT,
    Type::VARCHAR,
    Type::INT8,
    Type::NUMERIC,
    Type::TIMESTAMPTZ,
    Type::JSONB,
];

#[tokio::test]
async fn a_value_becomes_one_of_the_columns_type_in_the_same_way() {
    for cluster in clusters() {
        let twins = Twins::new(cluster, DEFINITIONS).await;
        for (column, texts) in TYPES.iter().chain(&CHECKED) {
            let definition =
                format!("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, v {column})");
            twins.both(&definition).await;
            for value in texts.iter().copied().map(Some).chain([None]) {
                write(&twins, column, value).await;
            }
            assert!(!twins.rows("t").await.is_empty(), "{column}");
            twins.both("DROP TABLE t").await;
        }
    }
}

/// Writes `value` into the column `v` in every way that can be inlined.
async fn write(twins: &Twins, column: &str, value: Option<&str>) {
    let bare = "INSERT INTO t (v) VALUES ($1) RETURNING id::text, v::text";
    twins.same(bare, &[value]).await.ok();
    for bound in BOUND {
        twins.same_typed(bare, &[value], &[bound]).await.ok();
    }
    let type_name = column.trim_end_matches(" NOT NULL").trim_end_matches(" CHECK (v < 10)");
    let cast = match type_name {
        // Fields of an interval are more than the type's name.
        "interval day to second(0)" => "interval",
        name => name,
    };
    for sql in [
        format!("INSERT INTO t (v) VALUES ($1::{cast}) RETURNING v::text"),
        format!("INSERT INTO t (v) VALUES (CAST($1 AS {cast})) RETURNING v::text"),
        "INSERT INTO t (v) VALUES ($1::text) RETURNING v::text".to_owned(),
        "INSERT INTO t (v) VALUES ($1::varchar(2)) RETURNING v::text".to_owned(),
        "INSERT INTO t (v) VALUES ($1::text::varchar) RETURNING v::text".to_owned(),
        "UPDATE t SET v = $1 WHERE id = 1 RETURNING v::text".to_owned(),
        format!("UPDATE t SET v = $1::{cast} WHERE true RETURNING v::text"),
        format!("DELETE FROM t WHERE v::text = ($1::{cast})::text AND id > 20 RETURNING id::text"),
    ] {
        twins.same(&sql, &[value]).await.ok();
    }
    let literal = value.map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")));
    for literal in [
        literal.clone(),
        format!("{literal}::{cast}"),
        "B'101'".to_owned(),
        "1.5".to_owned(),
        "true".to_owned(),
    ] {
        let sql = format!("INSERT INTO t (v) VALUES ({literal}) RETURNING id::text, v::text");
        twins.same(&sql, &[]).await.ok();
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_value_is_told_by_the_same_code() {
    for cluster in clusters() {
        let twins = Twins::new(cluster, DEFINITIONS).await;
        for (column, value, code) in [
            ("varchar(3)", Some("abcd"), "22001"),
            ("bit(3)", Some("10"), "22026"),
            ("int", Some("2147483648"), "22003"),
            ("int", Some("x"), "22P02"),
            ("numeric(4, 1)", Some("9999"), "22003"),
            ("positive", Some("0"), "23514"),
            ("int CHECK (v < 10)", Some("10"), "23514"),
            ("text NOT NULL", None, "23502"),
            ("short", None, "23502"),
            ("mood", Some("glad"), "22P02"),
            ("timestamptz", Some("someday"), "22007"),
            ("int UNIQUE", Some("1"), "23505"),
            ("int REFERENCES other", Some("1"), "23503"),
            ("int GENERATED ALWAYS AS (1) STORED", Some("1"), "428C9"),
            ("int GENERATED ALWAYS AS IDENTITY", Some("1"), "428C9"),
        ] {
            twins.both("CREATE TABLE other (id int PRIMARY KEY)").await;
            twins.both(&format!("CREATE TABLE t (v {column})")).await;
            if code == "23505" {
                twins.both("INSERT INTO t VALUES (1)").await;
            }
            let outcome = twins.same("INSERT INTO t (v) VALUES ($1)", &[value]).await;
            assert_eq!(outcome, Err(code.to_owned()), "{column}");
            twins.both("DROP TABLE t, other").await;
        }
    }
}
