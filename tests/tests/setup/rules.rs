//! Rules for tables and columns: how they are given, shown, changed and taken back, and which tables
//! they take in later.

use std::time::Duration;

use bemi_tests::{Output, eventually};
use serde_json::{Value, json};

use super::fresh::Fresh;

const SCHEMA: &str = "
CREATE TABLE todo (id int PRIMARY KEY, updated_at int);
CREATE TABLE users (email text PRIMARY KEY, phone text, updated_at int);
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id int PRIMARY KEY, email text)";

/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

async fn rules(fresh: &Fresh) -> Value {
    let status = fresh.ok(&["status", "--format", "json"]).await;
    serde_json::from_str::<Value>(&status).unwrap()["rules"].take()
}

#[tokio::test]
async fn status_shows_all_rules_and_a_second_setup_finds_nothing_to_do() {
    let fresh = Fresh::new(SCHEMA).await;
    let setup = [
        "setup",
        "--tables",
        "todo,Sales.*",
        "--exclude",
        "sales.log_*,*.*.\"Pass.Word\"",
        "--ignore",
        "updated_at",
        "--ignore",
        "sales.*.seen_*",
        "--mask",
        "orders.email=hash",
        "--mask",
        "*.phone=text:(no, none)",
    ];
    fresh.ok(&setup).await;
    let found = rules(&fresh).await;
    assert_eq!(found["tables"], json!(["public.todo", "sales.*"]));
    assert_eq!(found["excluded"], json!(["public.changes", "sales.log_*"]));
    assert_eq!(found["ignored"], json!(["*.*.updated_at", "sales.*.seen_*"]));
    assert_eq!(
        found["masked"],
        json!([
            {"columns": "*.*.\"Pass.Word\"", "mask": "drop"},
            {"columns": "*.*.phone", "mask": "text:(no, none)"},
            {"columns": "*.orders.email", "mask": "hash"},
        ])
    );
    let table = fresh.ok(&["status"]).await;
    for line in [
        "tables              public.todo, sales.*",
        "excluded tables     public.changes, sales.log_*",
        "ignored columns     *.*.updated_at, sales.*.seen_*",
        "masked columns      *.*.\"Pass.Word\"=drop, *.*.phone=text:(no, none), *.orders.email=hash",
        "ignored             0",
    ] {
        assert!(table.lines().any(|found| found == line), "no {line:?} in\n{table}");
    }
    let again = fresh.ok(&setup).await;
    assert!(again.starts_with("nothing to do"), "{again}");
}

#[tokio::test]
async fn the_same_pattern_given_again_replaces_its_mask_and_forgetting_takes_it_back() {
    let fresh = Fresh::new(SCHEMA).await;
    fresh
        .ok(&[
            "setup",
            "--tables",
            "todo,sales.*",
            "--exclude",
            "*.*.email",
            "--ignore",
            "email,updated_at",
        ])
        .await;
    let told = fresh.ok(&["setup", "--mask", "email=hash"]).await;
    assert!(told.contains("mask the columns *.*.email=hash"), "{told}");
    assert_eq!(rules(&fresh).await["masked"], json!([{"columns": "*.*.email", "mask": "hash"}]));

    let told = fresh.ok(&["setup", "--forget", "Email, nothing.of_it"]).await;
    assert!(told.contains("mask no more the columns *.*.email"), "{told}");
    assert!(told.contains("no rule was given with the pattern nothing.of_it"), "{told}");
    let after = rules(&fresh).await;
    assert_eq!((&after["masked"], &after["ignored"]), (&json!([]), &json!(["*.*.updated_at"])));

    // Tables that no other rule tracks are not published any more.
    fresh.ok(&["setup", "--forget", "sales.*"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.todo"]);
    fresh.ok(&["setup", "--tables", "public.*"]).await;
    fresh.ok(&["setup", "--forget", "todo"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.todo", "public.users"]);
    let nothing = ["setup", "--forget", "public.*"];
    fresh.refused(&nothing, 3, &["nothing says which tables to track"]).await;
}

#[tokio::test]
async fn from_all_tables_to_some_by_forgetting() {
    let fresh = Fresh::new(SCHEMA).await;
    fresh.ok(&["setup", "--all-tables", "--replica-identity", "full"]).await;
    fresh.ok(&["setup", "--forget", "*.*", "--tables", "todo"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.todo"]);
    let found = rules(&fresh).await;
    assert_eq!(
        (&found["tables"], &found["full_identity"]),
        (&json!(["public.todo"]), &json!(["*.*"]))
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let fresh = Fresh::new(SCHEMA).await;
    for mask in ["users.email=drop", "email=text:x"] {
        let setup = ["setup", "--all-tables", "--mask", mask];
        let says = ["email of public.users", "identifies the row", "by hash"];
        fresh.refused(&setup, 3, &says).await;
    }
    let twice = ["setup", "--all-tables", "--exclude", "*.*.phone", "--mask", "phone=hash"];
    fresh.refused(&twice, 2, &["two masks", "drop and hash"]).await;
    let both = ["setup", "--all-tables", "--ignore", "phone", "--forget", "phone"];
    fresh.refused(&both, 3, &["--forget phone takes back what this setup asks for"]).await;
    fresh.refused(&["setup", "--mask", "phone=sha1"], 2, &["'sha1'", "PATTERNS=hash"]).await;
    fresh.refused(&["setup", "--mask", "phone"], 2, &["'phone'", "PATTERNS=hash"]).await;
    fresh.refused(&["setup", "--ignore", "a.b.c.d"], 2, &["pattern of columns"]).await;
    fresh.refused(&["run", "--ignore", "phone"], 2, &["add --setup"]).await;
    assert!(fresh.value::<bool>("SELECT to_regnamespace('bemi') IS NULL").await);
    // A hash identifies the row as well as what it is made of.
    fresh.ok(&["setup", "--all-tables", "--mask", "email=hash"]).await;
}

#[tokio::test]
async fn setup_says_what_rules_do_not_do() {
    let fresh = Fresh::new(SCHEMA).await;
    let rules = ["--ignore", "updated_at", "--mask", "users.email=hash", "--mask", "gone=drop"];
    let told = fresh.ok(&[&["setup", "--all-tables"], &rules[..]].concat()).await;
    assert!(told.contains("every UPDATE of public.todo, public.users is stored"), "{told}");
    assert!(told.contains("no tracked table has a column *.*.gone so far"), "{told}");
    assert!(told.contains("needs a key: set BEMI_MASK_KEY"), "{told}");
    let told = fresh.ok(&["setup", "--replica-identity", "full"]).await;
    assert!(!told.contains("note:"), "{told}");
}

#[tokio::test]
async fn doctor_warns_of_a_rule_whose_column_has_another_name_now() {
    let fresh = Fresh::new(SCHEMA).await;
    let full = ["--replica-identity", "full"];
    let rules = ["--ignore", "updated_at", "--mask", "users.phone=drop"];
    fresh.ok(&[&["setup", "--all-tables"], &full[..], &rules[..]].concat()).await;
    let told = fresh.ok(&["doctor"]).await;
    assert!(told.contains("B041  ok"), "{told}");
    fresh.sql("ALTER TABLE users RENAME phone TO mobile").await;
    let told = fresh.ok(&["doctor"]).await;
    assert!(told.contains("B041  warn  no tracked table has a column *.users.phone"), "{told}");
}

#[tokio::test]
async fn the_file_says_what_to_track_and_flags_add_to_it() {
    let fresh = Fresh::new(SCHEMA).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let config = ["--config", file.path().to_str().unwrap()];
    let with_file = |arguments: &[&'static str]| [arguments, &config[..]].concat();
    write(
        "[tracking]\ntables = [\"todo\", \"users,sales.*\"]\nexclude = [\"sales.log_*\", \"*.*.secret\"]\n\
         ignore = [\"updated_at\"]\nmask = [\"users.email=hash\", \"phone=text:a, b\"]\nreplica_identity = \"full\"\n\
         postgrest = true\n",
    );
    fresh.ok(&with_file(&["setup", "--mask", "orders.email=hash", "--postgrest=off"])).await;
    let found = rules(&fresh).await;
    assert_eq!(found["tables"], json!(["public.todo", "public.users", "sales.*"]));
    assert_eq!(found["ignored"], json!(["*.*.updated_at"]));
    assert_eq!(
        found["masked"],
        json!([
            {"columns": "*.*.phone", "mask": "text:a, b"},
            {"columns": "*.*.secret", "mask": "drop"},
            {"columns": "*.orders.email", "mask": "hash"},
            {"columns": "*.users.email", "mask": "hash"},
        ])
    );
    let identities = "SELECT string_agg(DISTINCT relreplident::text, '') FROM pg_class \
        WHERE relname IN ('todo', 'users', 'orders')";
    assert_eq!(fresh.value::<String>(identities).await, "f");
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname = '!bemi_context'";
    assert_eq!(fresh.value::<i64>(triggers).await, 0);

    // `run` takes it with --setup alone, and does not mind it without.
    let run = |arguments: &[&'static str]| {
        fresh.worker(&with_file(arguments)).env("BEMI_MASK_KEY", "0123456789abcdef").run_to_end()
    };
    run(&["run", "--once"]).await.assert_code(0);
    assert_eq!(fresh.value::<i64>(triggers).await, 0);
    run(&["run", "--once", "--setup"]).await.assert_code(0);
    assert_eq!(fresh.value::<i64>(triggers).await, 3);

    let forget = with_file(&["setup", "--forget", "users.email"]);
    fresh.refused(&forget, 3, &["[tracking]"]).await;
    write("[tracking]\nignored = [\"updated_at\"]\n");
    fresh.refused(&with_file(&["setup"]), 2, &["line 2", "ignored"]).await;
}

#[tokio::test]
async fn new_tables_of_a_schema_are_tracked_as_they_are_made_and_stay_so_when_they_move() {
    let fresh = Fresh::new("CREATE SCHEMA other").await;
    fresh.ok(&["setup", "--tables", "sales_*.*", "--mask", "sales_*.*.email=text:x"]).await;
    fresh
        .sql(
            "CREATE SCHEMA sales_eu; CREATE TABLE sales_eu.orders (id int PRIMARY KEY, email text);
             CREATE TABLE other.t (id int PRIMARY KEY, email text);
             CREATE TABLE public.t (id int PRIMARY KEY)",
        )
        .await;
    assert_eq!(fresh.published("bemi").await, ["sales_eu.orders"]);
    fresh
        .sql(
            "ALTER TABLE other.t SET SCHEMA sales_eu; INSERT INTO sales_eu.t VALUES (1, 'ann');
             ALTER TABLE sales_eu.orders SET SCHEMA other; INSERT INTO other.orders VALUES (1, 'bob')",
        )
        .await;
    assert_eq!(fresh.published("bemi").await, ["other.orders", "sales_eu.t"]);
    let told = fresh.ok(&["setup"]).await;
    assert!(told.starts_with("nothing to do"), "{told}");
    fresh.ok(&["run", "--once"]).await;
    let stored: Vec<String> = fresh
        .value("SELECT array_agg(schema || '.' || (after->>'email') ORDER BY commit_position) FROM changes")
        .await;
    // What is published stays published. A rule for columns goes by the name that the table has.
    assert_eq!(stored, ["sales_eu.x", "other.bob"]);
}

#[tokio::test]
async fn the_tables_of_a_schema_that_is_renamed_into_a_pattern_are_tracked_and_stay_so() {
    let fresh = Fresh::new(
        "CREATE SCHEMA eu; CREATE TABLE eu.t (id int PRIMARY KEY);
         CREATE TABLE eu.root (id int) PARTITION BY LIST (id);
         CREATE TABLE eu.leaf PARTITION OF eu.root FOR VALUES IN (1)",
    )
    .await;
    fresh.ok(&["setup", "--tables", "sales_*.*", "--replica-identity", "full"]).await;
    fresh.sql("ALTER SCHEMA eu RENAME TO sales_eu").await;
    assert_eq!(fresh.published("bemi").await, ["sales_eu.root", "sales_eu.t"]);
    fresh.sql("ALTER SCHEMA sales_eu RENAME TO eu").await;
    assert_eq!(fresh.published("bemi").await, ["eu.root", "eu.t"]);
    let told = fresh.ok(&["setup"]).await;
    assert!(told.starts_with("nothing to do"), "{told}");
}

#[tokio::test]
async fn a_table_that_moves_where_it_is_excluded_leaves_with_the_next_setup() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA archive").await;
    fresh.ok(&["setup", "--all-tables", "--exclude", "archive.*"]).await;
    fresh
        .sql("CREATE TABLE archive.old (id int PRIMARY KEY); ALTER TABLE t SET SCHEMA archive")
        .await;
    fresh.ok(&["setup"]).await;
    assert!(fresh.published("bemi").await.is_empty());
    fresh.sql("ALTER TABLE archive.t SET SCHEMA public").await;
    assert_eq!(fresh.published("bemi").await, ["public.t"]);
}

/// The same without an event trigger: what a superuser could not create, a worker that runs does.
#[tokio::test]
async fn a_running_worker_finds_new_tables_of_a_schema_and_tables_that_move_into_it() {
    let fresh = Fresh::new("").await;
    let role = fresh.database.unique_name("owner");
    let database = fresh.database.name();
    fresh
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {database} TO {role};
             GRANT CREATE ON SCHEMA public TO {role}; CREATE SCHEMA other AUTHORIZATION {role};
             CREATE SCHEMA sales_us AUTHORIZATION {role};
             SET ROLE {role}; CREATE TABLE sales_us.first (id int PRIMARY KEY); RESET ROLE"
        ))
        .await;
    let url = fresh.database.url().replace("postgres://postgres@", &format!("postgres://{role}@"));
    let as_owner = async |arguments: &[&str]| -> Output {
        fresh.worker_at(&url, arguments).run_to_end().await.assert_code(0)
    };
    as_owner(&[
        "setup",
        "--tables",
        "sales_*.*",
        "--mask",
        "email=text:x",
        "--replica-identity",
        "full",
    ])
    .await;
    let mut worker = fresh.worker_at(&url, &["run"]).spawn();
    worker.wait_for_log("streaming").await;
    fresh
        .sql(&format!(
            "SET ROLE {role};
             CREATE SCHEMA sales_eu; CREATE TABLE sales_eu.orders (id int PRIMARY KEY, email text);
             CREATE TABLE other.t (id int PRIMARY KEY, email text);
             ALTER TABLE other.t SET SCHEMA sales_eu; CREATE TABLE other.not_tracked (id int PRIMARY KEY);
             ALTER TABLE sales_us.first SET SCHEMA other;
             RESET ROLE"
        ))
        .await;
    eventually(SOON, "the worker to find the tables", async || {
        let published = fresh.published("bemi").await;
        (published == ["other.first", "sales_eu.orders", "sales_eu.t"]).then_some(())
    })
    .await;
    fresh.sql("INSERT INTO sales_eu.orders VALUES (1, 'ann'); INSERT INTO sales_eu.t VALUES (1, 'bob')").await;
    eventually(SOON, "both changes", async || {
        let masked = "SELECT count(*) FROM changes WHERE after->>'email' = 'x'";
        (fresh.value::<i64>(masked).await == 2).then_some(())
    })
    .await;
    worker.terminate();
    worker.wait(SOON).await.assert_code(0);
    as_owner(&["teardown", "--drop-changes"]).await;
    fresh.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
