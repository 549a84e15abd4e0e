//! The harness itself: servers are found, fetched, started, stopped and swept away; databases and workers come and go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bemi_tests::{
    Auth, Binaries, Cluster, ClusterOptions, Relay, StopMode, TestDatabase, Wanted, WorkerCommand,
    eventually, free_port, shared_cluster, smoke_majors,
};

const SOON: Duration = Duration::from_secs(30);

/// Set in the child process that gets killed, to the file that it reports to.
const REPORT_VARIABLE: &str = "HARNESS_TEST_REPORT";

async fn show(cluster: &Cluster, setting: &str) -> String {
    let client = cluster.connect("postgres").await.unwrap();
    client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_newest_installed_postgresql_is_found_and_ready_for_logical_replication() {
    let cluster = shared_cluster();
    assert!(cluster.binaries().major() >= 14);
    assert!(cluster.binaries().folder().join("postgres").is_file());
    assert_eq!(show(cluster, "wal_level").await, "logical");
    assert_eq!(show(cluster, "fsync").await, "off");
    assert_eq!(show(cluster, "timezone").await, "UTC");
    assert_eq!(show(cluster, "listen_addresses").await, "127.0.0.1");
    assert!(cluster.pg_tool("postgres").is_some());
    assert!(cluster.pg_tool("no-such-tool").is_none());
}

#[tokio::test]
async fn the_unix_socket_is_in_the_folder_of_the_cluster() {
    let cluster = shared_cluster();
    let (client, connection) = tokio_postgres::Config::new()
        .host_path(cluster.socket_dir())
        .port(cluster.port())
        .user("postgres")
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let address: Option<std::net::IpAddr> =
        client.query_one("SELECT inet_server_addr()", &[]).await.unwrap().get(0);
    assert_eq!(address, None);
}

/// Fetched when it is not installed, which takes some seconds the first time.
async fn the_major_version_runs(major: u32) {
    let cluster = Cluster::start(&ClusterOptions::new().wanted(Wanted::Major(major))).unwrap();
    assert_eq!(cluster.binaries().major(), major);
    let number: i32 = show(&cluster, "server_version_num").await.parse().unwrap();
    assert_eq!(number / 10_000, i32::try_from(major).unwrap());

    let client = cluster.connect("postgres").await.unwrap();
    client
        .batch_execute(
            "SELECT pg_create_logical_replication_slot('s', 'pgoutput');
             SELECT pg_logical_emit_message(true, '_bemi', '{}');",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn the_oldest_and_the_newest_major_version_run() {
    for major in smoke_majors() {
        the_major_version_runs(major).await;
    }
}

#[test]
fn a_major_version_that_is_too_old_is_refused_with_what_was_tried_and_what_to_do() {
    let message = Binaries::find(Wanted::Major(11)).unwrap_err().to_string();
    assert!(message.contains("major version 11"), "{message}");
    assert!(message.contains("pg_config and the usual folders"), "{message}");
    assert!(message.contains("bemi needs 14 or newer"), "{message}");
    assert!(message.contains("BEMI_POSTGRES_BIN"), "{message}");
}

#[tokio::test]
async fn settings_override_the_defaults() {
    let options = ClusterOptions::new().set("wal_level", "replica").set("fsync", "on");
    let cluster = Cluster::start(&options).unwrap();
    assert_eq!(show(&cluster, "wal_level").await, "replica");
    assert_eq!(show(&cluster, "fsync").await, "on");
}

#[test]
fn a_setting_that_the_server_refuses_is_told_in_its_own_words() {
    let message =
        Cluster::start(&ClusterOptions::new().set("wal_level", "maximal")).unwrap_err().to_string();
    assert!(message.contains("invalid value for parameter \"wal_level\""), "{message}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_a_cluster_with_scram() {
    let cluster = Cluster::start(&ClusterOptions::new().auth(Auth::ScramSha256)).unwrap();
    cluster.connect("postgres").await.unwrap();

    let url = format!("postgres://postgres:wrong@127.0.0.1:{}/postgres", cluster.port());
    let refused = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
    let code = refused.err().and_then(|error| error.code().cloned());
    assert_eq!(code, Some(tokio_postgres::error::SqlState::INVALID_PASSWORD));

    let password = cluster.url("postgres").split([':', '@']).nth(2).unwrap().to_owned();
    assert!(!format!("{cluster:?}").contains(&password));
    assert!(!cluster.log().contains(&password));
}

/// Also of a cluster that wants passwords, and of versions whose packages carry only a server.
#[tokio::test]
async fn a_standby_follows_its_cluster_and_refuses_to_write() {
    for major in smoke_majors() {
        let options = ClusterOptions::new().wanted(Wanted::Major(major)).auth(Auth::ScramSha256);
        let primary = Cluster::start(&options).unwrap();
        let client = primary.connect("postgres").await.unwrap();
        client.batch_execute("CREATE TABLE todo AS SELECT 1 AS id").await.unwrap();
        let standby = primary.standby().await.unwrap();
        client.batch_execute("INSERT INTO todo VALUES (2)").await.unwrap();

        let replica = standby.connect("postgres").await.unwrap();
        eventually(SOON, "the standby to have both rows", async || {
            let count = replica.query_one("SELECT count(*) FROM todo", &[]).await.unwrap();
            (count.get::<_, i64>(0) == 2).then_some(())
        })
        .await;
        let refused = replica.batch_execute("INSERT INTO todo VALUES (3)").await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "25006");
    }
}

#[tokio::test]
async fn a_restart_keeps_the_port_and_the_data() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let (port, first_pid) = (cluster.port(), cluster.pid());
    let client = cluster.connect("postgres").await.unwrap();
    client.batch_execute("CREATE TABLE survivor ()").await.unwrap();

    cluster.restart(StopMode::Immediate).unwrap();
    cluster.stop(StopMode::Fast).unwrap();
    assert_eq!(cluster.pid(), None);
    assert!(cluster.connect("postgres").await.is_err());
    cluster.start_again().unwrap();

    assert_eq!(cluster.port(), port);
    assert_ne!(cluster.pid(), first_pid);
    cluster.connect("postgres").await.unwrap().batch_execute("SELECT FROM survivor").await.unwrap();
    assert!(cluster.log().contains("database system was interrupted"), "{}", cluster.log());
}

#[test]
fn a_dropped_cluster_leaves_nothing() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let (folder, port) = (cluster.socket_dir().to_owned(), cluster.port());
    assert!(folder.exists());
    drop(cluster);
    assert!(!folder.exists());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn a_free_port_can_be_bound() {
    TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).unwrap();
}

/// Not a test of its own: the process that `nothing_outlives_a_killed_process` kills.
#[test]
fn child_that_starts_clusters_and_a_worker_and_hangs() {
    let Some(report) = std::env::var_os(REPORT_VARIABLE).map(PathBuf::from) else { return };
    let first = Cluster::start(&ClusterOptions::new()).unwrap();
    // Started after the first one's watcher, and the first one restarted after the second one's: if either server kept a pipe
    // open that is not its own, a watcher would wait for ever.
    let second = Cluster::start(&ClusterOptions::new()).unwrap();
    first.restart(StopMode::Immediate).unwrap();
    let worker = shell("while :; do sleep 0.01; done # never ends").spawn();

    let report_lines = [
        format!("{} {}", first.pid().unwrap(), first.socket_dir().display()),
        format!("{} {}", second.pid().unwrap(), second.socket_dir().display()),
        format!("{} never ends", worker.pid()),
    ];
    let unfinished = report.with_extension("unfinished");
    std::fs::write(&unfinished, report_lines.join("\n")).unwrap();
    std::fs::rename(unfinished, report).unwrap();
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn nothing_outlives_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_starts_clusters_and_a_worker_and_hangs"])
        .env(REPORT_VARIABLE, &report)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines =
        eventually(SOON, "the child's report", async || std::fs::read_to_string(&report).ok())
            .await;
    let processes: Vec<(&str, &str)> =
        lines.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(processes.len(), 3);
    for (pid, argument) in &processes {
        assert!(runs_with(pid, argument), "{pid} {argument}");
    }

    // SIGKILL, which nobody can prepare for.
    child.kill().unwrap();
    child.wait().unwrap();

    for (pid, argument) in &processes {
        eventually(SOON, "the process to be gone", async || {
            (!runs_with(pid, argument)).then_some(())
        })
        .await;
    }
    for (_, folder) in &processes[..2] {
        eventually(SOON, "the folder to be deleted", async || {
            (!Path::new(folder).exists()).then_some(())
        })
        .await;
    }
}

/// Whether that process lives and has the text among its arguments.
fn runs_with(pid: &str, argument: &str) -> bool {
    // Slim Linux images have no ps, other systems have no /proc.
    let arguments = if Path::new("/proc/self").exists() {
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        Command::new("ps").args(["-o", "args=", "-p", pid]).output().unwrap().stdout
    };
    String::from_utf8_lossy(&arguments).contains(argument)
}

#[tokio::test]
async fn databases_are_separate_and_removed_with_their_slots_and_sessions() {
    let cluster = shared_cluster();
    let first = TestDatabase::create(cluster).await.unwrap();
    let second = TestDatabase::create(cluster).await.unwrap();
    assert_ne!(first.name(), second.name());
    assert_ne!(first.slot_name(), second.slot_name());

    let session = first.connect().await.unwrap();
    session
        .execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&first.slot_name()])
        .await
        .unwrap();
    second.connect().await.unwrap();
    let (first_name, second_name) = (first.name().to_owned(), second.name().to_owned());
    first.close().await.unwrap();
    drop(second);

    assert!(session.simple_query("SELECT 1").await.is_err());
    let client = cluster.connect("postgres").await.unwrap();
    let left = client
        .query_one(
            "SELECT (SELECT count(*) FROM pg_database WHERE datname = ANY($1)),
                    (SELECT count(*) FROM pg_replication_slots WHERE database = ANY($1))",
            &[&vec![first_name, second_name]],
        )
        .await
        .unwrap();
    assert_eq!((left.get::<_, i64>(0), left.get::<_, i64>(1)), (0, 0));
}

#[tokio::test]
async fn a_database_is_removed_while_a_reader_holds_its_slot() {
    let cluster = shared_cluster();
    let Some(pg_recvlogical) = cluster.pg_tool("pg_recvlogical") else { return };
    let database = TestDatabase::create(cluster).await.unwrap();
    let client = database.connect().await.unwrap();
    let slot = database.slot_name();
    client
        .execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&slot])
        .await
        .unwrap();
    let mut reader = Command::new(pg_recvlogical)
        .args([
            "--start",
            "--file=-",
            "--option=proto_version=1",
            "--option=publication_names=none",
        ])
        .arg(format!("--slot={slot}"))
        .arg(format!("--dbname={}", database.url()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually(SOON, "the reader to hold the slot", async || {
        let query = "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND active";
        client.query_opt(query, &[&slot]).await.unwrap()
    })
    .await;

    let closed = database.close().await;

    reader.kill().unwrap();
    reader.wait().unwrap();
    closed.unwrap();
}

fn shell(script: &str) -> WorkerCommand {
    WorkerCommand::new("/bin/sh", ["-c", script])
}

#[tokio::test]
async fn a_command_runs_to_its_end_and_tells_all() {
    let output =
        shell("echo out $WORD; echo err >&2; exit 3").env("WORD", "given").run_to_end().await;
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (Some(3), "out given\n", "err\n"));
    output.assert_code(3);
}

#[tokio::test]
async fn a_running_worker_is_watched_terminated_and_waited_for() {
    let mut worker = shell(
        "trap 'echo leaving >&2; exit 0' TERM; echo started >&2; while :; do sleep 0.01; done",
    )
    .spawn();
    worker.wait_for_log("started").await;
    assert!(worker.is_running());
    worker.terminate();
    let output = worker.wait(SOON).await.assert_code(0);
    assert_eq!(output.stderr, "started\nleaving\n");
}

#[tokio::test]
async fn a_killed_worker_is_gone_at_once() {
    let mut worker = shell("trap '' TERM; echo started >&2; while :; do sleep 0.01; done").spawn();
    worker.wait_for_log("started").await;
    worker.kill_9();
    assert!(!worker.is_running());
    assert_eq!(worker.wait(SOON).await.code, None);
}

#[tokio::test]
#[should_panic(expected = "the last words")]
async fn a_worker_that_ends_early_fails_the_wait_with_its_output() {
    shell("echo the last words >&2").spawn().wait_for_log("the first words").await;
}

#[tokio::test]
async fn the_worker_under_test_is_the_worker() {
    let output = WorkerCommand::under_test(["--help"]).run_to_end().await.assert_code(0);
    assert!(output.stdout.contains("setup"), "{output}");
}

/// The relay has threads of its own here, so that an answer could come at any time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_call_is_polled_the_relay_holds_its_answer_back() {
    let relay = Relay::start(shared_cluster()).await;
    let url = relay.url(&shared_cluster().url("postgres"));
    let port = url.parse::<tokio_postgres::Config>().unwrap().get_ports()[0];
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let call = async {
        // Whether the server speaks TLS. It answers by one byte.
        client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
        assert!(client.read(&mut [0]).is_err(), "the answer came while the call was polled");
        tokio::task::yield_now().await;
    };
    assert!(!relay.cancelled_after(1, call).await);
    client.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 1);
    assert_eq!(relay.round_trips(), 1);
}
