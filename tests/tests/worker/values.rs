//! The oracle for values: `before` and `after` are what `to_jsonb(row)` gives in the source.

use std::fmt::Write as _;

use bemi_tests::{Tracked, shared_cluster};

/// Types and values of each, as SQL. NULL is tried with each type besides.
const TYPES: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["0", "'-32768'", "32767"]),
    ("integer", &["'-2147483648'", "2147483647"]),
    ("bigint", &["9007199254740993", "'-9223372036854775808'", "9223372036854775807"]),
    ("real", &["0.1", "'NaN'", "'Infinity'", "'-Infinity'", "1e-40", "3.4e38", "'-0'"]),
    (
        "double precision",
        &["0.1", "'NaN'", "'Infinity'", "5e-324", "1.7976931348623157e308", "'-0'"],
    ),
    (
        "numeric",
        &[
            "0",
            "1.10",
            "'NaN'",
            "'Infinity'",
            "-0.000000000000000000001",
            "repeat('9', 2000)::numeric",
            "('1e-' || 900)::numeric",
        ],
    ),
    ("numeric(20,4)", &["12345.6789"]),
    ("money", &["'12.34'", "'-1000000'"]),
    (
        "text",
        &[
            "''",
            "'a'",
            "E'quote\" back\\\\slash /slash'",
            "E'\\n\\r\\t\\b\\f\\x01\\x1f\\x7f'",
            "'𝄞 😀 é e\u{301} 中'",
            "E'\\u2028\\u2029'",
            "repeat('long ', 100000)",
            "'null'",
            "'{}'",
            "'NULL'",
            "E'\\\\u0000'",
        ],
    ),
    ("varchar(10)", &["'abc'"]),
    ("char(5)", &["'ab'"]),
    ("\"char\"", &["'x'", "''"]),
    ("name", &["'a name'"]),
    ("bytea", &["''", "'\\x00ff5c22'", "decode(repeat('00ff', 5000), 'hex')"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    (
        "date",
        &[
            "'2024-02-29'",
            "'0044-03-15 BC'",
            "'infinity'",
            "'-infinity'",
            "'5874897-12-31'",
            "'4713-01-01 BC'",
        ],
    ),
    ("time", &["'00:00:00'", "'23:59:59.999999'", "'24:00:00'"]),
    ("timetz", &["'12:30:00+05:30'", "'23:59:59.5-08'"]),
    (
        "timestamp",
        &[
            "'2024-02-29 12:34:56.789'",
            "'0001-01-01 00:00:00 BC'",
            "'infinity'",
            "'-infinity'",
            "'294276-12-31 23:59:59.999999'",
            "'4713-01-01 00:00:00 BC'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'2024-02-29 12:34:56.789+02'",
            "'0001-01-01 00:00:00+00 BC'",
            "'infinity'",
            "'1900-01-01 00:00:00+00:19:32'",
            "'294276-12-31 23:59:59+00'",
        ],
    ),
    ("interval", &["'1 year 2 mons -3 days 04:05:06.7'", "'0'", "'-1 day'", "'178000000 years'"]),
    (
        "json",
        &[
            "'{\"b\": 1, \"a\": [1, 2.50, \"x\"], \"b\": 2}'",
            "'null'",
            "'  [ ]  '",
            "'\"\\u00e9\"'",
            "'1e5'",
        ],
    ),
    (
        "jsonb",
        &[
            "'{\"b\": 1, \"a\": [1, 2.50, \"x\"], \"deep\": {\"n\": null}}'",
            "'null'",
            "'12345678901234567890.123456789'",
            "'\"text\"'",
        ],
    ),
    ("inet", &["'192.168.0.1/24'", "'::1'", "'10.0.0.1'"]),
    ("cidr", &["'10.0.0.0/8'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("bit(4)", &["B'1010'"]),
    ("bit varying", &["B''", "B'10101'"]),
    ("xml", &["'<a b=\"1\">x &amp; y</a>'"]),
    ("point", &["'(1.5,-2)'"]),
    ("line", &["'{1,2,3}'"]),
    ("lseg", &["'[(0,0),(1,1)]'"]),
    ("box", &["'(1,1),(0,0)'"]),
    ("path", &["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"]),
    ("polygon", &["'((0,0),(1,1),(1,0))'"]),
    ("circle", &["'<(1,2),3>'"]),
    ("tsvector", &["'a:1 fat:2A ''it''''s'':3'"]),
    ("tsquery", &["'fat & (rat | !cat)'"]),
    ("int4range", &["'[1,10)'", "'empty'", "'(,5]'"]),
    ("tstzrange", &["'[2024-01-01 00:00:00+00,infinity)'"]),
    ("int4multirange", &["'{[1,3), [5,8)}'", "'{}'"]),
    ("oid", &["4294967295"]),
    ("regclass", &["'pg_class'"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("xid8", &["'18446744073709551615'"]),
    ("int2vector", &["'1 2 3'", "''"]),
    ("oidvector", &["'1 4294967295'"]),
    (
        "integer[]",
        &[
            "'{}'",
            "'{1,NULL,3}'",
            "'{{1,2},{3,4}}'",
            "'[0:1]={7,8}'",
            "'[-1:0][3:4]={{1,2},{3,4}}'",
        ],
    ),
    ("text[]", &["ARRAY['a', NULL, 'NULL', '', 'a,b', '{x}', E'q\"\\\\', ' sp ']"]),
    ("boolean[]", &["'{t,f,NULL}'"]),
    ("numeric[]", &["'{1.50,NaN,-Infinity}'"]),
    ("timestamptz[]", &["ARRAY['2024-02-29 12:00:00+00', 'infinity']::timestamptz[]"]),
    ("jsonb[]", &["ARRAY['{\"a\": [1]}', 'null', '\"x\"']::jsonb[]"]),
    ("json[]", &["ARRAY['{\"a\": 1}']::json[]"]),
    ("bytea[]", &["ARRAY['\\x00ff', '\\x']::bytea[]"]),
    ("box[]", &["ARRAY['(1,1),(0,0)', '(2,2),(1,1)']::box[]"]),
    ("int4range[]", &["ARRAY['[1,2)', 'empty']::int4range[]"]),
    ("mood", &["'sad'", "'very \"happy\"'"]),
    ("mood[]", &["ARRAY['sad', 'very \"happy\"']::mood[]"]),
    ("positive", &["7"]),
    ("email", &["'a@b'"]),
    ("tags", &["'{a,b}'"]),
    ("flag", &["true"]),
    ("moment", &["'2024-02-29 12:00:00+00'"]),
    (
        "address",
        &[
            "ROW('a \"street\", 1', 7, NULL, '{1,2}', 'sad', '(1.5,x)', '{\"k\": [1]}', true, '2024-02-29')",
            "ROW('', NULL, '', '{}', NULL, NULL, NULL, false, NULL)",
        ],
    ),
    (
        "address[]",
        &[
            "ARRAY[ROW('a, \"b\"', 7, '\\', '{NULL}', 'sad', '(2,\"a b\")', 'null', true, NULL)::address, NULL]",
        ],
    ),
    ("hstore", &["''", "'a=>1, b=>NULL, \"c d\"=>\"q\\\"uote\"'"]),
    ("hstore[]", &["ARRAY['a=>1']::hstore[]"]),
    ("citext", &["'MiXed'"]),
    ("ltree", &["'Top.Science'"]),
    ("cube", &["'(1,2),(3,4)'"]),
];

/// Types that an extension brings. Not every server has them all.
const EXTENSIONS: [&str; 4] = ["hstore", "citext", "ltree", "cube"];

/// Types of the user's own, on which the ones above stand.
const OWN_TYPES: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'very \"happy\"'); \
    CREATE DOMAIN positive AS int CHECK (VALUE > 0); \
    CREATE DOMAIN email AS text; CREATE DOMAIN tags AS text[]; CREATE DOMAIN flag AS boolean; \
    CREATE DOMAIN moment AS timestamptz; \
    CREATE TYPE inner_type AS (n numeric, \"a text\" text); \
    CREATE TYPE address AS (street text, no positive, empty text, list int[], m mood, i inner_type, j jsonb, b bool, \
        \"Da\"\"te\" timestamp);";

/// A table with one column of each of `types`.
fn script(types: &[(&str, &[&str])], extensions: &[String]) -> String {
    let mut columns = String::new();
    for (number, (data_type, _)) in types.iter().enumerate() {
        write!(columns, ", c{number} {data_type}").unwrap();
    }
    let extensions: String =
        extensions.iter().map(|name| format!("CREATE EXTENSION {name};")).collect();
    let mut script =
        format!("{extensions} {OWN_TYPES} CREATE TABLE v (id int PRIMARY KEY{columns});");
    script.push_str(
        "CREATE SCHEMA truth; CREATE UNLOGGED TABLE truth.v (n serial, before jsonb, after jsonb); \
         CREATE FUNCTION truth.write() RETURNS trigger LANGUAGE plpgsql \
             SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' AS $$ BEGIN \
             INSERT INTO truth.v (before, after) VALUES ( \
                 coalesce(to_jsonb(OLD), '{}'), coalesce(to_jsonb(NEW), '{}')); RETURN NULL; END $$; \
         CREATE TRIGGER truth AFTER INSERT OR UPDATE OR DELETE ON v \
             FOR EACH ROW EXECUTE FUNCTION truth.write()",
    );
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_what_to_jsonb_makes_of_them() {
    let any = shared_cluster().connect("postgres").await.unwrap();
    let available = any
        .query(
            "SELECT name::text FROM pg_available_extensions WHERE name = ANY ($1)",
            &[&EXTENSIONS.as_slice()],
        )
        .await
        .unwrap();
    let extensions: Vec<String> = available.iter().map(|row| row.get(0)).collect();
    let is_there = |data_type: &str| {
        let name = data_type.trim_end_matches("[]");
        !EXTENSIONS.contains(&name) || extensions.iter().any(|extension| extension == name)
    };
    let types: Vec<_> = TYPES.iter().copied().filter(|(name, _)| is_there(name)).collect();
    let tracked = Tracked::new(&script(&types, &extensions)).await;
    // The styles of database and session differ from ours: the worker's own must count.
    tracked
        .sql(&format!(
            "ALTER DATABASE {0} SET datestyle = 'German'; ALTER DATABASE {0} SET timezone = 'Asia/Kolkata'; \
             ALTER DATABASE {0} SET intervalstyle = 'iso_8601'; ALTER DATABASE {0} SET bytea_output = 'escape'; \
             ALTER DATABASE {0} SET extra_float_digits = -5",
            tracked.database.name()
        ))
        .await;
    // Each row has one value of each type; one more is all NULL.
    let rows = types.iter().map(|(_, values)| values.len()).max().unwrap();
    for row in 0..rows {
        let mut values = String::new();
        for (data_type, list) in &types {
            // `ROW(…)` and literals need their type named; an explicit cast does for all.
            write!(values, ", ({})::{data_type}", list[row % list.len()]).unwrap();
        }
        tracked.sql(&format!("INSERT INTO v VALUES ({row}{values})")).await;
    }
    tracked
        .sql("INSERT INTO v (id) VALUES (1000); UPDATE v SET id = id + 5000; DELETE FROM v")
        .await;
    tracked.store().await;

    let differences = tracked
        .client
        .query(
            "SELECT row_number() OVER (ORDER BY n), side, key, truth_value::text, stored_value::text FROM ( \
                 SELECT t.n, 'before' AS side, t.before AS truth, c.before AS stored \
                 FROM (SELECT *, row_number() OVER (ORDER BY n) AS place FROM truth.v) t \
                 FULL JOIN (SELECT *, row_number() OVER (ORDER BY commit_position, sequence) AS place FROM changes) c \
                     USING (place) \
                 UNION ALL \
                 SELECT t.n, 'after', t.after, c.after \
                 FROM (SELECT *, row_number() OVER (ORDER BY n) AS place FROM truth.v) t \
                 FULL JOIN (SELECT *, row_number() OVER (ORDER BY commit_position, sequence) AS place FROM changes) c \
                     USING (place) \
             ) p, LATERAL (SELECT coalesce(a.key, b.key) AS key, a.value AS truth_value, b.value AS stored_value \
                 FROM jsonb_each(truth) a FULL JOIN jsonb_each(stored) b ON a.key = b.key) e \
             WHERE truth_value IS DISTINCT FROM stored_value",
            &[],
        )
        .await
        .unwrap();
    let told: Vec<String> = differences
        .iter()
        .take(20)
        .map(|row| {
            let column: &str = row.get(2);
            let number: usize =
                column.strip_prefix('c').and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
            let data_type = types.get(number).map_or("?", |(data_type, _)| data_type);
            let short =
                |text: Option<&str>| text.map(|text| text.chars().take(120).collect::<String>());
            format!("{data_type}: truth {:?}, stored {:?}", short(row.get(3)), short(row.get(4)))
        })
        .collect();
    assert!(told.is_empty(), "{} values differ:\n{}", differences.len(), told.join("\n"));

    let changes = i64::try_from(rows + 1).unwrap() * 3;
    assert_eq!(tracked.count().await, changes);
    let marked: i64 = tracked.value("SELECT count(*) FROM changes WHERE encoded IS NOT NULL").await;
    assert_eq!(marked, 0, "no type here is unknown");
}

#[tokio::test]
async fn a_row_is_restored_from_its_record() {
    let tracked = Tracked::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text); \
         CREATE TABLE t (id bigint PRIMARY KEY, n numeric, f double precision, b boolean, s text, \
             x bytea, u uuid, at timestamptz, d date, i interval, j jsonb, l int[], m mood, p pair, \
             r int4range, tags text[]); \
         INSERT INTO t VALUES \
             (9007199254740993, 1.10, 0.1, true, E'quote\" \\\\ \\n', '\\x00ff', \
              'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-02-29 12:34:56.789+02', '0044-03-15 BC', \
              '1 mon -2 days', '{\"k\": [1, null]}', '{{1,2},{3,NULL}}', 'ok', ROW(1, 'a,\"b'), '[1,9)', \
              '{a,NULL,\"\"}'), \
             (2, 'NaN', 'Infinity', NULL, '', '', NULL, 'infinity', '-infinity', NULL, '{}', '{}', NULL, \
              NULL, 'empty', NULL)",
    )
    .await;
    tracked.sql("UPDATE t SET s = s || 'x'").await;
    tracked.store().await;
    let restored: i64 = tracked
        .value(
            "SELECT count(*) FROM changes c JOIN t ON t.id::text = c.primary_key \
             WHERE jsonb_populate_record(NULL::t, c.after) IS NOT DISTINCT FROM t",
        )
        .await;
    assert_eq!(restored, 2);
}

#[tokio::test]
async fn what_jsonb_cannot_hold_is_stored_as_marked_text() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, j json, a json[])").await;
    tracked
        .sql(
            "INSERT INTO t VALUES \
                 (1, '{\"a\": \"\\u0000\"}', NULL), \
                 (2, '[1e400000]', NULL), \
                 (3, '\"\\ud800\"', NULL), \
                 (4, '{\"fine\": 1}', ARRAY['{\"a\": \"\\u0000\"}', '1']::json[])",
        )
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(changes[0].after["j"], "{\"a\": \"\\u0000\"}");
    assert_eq!(changes[1].after["j"], "[1e400000]");
    assert_eq!(changes[2].after["j"], "\"\\ud800\"");
    for change in &changes[..3] {
        assert_eq!(change.encoded.as_deref(), Some(&["j".to_owned()][..]));
    }
    assert_eq!(changes[3].after["j"]["fine"], 1);
    assert_eq!(changes[3].after["a"][1], 1);
    assert_eq!(changes[3].encoded.as_deref(), Some(&["a".to_owned()][..]));
}
