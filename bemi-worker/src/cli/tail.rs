//! `tail`: changes as they are stored.

use std::convert::Infallible;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use bemi_core::record::{Changes, Cursor, InvalidPoint, LIMIT_MAX, Point, Record, TableName};
use tokio::sync::watch;
use tracing::{info, warn};

use super::filter_options::{FilterOptions, instant};
use super::output_options::{OutputOptions, standard_output};
use super::{asking, shutdown};
use crate::WorkerError;
use crate::config::Given;
use crate::connect::Session;
use crate::view::{AnswerFormat, ChangesView};

/// How often it is looked for what is new: a look that finds nothing reads one row.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long to wait before a connection that broke is opened again.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Examples:
  bemi-worker tail
  bemi-worker tail --table todo --field status --where tenant=acme
  bemi-worker tail --ndjson | jq -c 'select(.operation == \"DELETE\") | .before'
  bemi-worker tail --since 23813016.2 --format json      # go on where a program was

It begins with what is stored from now on, or behind --since, in the order of commits, and never
shows half a transaction's beginning before all of it is stored. A connection that breaks is opened
again, and nothing is missed or told twice. SIGINT and SIGTERM end it with 0.";

/// Follow the changes as they are stored
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Of this table alone; again: of any of these
    #[arg(long, value_name = "TABLE", help_heading = "Which changes")]
    table: Vec<TableName>,

    #[command(flatten)]
    filter: FilterOptions,

    /// Begin behind this place: a cursor, as 23813016.2, or a point, as -1h; it is told what was
    /// stored since [default: what is stored from now on]
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, help_heading = "Which changes")]
    since: Option<Place>,

    /// The same as --format json: one JSON object a line
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    ndjson: bool,

    #[command(flatten)]
    output: OutputOptions,
}

/// Where to begin.
#[derive(Clone, Copy, Debug)]
enum Place {
    Cursor(Cursor),
    Point(Point),
}

impl FromStr for Place {
    type Err = InvalidPoint;

    fn from_str(text: &str) -> Result<Self, InvalidPoint> {
        text.parse().map(Self::Cursor).or_else(|_| text.parse().map(Self::Point))
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    given: &Given,
    shutdown: watch::Receiver<bool>,
) -> Result<ExitCode, WorkerError> {
    match shutdown::unless_told(shutdown, follow(arguments, given)).await {
        Ok(never) => match never {},
        // It has no other end.
        Err(WorkerError::Interrupted) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
    }
}

async fn follow(arguments: &Arguments, given: &Given) -> Result<Infallible, WorkerError> {
    let own = arguments.table.iter().map(|table| ("table", table.quoted()));
    let changes = arguments.filter.changes(own)?.limit(LIMIT_MAX);
    let mut record = asking::record(given).await?;
    let (changes, mut place) = begin(arguments.since, changes, &mut record).await?;
    let format = if arguments.ndjson { AnswerFormat::Json } else { arguments.output.format };
    let mut out = standard_output();
    let mut view = ChangesView::begin(&mut out, format, arguments.output.screen())?;
    out.flush()?;
    info!(%place, "following");
    loop {
        match record.follow(&changes, place).await {
            Ok(followed) => {
                for change in &followed.changes {
                    view.write(&mut out, change)?;
                }
                out.flush()?;
                place = followed.reached;
                if !followed.more {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
            }
            Err(error) => {
                let error = WorkerError::from(error);
                if !error.is_transient() {
                    return Err(error);
                }
                warn!(%error, "the connection broke; trying again");
                record = connect_again(given).await?;
                info!(%place, "following again");
            }
        }
    }
}

/// The filter, and the place to begin at. What has an instant is found by the clock, without waiting
/// for anything to be stored.
async fn begin(
    since: Option<Place>,
    changes: Changes,
    record: &mut Record<Session>,
) -> Result<(Changes, Cursor), WorkerError> {
    Ok(match since {
        None => {
            let end = record.end().await?;
            (changes, end)
        }
        Some(Place::Cursor(cursor)) => (changes, cursor),
        Some(Place::Point(point)) => match instant(point)? {
            Some(instant) => (changes.since(instant), Cursor::START),
            None => (changes, Cursor::behind(record.resolve(point).await?)),
        },
    })
}

/// Tries until a server answers; what does not end by itself is an error.
async fn connect_again(given: &Given) -> Result<Record<Session>, WorkerError> {
    loop {
        tokio::time::sleep(RECONNECT_INTERVAL).await;
        match asking::record(given).await {
            Err(error) if error.is_transient() => {}
            ended => return ended,
        }
    }
}
