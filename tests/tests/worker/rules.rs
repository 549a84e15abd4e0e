//! What rules for columns make of changes: some are not stored, and of some values only a mask is.

use std::time::Duration;

use bemi_tests::{Output, Tracked, shared_cluster};
use serde_json::{Value, json};

const FULL: [&str; 3] = ["--all-tables", "--replica-identity", "full"];

/// How long a worker that has reason to end may take.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// HMAC-SHA256 by that key, as other programs compute it.
const ANN: &str = "hmac-sha256:580ee4487b4a915791b431d8bb33cbfe5691ae7cc12c3048f97aafe95233b462";
const BOB: &str = "hmac-sha256:acbf0aeec4efdd2b41fcde0464a87b694adced9ab64e682741af09b3d0029803";
const SEVEN: &str = "hmac-sha256:9657f4db0378a439d0a338d5b736d0ce953e0df354ecdb12c80e9c55adeec454";

async fn tracked(schema: &str, rules: &[&str]) -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), schema).await;
    tracked.setup(&[&FULL[..], rules].concat()).await;
    tracked
}

/// Stores everything, with the key, and everything that it has to say.
async fn store(tracked: &Tracked) -> Output {
    let run = tracked.worker(&["run", "--once"]).env("BEMI_MASK_KEY", KEY).env("RUST_LOG", "trace");
    run.run_to_end().await.assert_code(0)
}

async fn status(tracked: &Tracked) -> Value {
    let output = tracked.worker(&["status", "--format", "json"]).run_to_end().await;
    serde_json::from_str(&output.assert_code(0).stdout).unwrap()
}

/// That no row that was stored, set aside or told holds the text.
async fn assert_nowhere(tracked: &Tracked, output: &Output, secret: &str) {
    let in_changes: i64 = tracked
        .value(&format!("SELECT count(*) FROM changes c WHERE c::text LIKE '%{secret}%'"))
        .await;
    let in_quarantine: i64 = tracked
        .value(&format!(
            "SELECT count(*) FROM bemi.quarantine q WHERE q::text LIKE '%{secret}%' \
             OR position('{secret}'::bytea IN raw) > 0"
        ))
        .await;
    assert_eq!((in_changes, in_quarantine), (0, 0), "{secret}");
    assert!(!output.stderr.contains(secret) && !output.stdout.contains(secret), "{output}");
}

#[tokio::test]
async fn an_update_of_ignored_columns_alone_is_not_stored_and_keeps_its_place() {
    let tracked = tracked(
        "CREATE TABLE t (id int PRIMARY KEY, a text, seen_at int, updated_at int, long text)",
        &["--ignore", "*.updated_at,public.t.seen_*"],
    )
    .await;
    tracked
        .sql("INSERT INTO t SELECT 1, 'a', 1, 1, string_agg(md5(g::text), '') FROM generate_series(1, 500) g")
        .await;
    tracked
        .sql(
            "BEGIN; \
             UPDATE t SET updated_at = 2; \
             UPDATE t SET a = 'b', updated_at = 3; \
             UPDATE t SET updated_at = 4, seen_at = 4; \
             UPDATE t SET a = a; \
             UPDATE t SET seen_at = NULL; \
             UPDATE t SET id = 2, seen_at = 5; \
             COMMIT",
        )
        .await;
    tracked.sql("UPDATE t SET seen_at = 6").await;
    tracked.sql("DELETE FROM t").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let told: Vec<_> = changes.iter().map(|change| (change.what().0, change.sequence)).collect();
    assert_eq!(
        told,
        [("CREATE", 1), ("UPDATE", 2), ("UPDATE", 4), ("UPDATE", 6), ("DELETE", 1)],
        "what changes nothing is stored, and so is what changes the key"
    );
    // What is stored has whole rows.
    assert_eq!(changes[1].before["updated_at"], 2);
    assert_eq!((&changes[1].after["a"], &changes[1].after["updated_at"]), (&json!("b"), &json!(3)));
    assert_eq!(changes[3].what(), ("UPDATE", "2"));
    assert_eq!(changes[4].before["seen_at"], 6);

    let status = status(&tracked).await;
    assert_eq!(
        (&status["stored"]["changes"], &status["stored"]["ignored"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(status["stored"]["transactions"], 3, "one had nothing to store");
}

#[tokio::test]
async fn a_key_is_never_ignored() {
    let tracked =
        tracked("CREATE TABLE t (id int PRIMARY KEY, a text)", &["--ignore", "public.t.*"]).await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET a = 'b'; UPDATE t SET id = 2").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (changes[1].what(), changes[1].previous_key.as_deref()),
        (("UPDATE", "2"), Some("1"))
    );
}

#[tokio::test]
async fn where_the_row_before_is_not_whole_every_update_is_stored_and_setup_says_so() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, updated_at int); \
         CREATE TABLE full_one (id int PRIMARY KEY, updated_at int); \
         ALTER TABLE full_one REPLICA IDENTITY FULL",
    )
    .await;
    let told = tracked.setup(&["--all-tables", "--ignore", "updated_at"]).await;
    assert!(told.stdout.contains("every UPDATE of public.t is stored"), "{told}");
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 1); UPDATE t SET updated_at = 2; \
             INSERT INTO full_one VALUES (1, 1); UPDATE full_one SET updated_at = 2",
        )
        .await;
    tracked.store().await;
    let told: Vec<_> =
        tracked.changes().await.into_iter().map(|c| (c.table, c.operation)).collect();
    let row = |table: &str, operation: &str| (table.to_owned(), operation.to_owned());
    assert_eq!(told, [row("t", "CREATE"), row("t", "UPDATE"), row("full_one", "CREATE")]);
}

#[tokio::test]
async fn ignoring_holds_in_partitions_and_for_columns_and_tables_that_come_later() {
    let tracked = tracked(
        "CREATE TABLE root (id int PRIMARY KEY, at int) PARTITION BY LIST (id); \
         CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1)",
        &["--ignore", "public.root.at,touched"],
    )
    .await;
    tracked
        .sql(
            "INSERT INTO root VALUES (1, 1); UPDATE root SET at = 2; \
             ALTER TABLE root ADD touched int; UPDATE root SET touched = 1; \
             CREATE TABLE later (id int PRIMARY KEY, touched int, a int); \
             INSERT INTO later VALUES (1, 1, 1); UPDATE later SET touched = 2; \
             ALTER TABLE later RENAME a TO b; ALTER TABLE later RENAME touched TO a; \
             UPDATE later SET a = 3",
        )
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let told: Vec<_> = changes.iter().map(|c| (c.table.as_str(), c.operation.as_str())).collect();
    assert_eq!(
        told,
        [("root", "CREATE"), ("later", "CREATE"), ("later", "UPDATE")],
        "a rule goes by the name that the column has"
    );
}

#[tokio::test]
async fn masked_values_are_stored_nowhere() {
    let tracked = tracked(
        "CREATE TABLE users (id int PRIMARY KEY, email text, phone text, password text, n int, long text)",
        &[
            "--mask", "users.email,users.n=hash",
            "--mask", "phone=text:(hidden), \"x\"=1",
            "--mask", "*.*.password=drop",
            "--mask", "long=hash",
        ],
    )
    .await;
    tracked
        .sql(
            "INSERT INTO users VALUES (1, 'ann@example', '555-secret', 'hunter2', 7, NULL), (2, NULL, NULL, NULL, NULL, NULL); \
             UPDATE users SET email = 'bob@example', phone = '556-secret', password = 'hunter3', \
                 long = (SELECT string_agg('secret' || g, '') FROM generate_series(1, 2000) g) WHERE id = 1; \
             UPDATE users SET n = 8 WHERE id = 1; \
             DELETE FROM users",
        )
        .await;
    let output = store(&tracked).await;
    let changes = tracked.changes().await;
    let hidden = "(hidden), \"x\"=1";
    assert_eq!(
        changes[0].after,
        json!({"id": 1, "email": ANN, "phone": hidden, "n": SEVEN, "long": null})
    );
    assert_eq!(
        changes[1].after,
        json!({"id": 2, "email": null, "phone": null, "n": null, "long": null}),
        "NULL stays NULL"
    );
    assert_eq!(
        (&changes[2].before["email"], &changes[2].after["email"]),
        (&json!(ANN), &json!(BOB))
    );
    assert_eq!(changes[3].after["long"], changes[2].after["long"], "an untouched long value, too");
    assert_ne!(changes[3].after["n"], changes[3].before["n"]);
    assert!(changes.iter().all(|change| change.encoded.is_none() && change.unavailable.is_none()));
    for secret in ["secret", "hunter", "example"] {
        assert_nowhere(&tracked, &output, secret).await;
    }
    assert_nowhere(&tracked, &output, KEY).await;
}

#[tokio::test]
async fn the_hash_of_a_key_identifies_the_row_as_the_key_does() {
    let tracked = tracked(
        "CREATE TABLE users (email text PRIMARY KEY, a int); \
         CREATE TABLE pairs (a int, b text, PRIMARY KEY (a, b))",
        &["--mask", "email=hash", "--mask", "pairs.b=hash"],
    )
    .await;
    tracked
        .sql(
            "INSERT INTO users VALUES ('ann@example', 1); UPDATE users SET email = 'bob@example'; \
             INSERT INTO pairs VALUES (1, 'ann@example'); UPDATE pairs SET a = 2; DELETE FROM pairs",
        )
        .await;
    let output = store(&tracked).await;
    let changes = tracked.changes().await;
    assert_eq!(changes[0].what(), ("CREATE", ANN));
    assert_eq!(
        (changes[1].what(), changes[1].previous_key.as_deref()),
        (("UPDATE", BOB), Some(ANN))
    );
    assert_eq!(changes[2].primary_key, Some(format!("[\"1\",\"{ANN}\"]")));
    assert_eq!(changes[3].previous_key, Some(format!("[\"1\",\"{ANN}\"]")));
    assert_eq!(changes[4].primary_key, Some(format!("[\"2\",\"{ANN}\"]")));
    assert_nowhere(&tracked, &output, "example").await;
}

#[tokio::test]
async fn under_the_default_identity_keys_are_masked_too() {
    let tracked =
        Tracked::untracked(shared_cluster(), "CREATE TABLE users (email text PRIMARY KEY, a int)")
            .await;
    tracked.setup(&["--all-tables", "--mask", "email=hash"]).await;
    tracked
        .sql(
            "INSERT INTO users VALUES ('ann@example', 1); UPDATE users SET a = 2; \
             UPDATE users SET email = 'bob@example'; DELETE FROM users",
        )
        .await;
    let output = store(&tracked).await;
    let changes = tracked.changes().await;
    assert_eq!((changes[1].what(), &changes[1].before), (("UPDATE", ANN), &json!({"email": ANN})));
    assert_eq!(
        (changes[2].what(), changes[2].previous_key.as_deref()),
        (("UPDATE", BOB), Some(ANN))
    );
    assert_eq!((changes[3].what(), &changes[3].before), (("DELETE", BOB), &json!({"email": BOB})));
    assert_nowhere(&tracked, &output, "example").await;
}

#[tokio::test]
async fn of_several_masks_that_which_shows_least_counts_also_for_tables_that_come_later() {
    let tracked = tracked(
        "CREATE TABLE users (id int PRIMARY KEY, email text, phone text)",
        &["--mask", "*.*.*=hash", "--mask", "users.email=drop", "--mask", "phone=text:x"],
    )
    .await;
    tracked
        .sql(
            "INSERT INTO users VALUES (7, 'ann@example', '555-example'); \
             CREATE TABLE later (phone text PRIMARY KEY, name text); \
             INSERT INTO later VALUES ('555-example', 'bob@example'); \
             ALTER TABLE later ADD email text; UPDATE later SET email = 'ann@example'",
        )
        .await;
    let output = store(&tracked).await;
    let changes = tracked.changes().await;
    assert_eq!(
        (changes[0].what(), &changes[0].after),
        (("CREATE", SEVEN), &json!({"id": SEVEN, "phone": "x"}))
    );
    // A key that says nothing is none. It would have been refused, had the table been there.
    assert_eq!(
        (changes[1].primary_key.as_deref(), &changes[1].after),
        (None, &json!({"phone": "x", "name": BOB}))
    );
    assert_eq!(changes[2].after["email"], ANN);
    assert!(output.stderr.contains("a column of the key is masked"), "{output}");
    assert_nowhere(&tracked, &output, "example").await;
    let told = tracked.setup(&[]).await;
    assert!(told.stdout.contains("changes of public.later have no primary_key"), "{told}");
}

#[tokio::test]
async fn a_column_may_be_both_ignored_and_masked() {
    let tracked = tracked(
        "CREATE TABLE t (id int PRIMARY KEY, a text, token text)",
        &["--ignore", "token", "--mask", "token=hash"],
    )
    .await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 'a', 'ann@example'); UPDATE t SET token = 'x'; \
             UPDATE t SET token = 'bob@example', a = 'b'",
        )
        .await;
    store(&tracked).await;
    let tokens: Vec<_> =
        tracked.changes().await.into_iter().map(|change| change.after["token"].clone()).collect();
    assert_eq!(tokens, [ANN, BOB]);
}

#[tokio::test]
async fn without_a_key_nothing_is_stored_in_clear() {
    let tracked =
        tracked("CREATE TABLE users (id int PRIMARY KEY, email text)", &["--mask", "email=hash"])
            .await;
    tracked.sql("INSERT INTO users VALUES (1, 'ann@example')").await;
    let refused = tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(
        refused.stderr.contains("*.*.email") && refused.stderr.contains("BEMI_MASK_KEY"),
        "{refused}"
    );
    assert_eq!(tracked.count().await, 0);
    let short = tracked.worker(&["run", "--once"]).env("BEMI_MASK_KEY", "hunter2");
    let short = short.run_to_end().await.assert_code(2);
    assert!(short.stderr.contains("16") && !short.stderr.contains("hunter2"), "{short}");

    // Nobody else needs it, or may need to read its file.
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("bemi.toml"), folder.path().join("key"));
    std::fs::write(&file, format!("mask_key_file = {:?}\n", key.to_str().unwrap())).unwrap();
    let config = file.to_str().unwrap();
    tracked.worker(&["status", "--config", config]).run_to_end().await.assert_code(0);
    let missing = tracked.worker(&["run", "--once", "--config", config]).run_to_end().await;
    assert!(missing.assert_code(2).stderr.contains("cannot read the mask key"));
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    tracked.worker(&["run", "--once", "--config", config]).run_to_end().await.assert_code(0);
    assert_eq!(tracked.changes().await[0].after["email"], ANN);
}

#[tokio::test]
async fn a_rule_that_comes_while_the_worker_runs_counts_from_there() {
    let tracked = tracked("CREATE TABLE t (id int PRIMARY KEY, a text, b int)", &[]).await;
    let worker = tracked.worker(&["run"]).env("BEMI_MASK_KEY", KEY);
    let mut worker = worker.spawn();
    worker.wait_for_log("streaming").await;
    tracked.sql("INSERT INTO t VALUES (1, 'ann@example', 1)").await;
    tracked.wait_for_count(1).await;
    tracked.setup(&["--mask", "t.a=hash", "--ignore", "t.b"]).await;
    tracked.sql("UPDATE t SET b = 2; UPDATE t SET a = 'bob@example'").await;
    tracked.wait_for_count(2).await;
    tracked.setup(&["--forget", "t.a,t.b"]).await;
    tracked.sql("UPDATE t SET b = 3").await;
    tracked.wait_for_count(3).await;
    worker.stop().await;
    let changes = tracked.changes().await;
    assert_eq!(changes[0].after["a"], "ann@example", "what was stored before stays");
    assert_eq!(changes[1].after, json!({"id": 1, "a": BOB, "b": 2}));
    assert_eq!(changes[2].after, json!({"id": 1, "a": "bob@example", "b": 3}));
}

#[tokio::test]
async fn a_hash_that_comes_while_the_worker_has_no_key_ends_it_before_anything_is_stored_in_clear()
{
    let tracked = tracked("CREATE TABLE t (id int PRIMARY KEY, a text)", &[]).await;
    let mut worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1, 'before')").await;
    tracked.wait_for_count(1).await;
    tracked.setup(&["--mask", "t.a=hash"]).await;
    tracked.sql("INSERT INTO t VALUES (2, 'ann@example')").await;
    let ended = worker.wait(ENDS_WITHIN).await.assert_code(3);
    assert!(ended.stderr.contains("BEMI_MASK_KEY"), "{ended}");
    assert_eq!(tracked.count().await, 1);
    let output = store(&tracked).await;
    assert_eq!(tracked.changes().await[1].after["a"], ANN);
    assert_nowhere(&tracked, &output, "example").await;
}

#[tokio::test]
async fn a_worker_that_is_behind_applies_the_rules_to_what_it_has_not_stored() {
    let tracked = tracked("CREATE TABLE t (id int PRIMARY KEY, a text)", &[]).await;
    tracked.sql("INSERT INTO t VALUES (1, 'ann@example')").await;
    tracked.setup(&["--mask", "t.a=hash"]).await;
    let output = store(&tracked).await;
    assert_nowhere(&tracked, &output, "example").await;
}

/// A stream knows a table by the names that it had when it was described. Before PostgreSQL 16, a new name
/// of its schema is no reason to describe it again.
#[tokio::test]
async fn a_rule_goes_by_the_name_that_the_stream_has() {
    let tracked = tracked(
        "CREATE SCHEMA a; CREATE TABLE a.t (id int PRIMARY KEY, email text)",
        &["--mask", "b.t.email=text:x"],
    )
    .await;
    let version: i32 = tracked.value("SELECT current_setting('server_version_num')::int").await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO a.t VALUES (1, 'ann')").await;
    tracked.wait_for_count(1).await;
    tracked.sql("ALTER SCHEMA a RENAME TO b").await;
    tracked.sql("INSERT INTO b.t VALUES (2, 'bob')").await;
    tracked.wait_for_count(2).await;
    worker.stop().await;
    tracked.sql("INSERT INTO b.t VALUES (3, 'eve')").await;
    tracked.store().await;
    let stored: Vec<String> = tracked
        .value("SELECT array_agg(schema || '.' || (after->>'email') ORDER BY commit_position) FROM changes")
        .await;
    let told_late = if version < 160_000 { "a.bob" } else { "b.x" };
    assert_eq!(stored, ["a.ann", told_late, "b.x"]);
}

#[tokio::test]
async fn a_baseline_has_the_hashes_that_changes_have() {
    let tracked = tracked(
        "CREATE TABLE users (email text PRIMARY KEY, a int); \
         INSERT INTO users SELECT 'secret' || g, g FROM generate_series(1, 500) g",
        &["--mask", "email=hash"],
    )
    .await;
    let backfill =
        || tracked.worker(&["backfill", "users", "--chunk-rows", "50"]).env("RUST_LOG", "trace");
    let refused = backfill().run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("BEMI_MASK_KEY"), "{refused}");
    assert_eq!(tracked.count().await, 0);

    let output = backfill().env("BEMI_MASK_KEY", KEY).run_to_end().await.assert_code(0);
    assert_nowhere(&tracked, &output, "secret").await;
    let progress: i64 = tracked
        .value(
            "SELECT count(*) FROM bemi.backfill b, unnest(key_reached || key_last) AS key \
             WHERE position('secret'::bytea IN key) > 0 OR b::text LIKE '%secret%'",
        )
        .await;
    assert_eq!(progress, 0);
    tracked.sql("UPDATE users SET a = a + 1").await;
    store(&tracked).await;
    let joined: i64 = tracked
        .value(
            "SELECT count(*) FROM changes before JOIN changes after USING (primary_key) \
             WHERE before.operation = 'SNAPSHOT' AND after.operation = 'UPDATE' \
               AND before.after = after.before",
        )
        .await;
    assert_eq!(joined, 500);
}

/// From PostgreSQL 18 on, the stream has stored generated columns.
#[tokio::test]
async fn a_generated_column_that_follows_an_ignored_one_counts_where_it_is_sent() {
    let tracked = tracked(
        "CREATE TABLE t (id int PRIMARY KEY, at int, twice int GENERATED ALWAYS AS (at * 2) STORED)",
        &["--ignore", "at"],
    )
    .await;
    let version: i32 = tracked.value("SELECT current_setting('server_version_num')::int").await;
    tracked.sql("INSERT INTO t VALUES (1, 1)").await;
    tracked.sql("UPDATE t SET at = 2").await;
    tracked.store().await;
    assert_eq!(tracked.count().await, if version < 180_000 { 1 } else { 2 });
    tracked.setup(&["--ignore", "twice"]).await;
    tracked.sql("UPDATE t SET at = 3").await;
    tracked.store().await;
    assert_eq!(tracked.count().await, if version < 180_000 { 1 } else { 2 });
}
