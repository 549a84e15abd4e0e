//! Keys of every kind: each table is read in the order that its key has.

use std::collections::BTreeSet;

use bemi_tests::{Tracked, shared_cluster};

use super::backfill;

/// Tables whose keys compare in ways of their own, each read in chunks of three rows.
#[tokio::test]
async fn every_kind_of_key_is_read_in_its_own_order() {
    let tracked = Tracked::untracked(shared_cluster(), KEYS).await;
    let has = |sql: &'static str| async { tracked.value::<bool>(sql).await };
    let mut tables: Vec<&str> = KEYED.to_vec();
    // Some packages of PostgreSQL come without.
    if has("SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'en-x-icu')").await {
        tracked.sql(ICU_KEYS).await;
        tables.extend(["icu", "caseless"]);
    }
    if has("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext')").await {
        tracked.sql(CITEXT_KEYS).await;
        tables.extend(["of_citext", "mixed"]);
    }
    tracked.setup(&["--all-tables"]).await;
    tracked.sql("SET timezone = 'UTC'").await;
    let arguments = ["--all-tables", "--chunk-rows", "3", "--max-rows-per-second", "0"];
    backfill(&tracked, &arguments).await.assert_code(0);
    for table in &tables {
        require_baseline(&tracked, table).await;
        let key: Vec<String> = tracked
            .value(&format!("SELECT key_columns FROM bemi.backfill WHERE \"table\" = '{table}'"))
            .await;
        assert!(!key.is_empty(), "{table} is not read in chunks");
    }
    for table in KEYLESS {
        require_baseline(&tracked, table).await;
        let positions: i64 = tracked
            .value(&format!(
                "SELECT count(DISTINCT commit_position) FROM changes WHERE \"table\" = '{table}'"
            ))
            .await;
        assert!(positions <= 1, "{table} has no key to read it in chunks by");
    }
    let open: i64 =
        tracked.value("SELECT count(*) FROM bemi.backfill WHERE finished_at IS NULL").await;
    assert_eq!(open, 0);
}

/// Keys that are text in no encoding, in a database that does not mind. Neither baseline nor stream stop at
/// them.
#[tokio::test]
async fn keys_that_are_not_text_are_gone_on_with_by_their_bytes() {
    let tracked = crate::encodings::untracked(
        "SQL_ASCII",
        "CREATE TABLE t (k text PRIMARY KEY); \
         INSERT INTO t SELECT convert_from(set_byte('\\x61ff62', 1, g), 'SQL_ASCII') \
         FROM generate_series(200, 220) g",
    )
    .await;
    tracked.setup(&["--all-tables"]).await;
    backfill(&tracked, &["t", "--chunk-rows", "4"]).await.assert_code(0);
    tracked.sql("INSERT INTO t SELECT convert_from('\\x61ff', 'SQL_ASCII')").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let texts: BTreeSet<_> = changes.iter().map(|change| change.after["k"].to_string()).collect();
    assert_eq!((changes.len(), texts.len()), (22, 22));
    assert!(texts.contains("\"\\\\x61dc62\"") && texts.contains("\"\\\\x61ff\""), "{texts:?}");
    let encoded = Some(vec!["k".to_owned()]);
    assert!(changes.iter().all(|change| change.encoded == encoded), "{changes:?}");
}

/// Requires that each row of a table that is in the WAL has one SNAPSHOT, and there is none besides. `table` is a name without
/// quotes, in whatever schema.
async fn require_baseline(tracked: &Tracked, table: &str) {
    let quoted: String = tracked
        .value(&format!(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = '{table}' AND NOT c.relispartition AND c.relkind IN ('r', 'p')"
        ))
        .await;
    let only: &str = if table == "parent" { "ONLY" } else { "" };
    let differences: Vec<String> = tracked
        .client
        .query(
            &format!(
                "WITH present AS (SELECT to_jsonb(t) AS row FROM {only} {quoted} t \
                                   JOIN pg_class c ON c.oid = t.tableoid AND c.relpersistence = 'p'), \
                 stored AS (SELECT after FROM changes \
                            WHERE \"table\" = $1 AND operation = 'SNAPSHOT') \
                 (SELECT 'missing ' || d.row::text FROM (TABLE present EXCEPT ALL TABLE stored) d (row)) \
                 UNION ALL \
                 (SELECT 'invented ' || d.row::text FROM (TABLE stored EXCEPT ALL TABLE present) d (row))"
            ),
            &[&table],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(differences, Vec::<String>::new(), "{table}");
}

const KEYED: [&str; 20] = [
    "composite",
    "of_text",
    "of_c",
    "of_char",
    "of_uuid",
    "of_numeric",
    "of_float",
    "of_timestamptz",
    "of_interval",
    "of_bytea",
    "of_bits",
    "of_enum",
    "of_domain",
    "of_array",
    "of_range",
    "of_row",
    "of_inet",
    "by_index",
    "parted",
    "Odd \"Name\".😀",
];

/// Without a key, or with one whose order is not that of its type. Some are empty.
const KEYLESS: [&str; 6] =
    ["keyless", "empty_keyless", "no_columns", "by_pattern", "parent", "child"];

const KEYS: &str = r#"
    CREATE TYPE mood AS ENUM ('z', 'a', 'm', 'b', 'y', 'c');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN code AS varchar(10) CHECK (VALUE <> '');
    CREATE FUNCTION some_text(g int) RETURNS text LANGUAGE sql AS $$ SELECT
        (ARRAY['a', 'B', 'b', 'A', 'ä', 'Z', 'z', '', ' ', '-a', 'a-b', 'ab', 'a b', E'a\tb', E'a\\b', E'a\nb', 'it''s',
               '"', '\N', '😀', 'é', E'e\u0301'])[g] $$;
    CREATE TABLE composite (b text, a int, c numeric, PRIMARY KEY (a, b));
    INSERT INTO composite SELECT some_text(g % 22 + 1), g % 3, g FROM generate_series(1, 60) g ON CONFLICT DO NOTHING;
    CREATE TABLE of_text (k text PRIMARY KEY);
    INSERT INTO of_text SELECT some_text(g) FROM generate_series(1, 22) g;
    CREATE TABLE of_c (k text COLLATE "C" PRIMARY KEY);
    INSERT INTO of_c SELECT some_text(g) FROM generate_series(1, 22) g;
    CREATE TABLE of_char (k char(4) PRIMARY KEY, "c" "char");
    INSERT INTO of_char SELECT chr(64 + g), chr(64 + g)::"char" FROM generate_series(1, 20) g;
    CREATE TABLE of_uuid (k uuid PRIMARY KEY);
    INSERT INTO of_uuid SELECT md5(g::text)::uuid FROM generate_series(1, 20) g;
    CREATE TABLE of_numeric (k numeric PRIMARY KEY);
    INSERT INTO of_numeric SELECT g / 7.0 FROM generate_series(-10, 10) g;
    INSERT INTO of_numeric VALUES ('NaN'), ('Infinity'), ('-Infinity'), (1e100), (1e-100);
    CREATE TABLE of_float (k float8 PRIMARY KEY);
    INSERT INTO of_float SELECT g / 7.0 FROM generate_series(-10, 10) g;
    INSERT INTO of_float VALUES ('NaN'), ('Infinity'), ('-Infinity'), ('5e-324'), (1e300);
    CREATE TABLE of_timestamptz (k timestamptz PRIMARY KEY);
    INSERT INTO of_timestamptz SELECT timestamptz '2024-02-29 12:00+00' + g * interval '1.000001 s' FROM generate_series(1, 20) g;
    INSERT INTO of_timestamptz VALUES ('infinity'), ('-infinity'), ('0044-03-15 12:00+00 BC'), ('294276-12-31+00');
    CREATE TABLE of_interval (k interval PRIMARY KEY);
    INSERT INTO of_interval SELECT g * interval '1 mon -3 days 04:05:06.7' FROM generate_series(-10, 10) g;
    CREATE TABLE of_bytea (k bytea PRIMARY KEY);
    INSERT INTO of_bytea SELECT decode(lpad(to_hex(g * 7), 4, '0'), 'hex') FROM generate_series(0, 20) g;
    INSERT INTO of_bytea VALUES (''), ('\x5c'), ('\xff00');
    CREATE TABLE of_bits (k bit varying PRIMARY KEY, b bit(3));
    INSERT INTO of_bits SELECT g::bit(8), g::bit(3) FROM generate_series(0, 20) g;
    CREATE TABLE of_enum (k mood PRIMARY KEY);
    INSERT INTO of_enum SELECT unnest(enum_range(NULL::mood));
    CREATE TABLE of_domain (k code PRIMARY KEY);
    INSERT INTO of_domain SELECT 'k' || g FROM generate_series(1, 20) g;
    CREATE TABLE of_array (k text[] PRIMARY KEY);
    INSERT INTO of_array SELECT ARRAY[some_text(g), NULL, 'x'] FROM generate_series(1, 20) g;
    CREATE TABLE of_range (k int4range PRIMARY KEY);
    INSERT INTO of_range SELECT int4range(g, g + 3) FROM generate_series(1, 20) g;
    INSERT INTO of_range VALUES ('empty'), ('(,5]'), ('[7,)');
    CREATE TABLE of_row (k pair PRIMARY KEY);
    INSERT INTO of_row SELECT ROW(g % 4, some_text(g))::pair FROM generate_series(1, 20) g;
    CREATE TABLE of_inet (k inet PRIMARY KEY);
    INSERT INTO of_inet SELECT '10.0.0.0'::inet + g * 300 FROM generate_series(1, 20) g;
    INSERT INTO of_inet VALUES ('::1'), ('10.0.0.0/8');
    CREATE TABLE by_index (a int NOT NULL, b text NOT NULL, c text);
    CREATE UNIQUE INDEX by_index_key ON by_index (b, a) INCLUDE (c);
    ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;
    INSERT INTO by_index SELECT g % 5, some_text(g), g FROM generate_series(1, 20) g;
    CREATE TABLE parted (region text, id int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a') ;
    CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b') PARTITION BY RANGE (id);
    CREATE TABLE parted_b_1 PARTITION OF parted_b FOR VALUES FROM (0) TO (10);
    CREATE TABLE parted_b_2 (id int NOT NULL, gone text, region text NOT NULL);
    ALTER TABLE parted_b_2 DROP COLUMN gone;
    ALTER TABLE parted_b ATTACH PARTITION parted_b_2 FOR VALUES FROM (10) TO (100);
    CREATE UNLOGGED TABLE parted_c PARTITION OF parted FOR VALUES IN ('c');
    INSERT INTO parted SELECT CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END, g FROM generate_series(1, 40) g;
    INSERT INTO parted VALUES ('c', 7), ('c', 100);
    CREATE SCHEMA "S.x";
    CREATE TABLE "S.x"."Odd ""Name"".😀" ("K ""1""" int, "tab	" text, PRIMARY KEY ("tab	", "K ""1"""));
    INSERT INTO "S.x"."Odd ""Name"".😀" SELECT g, some_text(g) FROM generate_series(1, 20) g;
    CREATE TABLE keyless (a int, b text);
    INSERT INTO keyless SELECT g % 3, some_text(g) FROM generate_series(1, 20) g;
    INSERT INTO keyless SELECT * FROM keyless;
    CREATE TABLE empty_keyless (a int);
    CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES;
    INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE by_pattern (a text NOT NULL);
    CREATE UNIQUE INDEX by_pattern_key ON by_pattern (a text_pattern_ops);
    ALTER TABLE by_pattern REPLICA IDENTITY USING INDEX by_pattern_key;
    INSERT INTO by_pattern SELECT some_text(g) FROM generate_series(1, 20) g;
    CREATE TABLE parent (a int);
    CREATE TABLE child (b int) INHERITS (parent);
    INSERT INTO parent SELECT g FROM generate_series(1, 10) g;
    INSERT INTO child SELECT g, g FROM generate_series(11, 20) g;
"#;

/// Under the second one, two texts that differ may be equal.
const ICU_KEYS: &str = r#"
    CREATE COLLATION caseless_collation (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE icu (k text COLLATE "en-x-icu" PRIMARY KEY);
    INSERT INTO icu SELECT some_text(g) FROM generate_series(1, 21) g;
    CREATE TABLE caseless (k text COLLATE caseless_collation PRIMARY KEY);
    INSERT INTO caseless SELECT some_text(g) FROM generate_series(1, 22) g ON CONFLICT DO NOTHING;
"#;

/// An extension whose operators no search path finds.
const CITEXT_KEYS: &str = r#"
    CREATE SCHEMA extensions;
    CREATE EXTENSION citext SCHEMA extensions;
    CREATE TABLE of_citext (k extensions.citext PRIMARY KEY);
    INSERT INTO of_citext SELECT some_text(g) FROM generate_series(1, 22) g ON CONFLICT DO NOTHING;
    CREATE TABLE mixed (a int, b extensions.citext, c text, PRIMARY KEY (a, b, c));
    INSERT INTO mixed SELECT g % 2, some_text(g % 22 + 1), some_text(g % 7 + 1) FROM generate_series(1, 60) g
        ON CONFLICT DO NOTHING;
"#;
