//! A tracked database with a worker that serves it.

use bemi_tests::{RunningWorker, Tracked, WorkerCommand};

use super::events::Events;
use super::http::{self, Answer};

/// What opens everything.
pub(crate) const TOKEN: &str = "hunter2-hunter2-hunter2";
/// What opens exposed records.
pub(crate) const RECORDS_TOKEN: &str = "swordfish-swordfish";

/// The header with the first of them.
pub(crate) const BEARER: (&str, &str) = ("Authorization", "Bearer hunter2-hunter2-hunter2");

/// A tracked database with a worker that serves it.
pub(crate) struct Live {
    pub(crate) tracked: Tracked,
    pub(crate) worker: RunningWorker,
    /// Where it listens.
    pub(crate) address: String,
}

impl Live {
    /// A database with this schema, and a worker with tokens.
    pub(crate) async fn new(schema: &str) -> Self {
        let tracked = Tracked::new(schema).await;
        let (worker, address) = start(with_tokens(run(&tracked, &[]))).await;
        Self { tracked, worker, address }
    }

    /// The same, with what this file says besides.
    pub(crate) async fn with_file(schema: &str, file: &std::path::Path) -> Self {
        let tracked = Tracked::new(schema).await;
        let file = file.to_str().unwrap();
        let (worker, address) = start(with_tokens(run(&tracked, &["--config", file]))).await;
        Self { tracked, worker, address }
    }

    /// The stream, as the token opens it.
    pub(crate) async fn events(&self, query: &str) -> Events {
        self.events_after(query, "").await
    }

    /// The same, behind the last event that was seen.
    pub(crate) async fn events_after(&self, query: &str, last_id: &str) -> Events {
        let target = format!("/changes/stream{query}");
        Events::open(&self.address, &target, &[BEARER, ("Last-Event-ID", last_id)]).await
    }

    /// GET, with the token.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        http::ask(&self.address, "GET", target, &[BEARER]).await
    }

    /// HEAD, with the token.
    pub(crate) async fn head(&self, target: &str) -> Answer {
        http::ask(&self.address, "HEAD", target, &[BEARER]).await
    }

    /// Ends the worker and starts another one, which need not listen at the same port.
    pub(crate) async fn restart(&mut self, end: impl AsyncFnOnce(&mut RunningWorker)) {
        end(&mut self.worker).await;
        self.tracked.database.wait_for_free_slot(&self.tracked.database.slot_name()).await;
        (self.worker, self.address) = start(with_tokens(run(&self.tracked, &[]))).await;
    }
}

/// A worker that serves, and is not told any token.
pub(crate) fn run(tracked: &Tracked, arguments: &[&str]) -> WorkerCommand {
    tracked.worker(&[&["run", "--http", "127.0.0.1:0"], arguments].concat())
}

/// The same, told both.
pub(crate) fn with_tokens(command: WorkerCommand) -> WorkerCommand {
    command.env("BEMI_HTTP_TOKEN", TOKEN).env("BEMI_HTTP_RECORDS_TOKEN", RECORDS_TOKEN)
}

/// Starts a worker that serves; tells where it listens.
pub(crate) async fn start(command: WorkerCommand) -> (RunningWorker, String) {
    let mut worker = command.spawn();
    worker.wait_for_log("streaming").await;
    let address = listens_at(&mut worker).await;
    (worker, address)
}

/// Where it listens.
pub(crate) async fn listens_at(worker: &mut RunningWorker) -> String {
    worker.wait_for_log("listening for HTTP address=").await;
    let log = worker.stderr();
    let (_, rest) = log.split_once("listening for HTTP address=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}
