//! The baseline: rows that were there before, stored as they were at one moment between two transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bemi_tests::{
    Output, STORED_WITHIN, Stored, TestDatabase, Tracked, eventually, shared_cluster,
};
use bemi_worker::backfill::{self, BackfillEvent, BackfillOptions};
use bemi_worker::config::Config;
use serde_json::Value;

/// As fast as it can, in chunks so small that there are many.
const IN_SMALL_CHUNKS: [&str; 4] = ["--chunk-rows", "50", "--max-rows-per-second", "0"];

async fn backfill(tracked: &Tracked, arguments: &[&str]) -> Output {
    tracked.worker(&[&["backfill"], arguments].concat()).run_to_end().await
}

/// The rows that `changes` lead to, by their keys: SNAPSHOT says how a row is.
fn replay(changes: &[Stored], table: &str) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for change in changes.iter().filter(|change| change.table == table) {
        let key = change.primary_key.clone().unwrap_or_default();
        match change.operation.as_str() {
            "CREATE" => {
                let before = rows.insert(key, change.after.clone());
                assert_eq!(before, None, "a row was there before it was made: {change:?}");
            }
            "SNAPSHOT" => drop(rows.insert(key, change.after.clone())),
            "UPDATE" => {
                rows.remove(change.previous_key.as_ref().unwrap_or(&key));
                rows.insert(key, change.after.clone());
            }
            "DELETE" => drop(rows.remove(&key)),
            "TRUNCATE" => rows.clear(),
            other => panic!("{other}"),
        }
    }
    rows
}

/// The rows of a table, by a key that is text.
async fn present(tracked: &Tracked, table: &str, key: &str) -> BTreeMap<String, Value> {
    let rows = tracked
        .client
        .query(&format!("SELECT ({key})::text, to_jsonb(t) FROM {table} t"), &[])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn snapshots(changes: &[Stored]) -> Vec<&Stored> {
    changes.iter().filter(|change| change.operation == "SNAPSHOT").collect()
}

const MANY_TYPES: &str = "\
    CREATE TABLE t (id bigint PRIMARY KEY, note text, amount numeric, at timestamptz, tags text[], \
        doc jsonb, raw bytea, flag boolean, ratio float8, u uuid, span interval, wide text); \
    INSERT INTO t SELECT g, E'note\\t\\\\' || g, g * 1.10, timestamptz '2024-02-29 12:00+00' + g * interval '1 hour', \
        ARRAY['a', NULL, 'q\"' || g], jsonb_build_object('n', g, 'deep', jsonb_build_array(g, null)), \
        decode(lpad(to_hex(g), 8, '0'), 'hex'), g % 2 = 0, g / 3.0::float8, md5(g::text)::uuid, \
        g * interval '1 minute', repeat(md5(g::text), 10 + (g % 7)::int * 20) \
    FROM generate_series(1, 3000) g;";

/// Writers insert, update, change keys and delete all the while, the worker stores what they do, and
/// the baseline comes in between.
#[tokio::test(flavor = "multi_thread")]
async fn replaying_baseline_and_changes_gives_the_present_state() {
    let tracked = Tracked::new(MANY_TYPES).await;
    tracked.sql("SET timezone = 'UTC'").await;
    let worker = tracked.run().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for writer in 0..3_i64 {
        let client = tracked.database.connect().await.unwrap();
        let stopped = stopped.clone();
        writers.push(tokio::spawn(async move {
            let mut round = 0_i64;
            // Some rest, lest the table grow faster than a busy machine stores it.
            while !*stopped.borrow() && round < 1_000 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                round += 1;
                // Each has its own keys, modulo 3. Keys move both ways over whatever was reached.
                let key = (round * 37 % 1000) * 3 + writer;
                let new = 10_000 + round * 3 + writer;
                let (far, near) = (10_000_000 + round * 3 + writer, -(round * 3 + writer));
                client
                    .batch_execute(&format!(
                        "BEGIN; INSERT INTO t (id, note) VALUES ({new}, 'new'); \
                         UPDATE t SET note = note || 'u', amount = amount + 1 WHERE id = {key}; \
                         UPDATE t SET id = {far} WHERE id = {key} AND {round} % 5 = 1; \
                         UPDATE t SET id = {near} WHERE id = {new} AND {round} % 5 = 2; \
                         UPDATE t SET id = {near} WHERE id = {key} AND {round} % 5 = 3; \
                         DELETE FROM t WHERE id = {key} AND {round} % 5 = 4; COMMIT"
                    ))
                    .await
                    .unwrap();
            }
            round
        }));
    }
    let config = config(&tracked);
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    // Several snapshots, each good for a few chunks.
    let options = BackfillOptions::new()
        .chunk_rows(250)
        .rows_per_second_max(0)
        .snapshot_max(Duration::from_millis(20));
    let mut snapshots_taken = 0;
    let report = backfill::run(&config, &options, shutdown, |event| {
        snapshots_taken += u32::from(matches!(event, BackfillEvent::SnapshotTaken { .. }));
    })
    .await
    .unwrap();
    stop.send(true).unwrap();
    for writer in writers {
        assert!(writer.await.unwrap() > 5, "the writers wrote too little to prove anything");
    }
    assert!(report.tables[0].is_finished && report.rows > 2_000, "{report:?}");
    assert!(snapshots_taken > 1, "one snapshot proves too little");
    worker.stop().await;
    tracked.store().await;

    let changes = tracked.changes().await;
    assert_eq!(replay(&changes, "t"), present(&tracked, "t", "id").await);
    let mut seen = BTreeSet::new();
    for change in snapshots(&changes) {
        assert!(seen.insert((change.commit_position, &change.primary_key)), "twice: {change:?}");
        assert_eq!((&change.before, change.before_complete), (&serde_json::json!({}), true));
        assert_eq!((&change.context, change.unavailable.as_ref()), (&serde_json::json!({}), None));
    }
    let of_transactions: i64 = tracked
        .value(
            "SELECT count(*) FROM changes s JOIN changes c USING (commit_position) \
             WHERE s.operation = 'SNAPSHOT' AND c.operation <> 'SNAPSHOT'",
        )
        .await;
    assert_eq!(of_transactions, 0, "a baseline has a place of its own");
}

/// It is killed several times, somewhere in a chunk, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_goes_on_with_nothing_twice_and_nothing_missing() {
    let tracked = Tracked::new(MANY_TYPES).await;
    tracked.sql("SET timezone = 'UTC'").await;
    for stored in [1, 700, 1_500, 2_300] {
        let arguments = ["backfill", "t", "--chunk-rows", "37", "--max-rows-per-second", "3000"];
        let mut running = tracked.worker(&arguments).spawn();
        eventually(STORED_WITHIN, "rows to be stored", async || {
            let rows: Option<i64> =
                tracked.value("SELECT sum(rows)::int8 FROM bemi.backfill").await;
            (rows.unwrap_or(0) >= stored).then_some(())
        })
        .await;
        assert!(running.is_running(), "{}", running.stderr());
        running.kill_9();
    }
    let output = backfill(&tracked, &[&["t"], IN_SMALL_CHUNKS.as_slice()].concat()).await;
    let output = output.assert_code(0);
    assert!(output.stdout.contains("3000"), "{output}");
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 3_000);
    assert_eq!(replay(&changes, "t"), present(&tracked, "t", "id").await);
    let runs: BTreeSet<_> = changes.iter().map(|change| change.commit_position).collect();
    assert_eq!(runs.len(), 5, "each run has a snapshot of its own");
    let reached: Option<Vec<Vec<u8>>> =
        tracked.value("SELECT key_reached FROM bemi.backfill").await;
    assert_eq!(reached, None, "nobody needs the key any more");
    let slots: i64 = tracked
        .value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
        .await;
    assert_eq!(slots, 1, "no slot is left but the worker's");
}

#[tokio::test]
async fn told_to_stop_it_stores_its_chunk_and_says_how_to_go_on() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let arguments = ["backfill", "t", "--chunk-rows", "100", "--max-rows-per-second", "500"];
    let mut running = tracked.worker(&arguments).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 0).then_some(())
    })
    .await;
    running.terminate();
    let output = running.wait(STORED_WITHIN).await.assert_code(130);
    assert!(output.stderr.contains("goes on from here"), "{output}");
    let stored = tracked.count().await;
    assert_eq!(tracked.value::<i64>("SELECT rows FROM bemi.backfill").await, stored);
    assert!((100..3_000).contains(&stored), "{stored}");
    backfill(&tracked, &["t", "--max-rows-per-second", "0"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 3_000);
    let nothing = backfill(&tracked, &["t"]).await.assert_code(0);
    assert!(nothing.stdout.contains("nothing was left"), "{nothing}");
    assert_eq!(tracked.count().await, 3_000);
    backfill(&tracked, &["t", "--again", "--max-rows-per-second", "0"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 6_000, "as they are now");
}

fn config(tracked: &Tracked) -> Config {
    let mut config = Config::new(tracked.database.url().parse().unwrap());
    config.slot = tracked.database.slot_name().parse().unwrap();
    config
}

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

/// What must not be stored is not in a baseline either, nor in the progress of it.
#[tokio::test]
async fn columns_that_are_masked_or_left_out_are_so_in_a_baseline_too() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, name text, secret text); \
         INSERT INTO t SELECT g, 'n' || g, 's' || g FROM generate_series(1, 5) g",
    )
    .await;
    tracked
        .setup(&["--all-tables", "--exclude", "public.t.secret", "--mask", "t.name=text:(hidden)"])
        .await;
    backfill(&tracked, &["t"]).await.assert_code(0);
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 5);
    assert_eq!(changes[0].after, serde_json::json!({"id": 1, "name": "(hidden)"}));
}

/// The server leaves generated columns out of the stream, some or all of them: a baseline has the columns
/// that a CREATE has.
#[tokio::test]
async fn a_baseline_has_the_columns_of_a_create() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, double int GENERATED ALWAYS AS (id * 2) STORED, \
             no int GENERATED ALWAYS AS IDENTITY); \
         INSERT INTO t (id) VALUES (1)",
    )
    .await;
    tracked.setup(&["--all-tables"]).await;
    tracked.sql("INSERT INTO t (id) VALUES (2)").await;
    backfill(&tracked, &["t"]).await.assert_code(0);
    tracked.store().await;
    let changes = tracked.changes().await;
    let of = |operation: &str| {
        let change = changes.iter().find(|change| change.what() == (operation, "2"));
        change.unwrap().after.clone()
    };
    assert_eq!(of("SNAPSHOT"), of("CREATE"));
    assert_eq!(of("SNAPSHOT")["no"], 2);
}

/// Each chunk finds the table as it was, or takes a new snapshot: to older ones, a table that was
/// rewritten or truncated looks empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_altered_meanwhile_is_read_from_a_new_snapshot() {
    let tracked = Tracked::new(
        "CREATE TABLE rewritten (id int PRIMARY KEY, a int); \
         INSERT INTO rewritten SELECT g, g FROM generate_series(1, 1000) g; \
         CREATE TABLE refilled (id int PRIMARY KEY); \
         INSERT INTO refilled SELECT generate_series(1, 1000)",
    )
    .await;
    let arguments = ["backfill", "--all-tables", "--chunk-rows", "20"];
    let slowly = [arguments.as_slice(), &["--max-rows-per-second", "200"]].concat();
    let mut running = tracked.worker(&slowly).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 40).then_some(())
    })
    .await;
    // The first is not begun yet or not finished; nobody waits for the baseline to do this.
    tracked
        .sql(
            "SET lock_timeout = '20s'; \
             ALTER TABLE rewritten ALTER a TYPE bigint, ADD b float8 DEFAULT random(), \
                 ADD c text; \
             ALTER TABLE rewritten DROP c; \
             ALTER TABLE rewritten RENAME TO renamed; \
             BEGIN; TRUNCATE refilled; INSERT INTO refilled SELECT generate_series(1, 700); COMMIT",
        )
        .await;
    assert!(running.is_running(), "{}", running.stderr());
    running.terminate();
    running.wait(STORED_WITHIN).await.assert_code(130);
    backfill(&tracked, &["--all-tables", "--max-rows-per-second", "0"]).await.assert_code(0);
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(replay(&changes, "refilled"), present(&tracked, "refilled", "id").await);
    assert_eq!(replay(&changes, "renamed"), present(&tracked, "renamed", "id").await);
}

/// The same while it runs on, and is not stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rewritten_between_two_chunks_is_not_taken_for_empty() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a int); \
         INSERT INTO t SELECT g, g FROM generate_series(1, 300) g",
    )
    .await;
    let config = config(&tracked);
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    let options = BackfillOptions::new().chunk_rows(10).rows_per_second_max(300);
    let client = tracked.database.connect().await.unwrap();
    let (chunks, mut stored) = tokio::sync::mpsc::unbounded_channel();
    let altering = async {
        for round in 0..3 {
            for _ in 0..3 {
                stored.recv().await.unwrap();
            }
            client
                .batch_execute(&format!("ALTER TABLE t ADD b{round} float8 DEFAULT random()"))
                .await
                .unwrap();
        }
        while stored.recv().await.is_some() {}
    };
    let mut snapshots_taken = 0;
    let storing = async {
        let report = backfill::run(&config, &options, shutdown, |event| match event {
            BackfillEvent::Stored { .. } => chunks.send(()).unwrap(),
            BackfillEvent::SnapshotTaken { .. } => snapshots_taken += 1,
            _ => {}
        })
        .await;
        drop(chunks);
        report
    };
    let (report, ()) = tokio::join!(storing, altering);
    assert_eq!(report.unwrap().rows, 300);
    assert!(snapshots_taken > 3, "{snapshots_taken}");
    let keys: i64 = tracked.value("SELECT count(DISTINCT primary_key) FROM changes").await;
    assert_eq!((keys, tracked.count().await), (300, 300));
}

/// It writes to a table before that is tracked, and commits long after: in between, the baseline waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_older_than_the_tracking_is_waited_for() {
    let tracked = Tracked::new("CREATE TABLE other (id int PRIMARY KEY)").await;
    // Nothing tracks a new table by itself.
    tracked
        .sql("DROP EVENT TRIGGER IF EXISTS bemi_track_tables; CREATE TABLE t (id int PRIMARY KEY)")
        .await;
    let writer = tracked.database.connect().await.unwrap();
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let publication: String = tracked
        .value("SELECT pubname::text FROM pg_publication WHERE pubname NOT LIKE '%insert_only'")
        .await;
    tracked.sql(&format!("ALTER PUBLICATION {publication} ADD TABLE t")).await;
    let mut running = tracked.worker(&["backfill", "t"]).spawn();
    running.wait_for_log("waiting for running transactions").await;
    eventually(STORED_WITHIN, "the slot to wait for the writer", async || {
        let waits: bool = tracked
            .value(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'walsender' AND wait_event_type = 'Lock')",
            )
            .await;
        waits.then_some(())
    })
    .await;
    writer.batch_execute("INSERT INTO t VALUES (2); COMMIT").await.unwrap();
    running.wait(STORED_WITHIN).await.assert_code(0);
    tracked.sql("INSERT INTO t VALUES (3)").await;
    tracked.store().await;
    assert_eq!(replay(&tracked.changes().await, "t"), present(&tracked, "t", "id").await);
}

/// Told to stop while it waits, it stops, and leaves nobody waiting on the server.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_transaction_can_be_stopped() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let writer = tracked.database.connect().await.unwrap();
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await.unwrap();
    let mut running = tracked.worker(&["backfill", "t"]).spawn();
    running.wait_for_log("waiting for running transactions").await;
    let waiting = "SELECT count(*) FROM pg_replication_slots \
                   WHERE slot_name LIKE 'bemi\\_backfill\\_%' AND database = current_database()";
    eventually(STORED_WITHIN, "the slot to be made", async || {
        (tracked.value::<i64>(waiting).await == 1).then_some(())
    })
    .await;
    running.terminate();
    running.wait(STORED_WITHIN).await.assert_code(130);
    eventually(STORED_WITHIN, "the slot to be gone", async || {
        (tracked.value::<i64>(waiting).await == 0).then_some(())
    })
    .await;
    assert_eq!(tracked.count().await, 0);
    writer.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_the_second_is_refused() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let slowly = ["backfill", "t", "--chunk-rows", "10", "--max-rows-per-second", "10"];
    let first = tracked.worker(&slowly).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 0).then_some(())
    })
    .await;
    let second = backfill(&tracked, &["t"]).await.assert_code(1);
    assert!(second.stderr.contains("another backfill"), "{second}");
    drop(first);
    backfill(&tracked, &["t", "--max-rows-per-second", "0"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 3_000);
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_with_what_to_do() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); \
         CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE leaf PARTITION OF parted DEFAULT",
    )
    .await;
    let refused = async |arguments: &[&str], code: i32, why: &str| {
        let output = backfill(&tracked, arguments).await.assert_code(code);
        assert!(output.stderr.contains(why), "{output}");
    };
    refused(&["t"], 3, "bemi-worker setup").await;
    tracked.setup(&["--tables", "t,parted"]).await;
    refused(&["other"], 3, "no tracked table is named public.other").await;
    refused(&["leaf"], 3, "under the table that they belong to").await;
    refused(&["nothing.*"], 3, "nothing.*").await;
    refused(&[], 2, "required").await;
    refused(&["a b"], 2, "not a pattern").await;

    let role = tracked.database.unique_name("role");
    let slot = tracked.database.slot_name();
    tracked
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT USAGE ON SCHEMA bemi TO {role}; \
             GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bemi TO {role}; \
             GRANT INSERT ON changes TO {role}"
        ))
        .await;
    let as_role = || {
        let url = tracked.database.url().replace("postgres@", &format!("{role}@"));
        tracked.worker(&["backfill", "t"]).env("DATABASE_URL", url)
    };
    let output = as_role().run_to_end().await.assert_code(6);
    assert!(output.stderr.contains("GRANT SELECT ON \"public\".\"t\""), "{output}");
    tracked
        .sql(&format!(
            "GRANT SELECT ON t TO {role}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY hides ON t USING (id > 1); INSERT INTO t VALUES (1), (2)"
        ))
        .await;
    let output = as_role().run_to_end().await.assert_code(6);
    assert!(output.stderr.contains("row-level security"), "{output}");
    tracked.sql("ALTER TABLE t DISABLE ROW LEVEL SECURITY").await;
    as_role().run_to_end().await.assert_code(0);
    assert_eq!(tracked.count().await, 2, "that is all that a role needs");

    tracked.sql("DROP TABLE bemi.backfill").await;
    refused(&["t"], 3, "no table bemi.backfill").await;
    tracked.setup(&[]).await;
    tracked.database.drop_slot(&slot).await;
    refused(&["t", "--again"], 3, "changes were lost").await;
    // The slot begins later now: what was lost is told, and the present is stored again.
    tracked.setup(&["--recreate-slot"]).await;
    refused(&["parted"], 0, "").await;
    tracked.sql(&format!("REVOKE ALL ON ALL TABLES IN SCHEMA bemi, public FROM {role}; REVOKE ALL ON SCHEMA bemi FROM {role}; DROP ROLE {role}")).await;
}

/// A row that the destination does not take is set aside, and is counted all the same.
#[tokio::test]
async fn a_row_that_is_refused_goes_to_quarantine() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)",
    )
    .await;
    tracked.sql("ALTER TABLE changes ADD CHECK (primary_key <> '42')").await;
    backfill(&tracked, &["t"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 99);
    let (refused, rows): (i64, i64) = {
        let row = tracked
            .client
            .query_one(
                "SELECT (SELECT count(*) FROM bemi.quarantine WHERE \"table\" = 't'), rows \
                 FROM bemi.backfill",
                &[],
            )
            .await
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!((refused, rows), (1, 100));
}

/// Rows of a megabyte: a chunk of ten thousand of them would be too much for anybody.
#[tokio::test]
async fn wide_rows_are_stored_in_small_chunks() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, wide text); ALTER TABLE t ALTER wide SET STORAGE EXTERNAL; \
         INSERT INTO t SELECT g, repeat(md5(g::text), 32768) FROM generate_series(1, 80) g",
    )
    .await;
    let config = config(&tracked);
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    let mut chunks = Vec::new();
    // The first chunk knows nothing of the rows yet.
    let options = BackfillOptions::new().chunk_rows(10);
    backfill::run(&config, &options, shutdown, |event| {
        if let BackfillEvent::Stored { rows, .. } = event {
            chunks.push(rows);
        }
    })
    .await
    .unwrap();
    assert_eq!(chunks.iter().sum::<u64>(), 80);
    assert!(chunks.iter().all(|rows| *rows <= 32), "{chunks:?}");
    let whole: i64 = tracked
        .value("SELECT count(*) FROM changes WHERE length(after ->> 'wide') = 1048576")
        .await;
    assert_eq!(whole, 80);
}

#[tokio::test]
async fn status_and_dry_run_tell_of_baselines_and_teardown_forgets_them() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 7); \
         CREATE TABLE keyless (a int)",
    )
    .await;
    let planned = backfill(&tracked, &["--all-tables", "--dry-run"]).await.assert_code(0);
    assert!(planned.stdout.contains("would be stored"), "{planned}");
    assert!(planned.stdout.contains("in one transaction"), "{planned}");
    assert_eq!(tracked.count().await, 0);
    let status = async || {
        let output = tracked.worker(&["status", "--format", "json"]).run_to_end().await;
        serde_json::from_str::<Value>(&output.assert_code(0).stdout).unwrap()
    };
    assert_eq!(status().await["baselines"], serde_json::json!([]));
    backfill(&tracked, &["t"]).await.assert_code(0);
    let position: i64 = tracked.value("SELECT max(commit_position) FROM changes").await;
    let told = status().await["baselines"][0].clone();
    assert_eq!((&told["table"], &told["rows"]), (&"public.t".into(), &7.into()));
    assert_eq!(told["finished"], true);
    assert_eq!(told["position"], position);
    let shown = tracked.worker(&["status"]).run_to_end().await.assert_code(0);
    assert!(shown.stdout.contains("1 table, 7 rows"), "{shown}");
    tracked.worker(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    let left: bool = tracked.value("SELECT to_regclass('bemi.backfill') IS NOT NULL").await;
    assert!(!left);
}

/// The source's sessions are ended, again and again: it opens them anew, and stores each row once.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_is_opened_again() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let arguments = ["backfill", "t", "--chunk-rows", "100", "--max-rows-per-second", "2000"];
    let mut running = tracked.worker(&arguments).spawn();
    for stored in [100, 1_000, 2_000] {
        eventually(STORED_WITHIN, "rows to be stored", async || {
            (tracked.count().await >= stored).then_some(())
        })
        .await;
        tracked
            .sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'bemi-worker backfill'",
            )
            .await;
    }
    let output = running.wait(STORED_WITHIN).await.assert_code(0);
    assert!(output.stderr.contains("going on when it works again"), "{output}");
    let keys: i64 = tracked.value("SELECT count(DISTINCT primary_key) FROM changes").await;
    assert_eq!((keys, tracked.count().await), (3_000, 3_000));
}

#[tokio::test]
async fn a_database_of_its_own_holds_the_baseline() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)",
    )
    .await;
    let destination = TestDatabase::create(shared_cluster()).await.unwrap();
    let at = |arguments: &[&str]| {
        tracked.worker(arguments).env("DESTINATION_DATABASE_URL", destination.url()).run_to_end()
    };
    at(&["setup", "--all-tables"]).await.assert_code(0);
    at(&["backfill", "--all-tables"]).await.assert_code(0);
    let client = destination.connect().await.unwrap();
    let row = client
        .query_one(
            "SELECT count(*), min(database), (SELECT rows FROM bemi.backfill) FROM changes",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (100_i64, tracked.database.name(), 100_i64));
    let here: bool = tracked.value("SELECT to_regclass('bemi.backfill') IS NOT NULL").await;
    assert!(!here, "the source holds none of it");
}

/// Keys that are text in no encoding, in a database that does not mind. Neither baseline nor stream stop at
/// them.
#[tokio::test]
async fn keys_that_are_not_text_are_gone_on_with_by_their_bytes() {
    let tracked = super::encodings::untracked(
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

/// What is left out from now on is left out from the next chunk on.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_left_out_meanwhile_is_not_stored_any_more() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let arguments = ["backfill", "t", "--chunk-rows", "10", "--max-rows-per-second", "100"];
    let mut running = tracked.worker(&arguments).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 0).then_some(())
    })
    .await;
    tracked.setup(&["--exclude", "t"]).await;
    let output = running.wait(STORED_WITHIN).await.assert_code(0);
    assert!(output.stderr.contains("not tracked any more"), "{output}");
    assert!(output.stdout.contains("not finished"), "{output}");
    assert!(tracked.count().await < 3_000);
}
