//! Where the metrics are, and that they are nowhere unless asked for.

use bemi_tests::Tracked;

use super::observed::{Observed, ask};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY)";

/// How many addresses a process listens at, by what the system says.
fn listeners(pid: u32) -> usize {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|to| {
            let inode = to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| {
            let mut columns = line.split_whitespace().skip(3);
            let (state, inode) = (columns.next(), columns.nth(5));
            // 0A: it listens.
            state == Some("0A") && inode.is_some_and(|inode| sockets.iter().any(|own| own == inode))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_unless_asked_for() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    assert_eq!(listeners(worker.pid()), 0);
    worker.stop().await;
    tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    let observed = Observed::run(&tracked).await;
    assert_eq!(listeners(observed.worker.pid()), 1);
    observed.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_alone_is_on_this_machine_and_another_address_is_said_in_the_log() {
    let tracked = Tracked::new(SCHEMA).await;
    for (given, address, warns) in
        [("0", "127.0.0.1:", false), (":0", "127.0.0.1:", false), ("0.0.0.0:0", "0.0.0.0:", true)]
    {
        let observed = Observed::start(tracked.worker(&["run"]).env("BEMI_METRICS", given)).await;
        assert!(observed.address.starts_with(address), "{given}: {}", observed.address);
        let log = observed.worker.stderr();
        assert_eq!(log.contains("other machines can reach"), warns, "{given}: {log}");
        observed.worker.stop().await;
        tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flag_beats_the_environment_which_beats_the_file() {
    let tracked = Tracked::new(SCHEMA).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[metrics]\nlisten = \"127.0.0.3:0\"\n").unwrap();
    let file = file.path().to_str().unwrap();
    let of_file = tracked.worker(&["run", "--config", file]);
    let of_environment =
        tracked.worker(&["run", "--config", file]).env("BEMI_METRICS", "127.0.0.2:0");
    let of_flag = tracked
        .worker(&["run", "--config", file, "--metrics", "127.0.0.1:0"])
        .env("BEMI_METRICS", "127.0.0.2:0");
    let listen = [(of_file, "127.0.0.3:"), (of_environment, "127.0.0.2:"), (of_flag, "127.0.0.1:")];
    for (command, address) in listen {
        let observed = Observed::start(command).await;
        assert!(observed.address.starts_with(address), "{}", observed.address);
        observed.worker.stop().await;
        tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listened_at_is_told_before_anything_is_stored() {
    let tracked = Tracked::new(SCHEMA).await;
    let output = tracked.worker(&["run", "--metrics", "nowhere:9187"]).run_to_end().await;
    let output = output.assert_code(2);
    assert!(output.stderr.contains("'nowhere:9187' is no address"), "{output}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = tracked.worker(&["run", "--metrics", &address]).run_to_end().await.assert_code(1);
    assert!(output.stderr.contains("--metrics") && output.stderr.contains(&address), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_read_and_nothing_else() {
    let tracked = Tracked::new(SCHEMA).await;
    let observed = Observed::run(&tracked).await;
    let metrics = observed.get("/metrics").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4; charset=utf-8"), "{metrics:?}");
    let head = ask(&observed.address, "HEAD", "/metrics").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(ask(&observed.address, method, "/metrics").await.status, 405, "{method}");
    }
    for path in ["/", "/metrics/", "/changes/stream", "/debug", "/health/x"] {
        assert_eq!(observed.get(path).await.status, 404, "{path}");
    }
    observed.worker.stop().await;
}
