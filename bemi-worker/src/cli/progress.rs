//! How far a backfill is: a bar on a terminal, lines of the log elsewhere.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tracing::info;

use crate::backfill::BackfillEvent;

/// How often the log says how far a table is.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How often the bar moves on while nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// The rows that the server thought were there may be fewer than are.
const BAR: &str = "{spinner} {bar:30} {human_pos} of about {human_len} rows  {rate}/s  {wide_msg}";

pub(super) enum Progress {
    Bar(ProgressBar),
    Log { told: Instant, rows: u64 },
}

impl Progress {
    pub(super) fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Log { told: Instant::now(), rows: 0 };
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.with_key("rate", write_rate));
        }
        bar.enable_steady_tick(TICK);
        Self::Bar(bar)
    }

    pub(super) fn show(&mut self, event: &BackfillEvent) {
        match self {
            Self::Bar(bar) => move_bar(bar, event),
            Self::Log { told, rows } => log(told, rows, event),
        }
    }

    /// Leaves the terminal to what is written next.
    pub(super) fn end(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Whole rows are enough.
fn write_rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = write!(out, "{:.0}", state.per_sec());
}

fn move_bar(bar: &ProgressBar, event: &BackfillEvent) {
    match event {
        BackfillEvent::Planned { estimated_rows, .. } => {
            bar.set_length(bar.position() + estimated_rows);
        }
        BackfillEvent::Waiting => bar.set_message("waiting for running transactions to end"),
        BackfillEvent::SnapshotTaken { .. } => bar.set_message(""),
        BackfillEvent::Stored { table, rows, .. } => {
            bar.inc(*rows);
            bar.set_length(bar.length().unwrap_or(0).max(bar.position()));
            bar.set_message(table.clone());
        }
        BackfillEvent::Finished { table, rows } => bar.println(format!("{table}: {rows} rows")),
    }
}

fn log(told: &mut Instant, rows: &mut u64, event: &BackfillEvent) {
    match event {
        BackfillEvent::Planned { tables, estimated_rows } => {
            info!(tables, estimated_rows, "backfill");
        }
        BackfillEvent::Waiting => info!("waiting for running transactions to end"),
        BackfillEvent::SnapshotTaken { position } => info!(%position, "took a snapshot"),
        BackfillEvent::Stored { table, rows: more, rows_of_table } => {
            *rows += more;
            if told.elapsed() >= LOG_INTERVAL {
                *told = Instant::now();
                info!(table, rows_of_table, rows_in_all = *rows, "storing rows");
            }
        }
        BackfillEvent::Finished { table, rows } => info!(table, rows, "stored a table"),
    }
}
