//! What becomes of tracked tables is in the stream, at its place among the changes.

use bemi_tests::{STORED_WITHIN, Tracked, eventually};
use serde_json::{Value, json};

/// The events, in order: what, of which table, behind which change, and whether rows were rewritten.
pub(super) async fn events(tracked: &Tracked) -> Vec<String> {
    tracked.store().await;
    tracked
        .value(
            "SELECT coalesce(array_agg(concat_ws(' ', event, schema || '.' || \"table\",
                        CASE WHEN sequence > 0 THEN 'behind ' || sequence END,
                        CASE WHEN rewritten THEN 'rewritten' END)
                    ORDER BY commit_position, sequence, ordinal), '{}')
             FROM bemi.table_events",
        )
        .await
}

#[tokio::test]
async fn setup_says_which_tables_are_tracked_and_says_it_once() {
    let tracked =
        Tracked::new("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int)").await;
    for _ in 0..2 {
        let told = tracked.setup(&[]).await.stdout;
        assert!(told.starts_with("nothing to do\n"), "{told}");
    }
    assert_eq!(events(&tracked).await, ["tracked public.a", "tracked public.b"]);
    let told = tracked.setup(&[]).await.stdout;
    assert!(told.starts_with("nothing to do\n"), "{told}");
    tracked.setup(&["--exclude", "b"]).await;
    assert_eq!(events(&tracked).await[2..], ["untracked public.b"]);
    tracked.setup(&["--all-tables", "--exclude", "a"]).await;
    assert_eq!(events(&tracked).await[3..], ["untracked public.a"]);
}

#[tokio::test]
async fn what_a_table_is_stands_between_the_changes_before_and_behind_it() {
    let tracked = Tracked::new("").await;
    tracked
        .sql(
            "BEGIN; CREATE TABLE todo (id int PRIMARY KEY, task text);
             INSERT INTO todo VALUES (1, 'a'), (2, 'b');
             ALTER TABLE todo ADD note varchar(9) DEFAULT 'none';
             SAVEPOINT s; ALTER TABLE todo ADD never int; ROLLBACK TO s;
             UPDATE todo SET task = 'c' WHERE id = 1;
             ALTER TABLE todo ALTER id TYPE bigint; ALTER TABLE todo RENAME task TO what; COMMIT;
             DROP TABLE todo",
        )
        .await;
    assert_eq!(
        events(&tracked).await,
        [
            "created public.todo",
            "altered public.todo behind 2",
            "altered public.todo behind 3 rewritten",
            "altered public.todo behind 3",
            "dropped public.todo",
        ]
    );
    type Told = (Option<String>, Option<Vec<String>>, Option<Value>);
    let told: Vec<Told> = tracked
        .client
        .query(
            "SELECT identity, key_columns, columns FROM bemi.table_events
             ORDER BY commit_position, sequence, ordinal",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(told[0].0.as_deref(), Some("full"));
    assert_eq!(told[0].1, Some(vec!["id".to_owned()]));
    let column = |number: i32, name: &str, data_type: &str, oid: u32, missing: Value| json!({"number": number, "name": name, "type": data_type, "type_oid": oid, "generated": false, "missing": missing});
    assert_eq!(
        told[1].2,
        Some(json!([
            column(1, "id", "integer", 23, Value::Null),
            column(2, "task", "text", 25, Value::Null),
            column(3, "note", "character varying(9)", 1043, json!("none")),
        ]))
    );
    assert_eq!(told[3].2.as_ref().unwrap()[1], column(2, "what", "text", 25, Value::Null));
    assert_eq!(told[4], (None, None, None));
    let sequences: Vec<i64> = tracked.changes().await.iter().map(|c| c.sequence).collect();
    assert_eq!(sequences, [1, 2, 3], "an event takes no number of a change");
}

#[tokio::test]
async fn a_table_under_another_name_is_another_table() {
    let tracked = Tracked::new("CREATE SCHEMA s; CREATE TABLE a (id int PRIMARY KEY)").await;
    tracked
        .sql(
            "ALTER TABLE a RENAME TO b; ALTER TABLE b SET SCHEMA s; ALTER SCHEMA s RENAME TO r;
             CREATE TABLE a (id int PRIMARY KEY);
             BEGIN; ALTER TABLE r.b RENAME TO c; ALTER TABLE r.c RENAME TO b; COMMIT",
        )
        .await;
    assert_eq!(
        events(&tracked).await,
        [
            "tracked public.a",
            "untracked public.a",
            "tracked public.b",
            "untracked public.b",
            "tracked s.b",
            "untracked s.b",
            "tracked r.b",
            "created public.a",
            "untracked r.b",
            "tracked r.c",
            "untracked r.c",
            "tracked r.b",
        ]
    );
}

#[tokio::test]
async fn rows_that_get_other_values_without_a_change_of_theirs_are_told() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, at timestamp, small varchar(5));
         CREATE TABLE p (id int, n int) PARTITION BY LIST (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
         CREATE TABLE parent (id int PRIMARY KEY, n int); CREATE TABLE child () INHERITS (parent)",
    )
    .await;
    let before = events(&tracked).await.len();
    for sql in [
        "ALTER TABLE t ADD a int DEFAULT 7",
        "ALTER TABLE t ADD b uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE t ADD c int GENERATED ALWAYS AS (id + 1) STORED",
        // No row is written for these two: one has the same values, the other one has not.
        "ALTER TABLE t ALTER small TYPE text",
        "SET timezone = 'UTC'; ALTER TABLE t ALTER at TYPE timestamptz",
        "VACUUM FULL t",
        "ALTER TABLE t DROP a",
        "ALTER TABLE p ALTER n TYPE bigint",
        "ALTER TABLE parent ALTER n TYPE bigint",
    ] {
        tracked.sql(sql).await;
    }
    assert_eq!(
        events(&tracked).await[before..],
        [
            "altered public.t",
            "altered public.t rewritten",
            "altered public.t rewritten",
            "altered public.t",
            "altered public.t rewritten",
            "altered public.t",
            "altered public.p rewritten",
            "altered public.parent rewritten",
            "altered public.child rewritten",
        ]
    );
}

#[tokio::test]
async fn rows_that_come_or_go_with_a_partition_end_what_was_known() {
    let tracked = Tracked::new(
        "CREATE TABLE root (id int PRIMARY KEY) PARTITION BY LIST (id);
         CREATE TABLE one PARTITION OF root FOR VALUES IN (1)",
    )
    .await;
    let before = events(&tracked).await.len();
    let anew = ["untracked public.root", "tracked public.root"];
    let mut expected: Vec<&str> = Vec::new();
    for (sql, tells) in [
        ("CREATE TABLE two PARTITION OF root FOR VALUES IN (2)", &["altered public.root"][..]),
        (
            "CREATE TABLE three (id int PRIMARY KEY); ALTER TABLE root ATTACH PARTITION three FOR VALUES IN (3)",
            &["created public.three", "untracked public.three", "altered public.root"],
        ),
        ("CREATE TABLE four (id int PRIMARY KEY)", &["created public.four"]),
        ("INSERT INTO four VALUES (4)", &[]),
        (
            "ALTER TABLE root ATTACH PARTITION four FOR VALUES IN (4)",
            &["untracked public.four", anew[0], anew[1]],
        ),
        (
            "ALTER TABLE root DETACH PARTITION three",
            &["altered public.root", "tracked public.three"],
        ),
        (
            "ALTER TABLE root DETACH PARTITION four CONCURRENTLY",
            &["tracked public.four", anew[0], anew[1]],
        ),
        ("DROP TABLE two", &anew),
        ("ALTER TABLE one ADD CHECK (id = 1)", &["altered public.root"]),
        ("DROP TABLE root", &["dropped public.root"]),
    ] {
        tracked.sql(sql).await;
        let mut told = events(&tracked).await.split_off(before + expected.len());
        let mut tells = tells.to_vec();
        expected.extend(&tells);
        // The order of different tables of one command says nothing.
        told.sort();
        tells.sort();
        assert_eq!(told, tells, "{sql}");
    }
}

#[tokio::test]
async fn every_way_into_the_publications_and_out_of_them_is_told() {
    let tracked = Tracked::new(
        "CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY); CREATE TYPE mood AS ENUM ('sad');
         CREATE UNLOGGED TABLE u (id int PRIMARY KEY); CREATE TABLE m (id int PRIMARY KEY, how mood);
         CREATE TABLE bare (id int)",
    )
    .await;
    let before = events(&tracked).await.len();
    for sql in [
        "CREATE TABLE c AS SELECT 1 AS id",
        "SELECT 1 AS id INTO i",
        "CREATE SCHEMA n CREATE TABLE e (id int PRIMARY KEY)",
        "ALTER TABLE u SET LOGGED",
        "CREATE TEMPORARY TABLE t (id int); DROP TABLE t",
        "DROP TYPE mood CASCADE",
        "DROP SCHEMA s CASCADE",
        "ALTER PUBLICATION bemi DROP TABLE bare",
        "ALTER TABLE bare ADD n int",
        "DROP TABLE c, i",
        "BEGIN; CREATE TABLE never (id int); ROLLBACK",
    ] {
        tracked.sql(sql).await;
    }
    assert_eq!(
        events(&tracked).await[before..],
        [
            "tracked public.c",
            "tracked public.i",
            "created n.e",
            "tracked public.u",
            "altered public.m",
            "dropped s.a",
            "untracked public.bare",
            "tracked public.bare",
            "dropped public.c",
            "dropped public.i",
        ]
    );
}

#[tokio::test]
async fn a_type_that_is_altered_alters_the_values_of_whatever_has_it() {
    let tracked = Tracked::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, how mood);
         CREATE DOMAIN feeling AS mood;
         CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE direct (id int PRIMARY KEY, how mood);
         CREATE TABLE deep (id int PRIMARY KEY, pairs pair[]);
         CREATE TABLE domains (id int PRIMARY KEY, how feeling)",
    )
    .await;
    let before = events(&tracked).await.len();
    let mut count = before;
    for (sql, rewrites) in [
        ("ALTER TYPE mood ADD VALUE 'happy'", &[][..]),
        ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", &["deep", "direct", "domains"]),
        ("ALTER TYPE pair RENAME ATTRIBUTE a TO b", &["deep"]),
        ("ALTER TYPE pair ADD ATTRIBUTE c int", &["deep"]),
        ("ALTER TYPE pair OWNER TO current_user", &[]),
    ] {
        tracked.sql(sql).await;
        let told = events(&tracked).await.split_off(count);
        count += told.len();
        let mut told: Vec<_> = told.iter().map(String::as_str).collect();
        told.sort_unstable();
        let expected: Vec<_> =
            rewrites.iter().map(|table| format!("altered public.{table} rewritten")).collect();
        assert_eq!(told, expected, "{sql}");
    }
}

#[tokio::test]
async fn what_rows_from_before_a_column_have_is_told_unless_it_must_not_be_known() {
    let tracked = Tracked::new(
        "CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TYPE pair AS (a int);
         CREATE DOMAIN prices AS numeric[]; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
    )
    .await;
    let masks = ["--exclude", "*.*.left_out", "--mask", "*.*.secret=text:(hidden)"];
    tracked.setup(&masks).await;
    tracked
        .sql(
            "SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET extra_float_digits = -9;
             SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601';
             ALTER TABLE t ADD n numeric DEFAULT 1.000000000000000000010, ADD f float8 DEFAULT 0.1,
                 ADD at timestamptz DEFAULT '2020-01-01 00:00+02', ADD b bytea DEFAULT 'a\\\\b',
                 ADD i interval DEFAULT '1 day 2 hours', ADD l int[] DEFAULT '{{1},{NULL}}',
                 ADD m mood DEFAULT 'so so', ADD p pair DEFAULT '(1)', ADD d prices DEFAULT '{1.10}',
                 ADD j jsonb DEFAULT '{\"a\": [1.10]}', ADD large text DEFAULT repeat('x', 65600), ADD none text,
                 ADD left_out text DEFAULT 'hunter2', ADD secret text DEFAULT 'hunter3';
             RESET ALL; SET timezone = 'UTC'",
        )
        .await;
    tracked.store().await;
    let columns = "(SELECT * FROM jsonb_array_elements((SELECT columns FROM bemi.table_events
        ORDER BY commit_position DESC LIMIT 1)) AS c (c))";
    let unknown = format!(
        "SELECT array_agg(c ->> 'name') FROM {columns} AS c WHERE (c ->> 'missing_unknown')::boolean"
    );
    assert_eq!(tracked.value::<Vec<String>>(&unknown).await, ["p", "large", "secret"]);
    let texts = |source: &str| {
        format!("SELECT string_agg(key || ': ' || value::text, ', ' ORDER BY key) FROM {source}")
    };
    let told = format!(
        "(SELECT c ->> 'name' AS key, c -> 'missing' AS value FROM {columns} AS c) AS told
        WHERE key NOT IN ('id', 'p', 'large', 'secret')"
    );
    let row =
        "jsonb_each((SELECT to_jsonb(t) - ARRAY['id', 'p', 'large', 'secret', 'left_out'] FROM t))";
    assert_eq!(
        tracked.value::<String>(&texts(&told)).await,
        tracked.value::<String>(&texts(row)).await
    );
}

#[tokio::test]
async fn what_a_stranger_writes_stops_nothing() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let before = events(&tracked).await;
    for content in ["", "hello", "{}", "null", "{\"event\": \"created\"}"] {
        let emit = "SELECT pg_logical_emit_message(true, '_bemi_table', $1::text)";
        tracked.client.query(emit, &[&content]).await.unwrap();
    }
    tracked.sql("SELECT pg_logical_emit_message(false, '_bemi_table', 'hello'); INSERT INTO t VALUES (1)").await;
    let output = tracked.store().await;
    // Once a minute is enough.
    assert_eq!(output.stderr.matches("ignored a message about a table").count(), 1, "{output}");
    assert_eq!(events(&tracked).await, before);
    assert_eq!(tracked.count().await, 1);
}

#[tokio::test]
async fn an_event_is_stored_once_in_a_transaction_of_many_batches() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let before = events(&tracked).await.len();
    tracked
        .sql(
            "BEGIN; INSERT INTO t SELECT generate_series(1, 20000);
             ALTER TABLE t ADD a int; INSERT INTO t SELECT generate_series(20001, 40000);
             ALTER TABLE t ADD b int; COMMIT; ALTER TABLE t ADD c int",
        )
        .await;
    let expected =
        ["altered public.t behind 20000", "altered public.t behind 40000", "altered public.t"];
    for _ in 0..2 {
        assert_eq!(events(&tracked).await[before..], expected);
    }
    assert_eq!(tracked.count().await, 40_000);
}

#[tokio::test]
async fn behind_a_gap_all_tables_are_tracked_anew() {
    let tracked =
        Tracked::new("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
            .await;
    let before = events(&tracked).await.len();
    tracked.sql("DROP TABLE b; INSERT INTO a VALUES (1)").await;
    tracked.sql("SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots \
        WHERE database = current_database()").await;
    let run = ["run", "--once", "--on-gap", "continue"];
    tracked.worker(&run).run_to_end().await.assert_code(0);
    tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    assert_eq!(events(&tracked).await[before..], ["tracked public.a"]);
    let after_gap = "SELECT min(t.commit_position) > max(g.to_position) FROM bemi.table_events t, bemi.gaps g \
        WHERE t.commit_position > g.from_position";
    assert!(tracked.value::<bool>(after_gap).await);
}

#[tokio::test]
async fn a_heartbeat_has_the_position_stored_on_an_idle_database() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let worker = tracked.run().await;
    for transactional in [true, false, true] {
        let asked = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let asked: i64 = tracked.value(asked).await;
        let emit = "SELECT pg_logical_emit_message($1, '_bemi_heartbeat', '')";
        tracked.client.query(emit, &[&transactional]).await.unwrap();
        eventually(STORED_WITHIN, "the checkpoint to pass the heartbeat", async || {
            let stored: i64 = tracked.value("SELECT position FROM bemi.checkpoint").await;
            (stored >= asked).then_some(())
        })
        .await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn what_a_transaction_with_an_older_snapshot_cannot_tell_it_says_is_unknown() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE gone (id int); CREATE TABLE stale (id int)",
    )
    .await;
    let before = events(&tracked).await.len();
    tracked.sql("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT FROM t").await;
    let second = tracked.database.connect().await.unwrap();
    for sql in ["CREATE TABLE late (id int PRIMARY KEY)", "ALTER TABLE stale ADD a int"] {
        second.batch_execute(sql).await.unwrap();
    }
    tracked
        .sql(
            "ALTER TABLE t ADD a int; ALTER TABLE late ADD b int; ALTER TABLE stale ADD b int;
             DROP TABLE gone; CREATE TABLE new (id int PRIMARY KEY); COMMIT",
        )
        .await;
    assert_eq!(
        events(&tracked).await[before..],
        [
            "created public.late",
            "altered public.stale",
            "altered public.t",
            "untracked public.late",
            "untracked public.stale",
            "dropped public.gone",
            "created public.new",
        ]
    );
}
