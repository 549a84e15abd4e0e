//! What cannot work is refused before anything is changed, with one message that says the remedy and
//! an exit code that says the kind.

use bemi_tests::{Auth, Cluster, ClusterOptions};

use super::fresh::{Fresh, says_all};

const SETUP: [&str; 2] = ["setup", "--all-tables"];

#[tokio::test]
async fn a_command_line_that_cannot_be_is_a_usage_error() {
    let fresh = Fresh::new("").await;
    for arguments in [
        &["sett"][..],
        &["setup", "--all-tables", "--tables", "a"],
        &["setup", "--all-tables", "--slot", "Not-A-Slot"],
        &["setup", "--all-tables", "--publication", "Bemi"],
        &["setup", "--tables", "a.b.c"],
        &["setup", "--tables", "\"a"],
        &["run", "--on-gap", "perhaps"],
        &["run", "--all-tables"],
        &["doctor", "--log-level", "loudly=x=y"],
    ] {
        fresh.refused(arguments, 2, &["error: "]).await;
    }
    let without = fresh.worker_at("", &["doctor"]).run_to_end().await.assert_code(2);
    says_all(without, &["set DATABASE_URL"]);
    let sslmode = fresh.worker_at(&format!("{}?sslmode=full", fresh.database.url()), &["doctor"]);
    says_all(
        sslmode.run_to_end().await.assert_code(2),
        &["'full' is not an sslmode", "verify-full"],
    );
}

#[tokio::test]
async fn nobody_says_which_tables() {
    let fresh = Fresh::new("").await;
    fresh.refused(&["setup"], 3, &["--all-tables or --tables"]).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer() {
    let fresh = Fresh::new("").await;
    let port = bemi_tests::free_port().unwrap();
    let url = format!("postgres://postgres:hunter2@127.0.0.1:{port}/shop");
    for command in [&SETUP[..], &["status"], &["teardown"], &["run", "--once"]] {
        let output = fresh.worker_at(&url, command).run_to_end().await.assert_code(6);
        let says = ["cannot reach postgres@127.0.0.1", "is the server running", "DATABASE_URL"];
        let output = says_all(output, &says);
        assert!(!output.stderr.contains("hunter2"), "{output}");
    }
}

#[tokio::test]
async fn no_such_database() {
    let fresh = Fresh::new("").await;
    let url = fresh.database.url().replace(fresh.database.name(), "nowhere");
    let output = fresh.worker_at(&url, &SETUP).run_to_end().await.assert_code(6);
    says_all(output, &["database \"nowhere\" does not exist", "DATABASE_URL"]);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let cluster = Cluster::start(&ClusterOptions::new().auth(Auth::ScramSha256)).unwrap();
    let fresh = Fresh::on(&cluster, "").await;
    let address = format!("127.0.0.1:{}/{}", cluster.port(), fresh.database.name());
    let wrong = format!("postgres://postgres:hunter2@{address}");
    for command in [&SETUP[..], &["run", "--once"], &["status"]] {
        let output = fresh.worker_at(&wrong, command).run_to_end().await.assert_code(6);
        let output = says_all(output, &["password authentication failed", "DATABASE_URL"]);
        assert!(!output.stderr.contains("hunter2"), "{output}");
    }
    let doctor = fresh.worker_at(&wrong, &["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("B001  FAIL") && !doctor.stdout.contains("hunter2"), "{doctor}");
    let without = format!("postgres://postgres@{address}");
    let output = fresh.worker_at(&without, &SETUP).run_to_end().await.assert_code(6);
    says_all(output, &["password missing"]);
    fresh.ok(&SETUP).await;
}

#[tokio::test]
async fn wal_level_is_replica_and_slots_are_all_in_use() {
    let options =
        ClusterOptions::new().set("wal_level", "replica").set("max_replication_slots", "1");
    let cluster = Cluster::start(&options).unwrap();
    let fresh = Fresh::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.sql("SELECT pg_create_physical_replication_slot('standby')").await;
    let says =
        ["wal_level is replica", "ALTER SYSTEM SET wal_level = logical", "all 1 replication"];
    fresh.refused(&SETUP, 3, &says).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM pg_publication").await, 0);
    assert!(fresh.value::<bool>("SELECT to_regnamespace('bemi') IS NULL").await);
    let doctor = fresh.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("B005  FAIL"), "{doctor}");
    assert!(doctor.stdout.contains("B007  FAIL"), "{doctor}");
}

#[tokio::test]
async fn a_table_changes_that_is_not_ours() {
    let fresh = Fresh::new("CREATE TABLE changes (id bigint PRIMARY KEY, what text)").await;
    let says = ["public.changes", "its column id is bigint, not uuid"];
    fresh.refused(&SETUP, 3, &[&says[..], &["--changes-schema"]].concat()).await;
    assert!(fresh.value::<bool>("SELECT to_regnamespace('bemi') IS NULL").await);
    fresh.ok(&["setup", "--all-tables", "--changes-schema", "audit"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.changes"]);
    let left = fresh.ok(&["teardown", "--drop-changes", "--changes-schema", "audit"]).await;
    assert!(left.contains("drop table audit.changes"), "{left}");
    assert!(fresh.value::<bool>("SELECT to_regclass('public.changes') IS NOT NULL").await);
}

#[tokio::test]
async fn a_publication_of_somebody_else() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION bemi").await;
    fresh.refused(&SETUP, 3, &["publication bemi exists already", "--publication"]).await;
    fresh.ok(&["setup", "--all-tables", "--publication", "audit"]).await;
    assert_eq!(fresh.published("audit").await, ["public.t"]);
    assert!(fresh.published("bemi").await.is_empty());
    let says = ["set up with --publication audit"];
    fresh.refused(&["setup", "--publication", "other"], 3, &says).await;
}

#[tokio::test]
async fn a_table_that_is_not_there() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let arguments = ["setup", "--tables", "t,T2,\"Odd One\",bemi.settings"];
    let says =
        ["no table public.t2", "no table public.\"Odd One\"", "bemi.settings is in the schema"];
    fresh.refused(&arguments, 3, &says).await;
    // A wildcard may find nothing yet.
    fresh.ok(&["setup", "--tables", "later.*"]).await;
}

#[tokio::test]
async fn a_config_file_with_a_mistake_is_told_by_line_and_keeps_its_secrets() {
    let fresh = Fresh::new("").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[source]\nhost = \"localhost\"\npasword = \"hunter2\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    let output = fresh.refused(&["doctor", "--config", path], 2, &["line 3", "pasword"]).await;
    assert!(!output.stderr.contains("hunter2"), "{output}");
}
