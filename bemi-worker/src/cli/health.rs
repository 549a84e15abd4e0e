//! `health`: asks a worker on this machine whether it is well.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::WorkerError;
use crate::config::{ConfigError, Given, reached_at};

/// How long the worker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What of the answer is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker health
  bemi-worker health --ready 9187
  HEALTHCHECK CMD [\"bemi-worker\", \"health\"]

It asks the address at which `bemi-worker run --metrics` answers, and prints what that says. It needs
neither a database nor curl. Exit codes: 0 well, 1 not, or nobody answers.";

/// Ask the worker on this machine whether it is alive, as a container's health check does
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Where the worker answers, as `run --metrics` was given it
    #[arg(env = "BEMI_METRICS", hide_env_values = true, value_name = "[ADDRESS:]PORT")]
    address: Option<String>,

    /// Ask whether it streams and has caught up, too
    #[arg(long)]
    ready: bool,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let address = given.metrics(arguments.address.as_deref())?;
    let address = reached_at(address.ok_or(ConfigError::NoMetricsAddress)?);
    let path = if arguments.ready { "/ready" } else { "/health" };
    let asked = tokio::time::timeout(ANSWER_MAX, ask(address, path)).await;
    match asked {
        Ok(Ok((is_well, answer))) => {
            println!("{answer}");
            return Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Ok(Err(why)) => eprintln!("nobody answers at {address}: {why}"),
        Err(_) => eprintln!("nobody answers at {address} within {} s", ANSWER_MAX.as_secs()),
    }
    Ok(ExitCode::FAILURE)
}

/// Whether the answer is a good one, and its text.
async fn ask(
    address: SocketAddr,
    path: &str,
) -> Result<(bool, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request =
        Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let is_well = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
        Ok((is_well, String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answered = &mut answer => answered,
        // It ends with the answer, and not before it.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    }
}
