//! `serve`: the record over HTTP, beside a worker that runs elsewhere.

use std::process::ExitCode;

use tokio::sync::watch;

use super::http_options::HttpOptions;
use crate::WorkerError;
use crate::config::{ConfigError, Given};
use crate::http::{Server, Whereabouts, watch_checkpoint};
use crate::pipeline::readiness::read_checkpoint;

const AFTER_HELP: &str = "\
Examples:
  BEMI_HTTP_TOKEN=$(cat /run/secrets/bemi) bemi-worker serve --http 127.0.0.1:8080
  curl -N -H \"Authorization: Bearer $BEMI_HTTP_TOKEN\" http://127.0.0.1:8080/changes/stream

It serves what `bemi-worker run --http` does, from the database of `changes` alone: the source need
not be given. It reads, and writes nothing. SIGTERM and SIGINT end it with 0.";

/// Serve the stream of changes and the history of records over HTTP, without being the worker
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    http: HttpOptions,
}

pub(super) async fn run(
    arguments: &Arguments,
    given: &Given,
    shutdown: watch::Receiver<bool>,
) -> Result<ExitCode, WorkerError> {
    let http = arguments.http.resolve(given)?.ok_or(ConfigError::NoHttpAddress)?;
    let destination = given.destination()?.clone();
    let client = destination.connect().await?;
    let database = read_checkpoint(&client, &destination, &given.slot).await?.database;
    drop(client);
    let record = Whereabouts {
        destination: destination.clone(),
        changes_schema: given.changes_schema.clone(),
        slot: given.slot.clone(),
        database,
    };
    let server = Server::bind(http, record).await?;
    let stored = watch::Sender::default();
    tokio::select! {
        () = server.run(stored.subscribe(), shutdown) => {}
        () = watch_checkpoint(&destination, &given.slot, &stored) => {}
    }
    Ok(ExitCode::SUCCESS)
}
