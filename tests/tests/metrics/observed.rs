//! A worker that says how it does, and what it says.

use std::time::Duration;

use bemi_tests::{RunningWorker, STORED_WITHIN, Tracked, WorkerCommand, eventually};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::format::Scrape;

/// How long an answer may take, on a busy machine.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take until something that is asked at intervals is known.
pub(crate) const KNOWN_WITHIN: Duration = Duration::from_secs(120);

/// A worker that streams, and where it answers.
pub(crate) struct Observed {
    pub(crate) worker: RunningWorker,
    pub(crate) address: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Observed {
    /// Starts the worker of a database.
    pub(crate) async fn run(tracked: &Tracked) -> Self {
        Self::start(tracked.worker(&["run", "--metrics", "127.0.0.1:0"])).await
    }

    /// Starts a worker that was told to answer at a port of the system's choice.
    pub(crate) async fn start(command: WorkerCommand) -> Self {
        let mut worker = command.spawn();
        worker.wait_for_log("streaming").await;
        let address = listens_at(&mut worker).await;
        Self { worker, address }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(&self.address, "GET", path).await
    }

    /// The metrics as they are now.
    pub(crate) async fn scrape(&self) -> Scrape {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Scrape::parse(&answer.body)
    }

    /// The metrics, once they are as wished.
    pub(crate) async fn scrape_until(&self, what: &str, wish: impl Fn(&Scrape) -> bool) -> Scrape {
        eventually(KNOWN_WITHIN, what, async || Some(self.scrape().await).filter(&wish)).await
    }

    /// The metrics, once as many changes are counted as there are.
    pub(crate) async fn scrape_after(&self, changes: f64) -> Scrape {
        let what = format!("{changes} changes to be counted");
        eventually(STORED_WITHIN, &what, async || {
            Some(self.scrape().await).filter(|scrape| scrape.sum("bemi_changes_total") >= changes)
        })
        .await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The codes of what is wrong.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let json = self.json();
        let reasons = json["reasons"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
    }
}

/// Where a worker answers, by what its log says.
pub(crate) async fn listens_at(worker: &mut RunningWorker) -> String {
    worker.wait_for_log("listening for metrics").await;
    let log = worker.stderr();
    let line = log.lines().find(|line| line.contains("listening for metrics")).unwrap();
    let (_, address) = line.split_once("address=").unwrap_or_else(|| panic!("{line}"));
    address.split_whitespace().next().unwrap().to_owned()
}

/// Sends a request. It is of HTTP/1.0, so that the answer ends with the connection.
pub(crate) async fn ask(address: &str, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{method} {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(ANSWERED_WITHIN, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer { status: status.unwrap(), head: head.to_owned(), body: body.to_owned() }
}
