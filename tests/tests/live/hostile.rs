//! Whatever is sent, the worker goes on.

use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::events::Events;
use super::http::{ask, exchange, request};
use super::live::{BEARER, Live};

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text)";

/// As many streams as there may be.
const SUBSCRIBERS_MAX: usize = 64;

#[tokio::test]
async fn no_bytes_make_it_panic() {
    let mut live = Live::new(TODO).await;
    let seed = std::env::var("BEMI_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("BEMI_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let requests = [
        request("GET", "/changes/stream?table=todo&where=a%3Db&cursor=1.1", &[BEARER]),
        request("GET", "/records/todo/1?limit=5&cursor=1.1", &[BEARER, ("Host", "localhost")]),
        request("POST", "/changes/stream", &[BEARER, ("Content-Length", "5")]),
        request("GET", "http://localhost/changes/stream", &[("Transfer-Encoding", "chunked")]),
    ];
    for _ in 0..500 {
        let mut bytes = random.choice(&requests).unwrap().clone().into_bytes();
        if random.u8(..) < 64 {
            bytes = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
        }
        for _ in 0..random.usize(..6) {
            let place = random.usize(..=bytes.len());
            match random.u8(..4) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, random.u8(..)),
                2 => bytes.splice(place..place, *b"%").for_each(drop),
                _ if place < bytes.len() => bytes[place] = random.u8(..),
                _ => {}
            }
        }
        let mut stream = TcpStream::connect(&live.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        // Some of it opens a stream, which would not end.
        let _ = stream.read(&mut [0; 1024]).await;
    }
    assert_eq!(live.get("/").await.status, 404);
    assert!(live.worker.is_running());
    let log = live.worker.stop().await.stderr;
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let live = Live::new(TODO).await;
    let large = "x".repeat(20_000);
    assert_eq!(ask(&live.address, "GET", "/", &[("X", &large)]).await.status, 431);
    let many: Vec<(&str, &str)> = vec![("X", "1"); 100];
    assert_eq!(ask(&live.address, "GET", "/", &many).await.status, 431);
    let long = format!("/{large}");
    let status = ask(&live.address, "GET", &long, &[]).await.status;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[tokio::test]
async fn who_says_nothing_is_shown_out() {
    let live = Live::new(TODO).await;
    assert_eq!(exchange(&live.address, b"GET / HTTP/1.1\r\nHost: ").await, b"");
}

#[tokio::test]
async fn there_is_room_for_so_many_subscribers_and_again_when_one_leaves() {
    let live = Live::new(TODO).await;
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS_MAX {
        subscribers.push(live.events("").await);
    }
    let answer = live.get("/changes/stream").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    // All of them share a few connections.
    let connections: i64 = live
        .tracked
        .value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'bemi-worker'")
        .await;
    assert!(connections < 10, "{connections}");

    live.tracked.sql("INSERT INTO todo VALUES (1)").await;
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.changes(1).await[0].what(), ("CREATE", "1"));
    }
    subscribers.pop();
    bemi_tests::eventually(Duration::from_secs(60), "room for another", async || {
        let status = ask(&live.address, "HEAD", "/changes/stream", &[BEARER]).await.status;
        (status == 200).then_some(())
    })
    .await;
    Events::open(&live.address, "/changes/stream", &[BEARER]).await;
}
