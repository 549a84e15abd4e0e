//! No secret in anything that comes out: every command, and every failure that can be had.

use std::fs;

use bemi_tests::{Auth, Cluster, ClusterOptions, Output, TestDatabase, WorkerCommand};

/// Recognised wherever it turns up, also in part.
const MARK: &str = "hunter2";
const MASK_KEY: &str = "hunter2-mask-key-0123456789";
const TOKEN: &str = "hunter2-token-0123456789";

const COMMANDS: [&[&str]; 22] = [
    &["status"],
    &["status", "--format", "json"],
    &["doctor"],
    &["doctor", "--format", "json"],
    &["setup", "--all-tables", "--print-sql"],
    &["setup", "--all-tables", "--dry-run"],
    &["setup", "--all-tables", "--mask", "t.secret=hash"],
    &["run", "--once"],
    &["backfill", "--all-tables"],
    &["history", "t", "1", "--wait", "0s"],
    &["changes", "--wait", "0s"],
    &["requests", "--wait", "0s"],
    &["as-of", "now", "t", "--wait", "0s"],
    &["diff", "-1h", "now", "t", "--wait", "0s"],
    &["coverage"],
    &["revert", "record", "t", "1", "--since", "-1h", "--dry-run", "--wait", "0s"],
    &["show", "018bcfe5-6800-8a40-9b52-e72401e8144d"],
    &["verify"],
    &["retention", "--dry-run"],
    &["teardown", "--dry-run"],
    &["help"],
    &["run", "--help"],
];

/// A role with the marked password, on a server that asks for it.
async fn server() -> (Cluster, TestDatabase, String) {
    let cluster = Cluster::start(&ClusterOptions::new().auth(Auth::ScramSha256)).unwrap();
    let database = TestDatabase::create(&cluster).await.unwrap();
    let client = database.connect().await.unwrap();
    client
        .batch_execute(&format!(
            "CREATE ROLE marked SUPERUSER LOGIN PASSWORD '{MARK}';
             CREATE TABLE t (id int PRIMARY KEY, secret text); INSERT INTO t VALUES (1, 'a')"
        ))
        .await
        .unwrap();
    let address = database.url().split_once('@').unwrap().1.to_owned();
    (cluster, database, address)
}

fn worker(url: &str, arguments: &[&str]) -> WorkerCommand {
    WorkerCommand::under_test(arguments)
        .env("DATABASE_URL", url)
        .env("BEMI_MASK_KEY", MASK_KEY)
        .env("BEMI_HTTP_TOKEN", TOKEN)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
}

#[track_caller]
fn tells_nothing(what: &str, output: &Output) {
    let told = format!("{}{}", output.stdout, output.stderr);
    let line = told.lines().find(|line| line.contains(MARK));
    assert_eq!(line, None, "{what}, exit code {:?}", output.code);
}

#[tokio::test]
async fn no_command_tells_a_secret_not_even_with_all_logs_on() {
    let (_cluster, _database, address) = server().await;
    let url = format!("postgres://marked:{MARK}@{address}");
    for arguments in COMMANDS {
        let output = worker(&url, arguments).run_to_end().await;
        tells_nothing(&arguments.join(" "), &output);
    }
}

#[tokio::test]
async fn no_failure_tells_a_secret() {
    let (_cluster, _database, address) = server().await;
    let (host, database) = address.split_once('/').unwrap();
    let urls = [
        format!("postgres://marked:{MARK}-wrong@{address}"),
        format!("postgres://nobody:{MARK}@{address}"),
        format!("postgres://marked:{MARK}@{host}/nowhere"),
        format!("postgres://marked:{MARK}@127.0.0.1:1/{database}"),
        format!("postgres://marked:{MARK}@host.invalid/{database}"),
        format!("postgres://marked:{MARK}@{address}?sslmode=require"),
        format!("postgres://marked:{MARK}@{address}?sslmode={MARK}"),
        format!("postgres://marked:{MARK}@{address}?sslmode=verify-full&sslrootcert=/nowhere"),
        format!("postgres://marked:{MARK}@{address}?connect_timeout={MARK}"),
        format!("postgres://marked:{MARK}@{address}?channel_binding=require"),
        format!("postgres://marked:{MARK}@{address}?options=-c%20work_mem%3Dnone"),
        format!("postgres://marked:x@{MARK}@{address}"),
        format!("postgres://marked:{MARK}@{host}:port/{database}"),
        format!("postgres://marked:{MARK}%FF@{address}"),
        format!("mysql://marked:{MARK}@{address}"),
        format!("host=localhost password={MARK}"),
    ];
    for url in &urls {
        for arguments in [&["status"][..], &["doctor"], &["run", "--once"], &["history", "t", "1"]]
        {
            let output = worker(url, arguments).run_to_end().await;
            // sslmode and connect_timeout are quoted where they cannot be: these are no secrets.
            if url.contains(&format!("={MARK}")) && !url.starts_with("host") {
                assert!(!output.stderr.contains(&format!(":{MARK}@")), "{url}: {output}");
            } else {
                tells_nothing(url, &output);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for text in [
        format!("[source]\nurl = \"postgres://marked:{MARK}@a/b\"\nhost = \"a\""),
        format!("[source]\npassword = \"{MARK}\nuser = 1"),
        format!("[source]\npassword = [\"{MARK}\"]"),
        format!("mask_key = \"{MARK}\""),
        format!("[http]\ntoken = \"{MARK}\""),
    ] {
        let path = folder.path().join("bemi.toml");
        fs::write(&path, &text).unwrap();
        let output =
            WorkerCommand::under_test(["status"]).env("BEMI_CONFIG", &path).run_to_end().await;
        assert_ne!(output.code, Some(0), "{text}");
        tells_nothing(&text, &output);
    }
}

#[tokio::test]
async fn a_running_worker_shows_no_secret_in_the_list_of_processes_or_in_its_metrics() {
    let (_cluster, database, address) = server().await;
    let url = format!("postgres://marked:{MARK}@{address}");
    worker(&url, &["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    let metrics = format!("127.0.0.1:{}", bemi_tests::free_port().unwrap());
    let mut running = worker(&url, &["run", "--metrics", &metrics]).spawn();
    running.wait_for_log("streaming").await;
    let seen = fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&seen).contains(MARK));
    let client = database.connect().await.unwrap();
    let sessions: String = client
        .query_one("SELECT coalesce(string_agg(a::text, ' '), '') FROM pg_stat_activity a", &[])
        .await
        .unwrap()
        .get(0);
    assert!(!sessions.contains(MARK), "{sessions}");
    for path in ["/metrics", "/health", "/ready", "/nowhere"] {
        let said = get(&metrics, path).await;
        assert!(!said.contains(MARK), "{path}: {said}");
        assert!(path != "/metrics" || said.contains("bemi_"), "{said}");
    }
    // The connection is lost, and found again.
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'marked'",
        )
        .await
        .unwrap();
    running.wait_for_log("trying again").await;
    running.terminate();
    let output = running.wait(bemi_tests::STORED_WITHIN).await;
    tells_nothing("run", &output);
}

async fn get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}
