//! The answer to `/metrics`: text in the exposition format of Prometheus, version 0.0.4.
//!
//! Names and meanings are documented in docs/metrics.md, and a test compares them.
//!
//! Invariant: what is not known is left out, rather than told as a zero.

use std::fmt;
use std::time::Instant;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::process;
use super::state::{Phase, State};

/// What it is, for the header of the answer.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a slot can be, as `pg_replication_slots` says it, and that it is not there.
const WAL_STATUSES: [&str; 5] = ["reserved", "extended", "unreserved", "lost", "missing"];

/// The metrics of a worker as it is now.
pub(super) fn text(state: State) -> String {
    let mut registry = Registry::default();
    let (now, clock) = (Instant::now(), Timestamp::now());
    registry.register_collector(Box::new(Snapshot { state, now, clock }));
    let mut text = String::new();
    // Nothing can go wrong in writing to a text.
    let _ = encode_registry(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Snapshot {
    state: State,
    now: Instant,
    clock: Timestamp,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.write_stored(&mut page)?;
        self.write_progress(&mut page)?;
        self.write_databases(&mut page)?;
        self.write_process(&mut page)
    }
}

impl Snapshot {
    /// What was received and stored.
    fn write_stored(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = &self.state;
        let stored = &state.stored;
        page.labelled(
            MetricType::Counter,
            "bemi_changes_total",
            "Rows stored in changes, by whether they have a context",
            "context",
            &[("matched", count(stored.matched)), ("missing", count(stored.missing))],
        )?;
        let counters = [
            (
                "bemi_transactions_total",
                "Source transactions stored that had changes",
                state.transactions,
            ),
            (
                "bemi_received_bytes_total",
                "Bytes of changes and messages received from the source, those that come again included",
                state.received_bytes,
            ),
            ("bemi_stored_bytes_total", "Bytes of rows stored in changes, as COPY", stored.bytes),
            (
                "bemi_quarantined_changes_total",
                "Changes that went to quarantine instead of changes",
                stored.quarantined,
            ),
            (
                "bemi_ignored_changes_total",
                "Changes of ignored columns alone, which are not stored",
                stored.ignored,
            ),
        ];
        for (name, help, value) in counters {
            page.one(MetricType::Counter, name, help, count(value))?;
        }
        page.labelled(
            MetricType::Counter,
            "bemi_bad_contexts_total",
            "Context messages that are not stored as they are, by why",
            "reason",
            &[
                ("unreadable", count(stored.unreadable_contexts)),
                ("without_transaction", count(stored.contexts_without_transaction)),
            ],
        )?;
        page.labelled(
            MetricType::Counter,
            "bemi_retries_total",
            "Interruptions after which the worker tried again, by the database at fault",
            "side",
            &[
                ("source", count(state.retries_of_source)),
                ("destination", count(state.retries_of_destination)),
            ],
        )?;
        let name = "bemi_commit_to_stored_seconds";
        let help = "Time from the commit in the source to the commit in the destination, of each transaction";
        let encoder = page.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        state.latency.encode(encoder)?;
        page.one(
            MetricType::Counter,
            "bemi_commit_to_stored_negative_total",
            "Transactions that were stored before they were committed by the clocks, observed as 0",
            count(state.negative_latencies),
        )
    }

    /// Where it is, and how far behind.
    fn write_progress(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = &self.state;
        let streaming = flag(state.phase == Phase::Streaming);
        page.gauge("bemi_streaming", "Whether the worker streams from the source", streaming)?;
        let lag = state.lag(self.now, self.clock).map(|lag| lag.as_secs_f64());
        page.known(
            "bemi_lag_seconds",
            "Age of the oldest change that is not stored, at most; 0 where there is none",
            lag,
        )?;
        page.known(
            "bemi_lag_bytes",
            "WAL between what is stored and what the source has written",
            state.lag_bytes().map(count),
        )?;
        let position = state.stored.position.get();
        page.known(
            "bemi_stored_position_bytes",
            "Position in the WAL up to which everything is stored",
            (position > 0).then(|| count(position)),
        )?;
        page.known(
            "bemi_last_commit_timestamp_seconds",
            "When the last stored transaction was committed, by the clock of the source",
            state.last_commit.map(seconds),
        )?;
        let batches = u32::try_from(state.at_sink).unwrap_or(u32::MAX);
        page.gauge("bemi_sink_batches", "Batches that are being stored", f64::from(batches))?;
        let silence = state.sink_silence(self.now).as_secs_f64();
        page.gauge(
            "bemi_sink_silence_seconds",
            "Time since the destination stored something, while there are batches to store",
            silence,
        )
    }

    /// What the databases say of themselves.
    fn write_databases(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = &self.state;
        let up = [("source", state.source_is_up), ("destination", state.destination_is_up)];
        let up = up.iter().filter_map(|(side, up)| up.map(|up| (*side, flag(up))));
        let up: Vec<_> = up.collect();
        let help =
            "Whether the database answered when it was asked last, over a connection of its own";
        page.labelled(MetricType::Gauge, "bemi_database_up", help, "side", &up)?;
        if let Some((reading, _)) = &state.source
            && state.source_is_up == Some(true)
        {
            page.gauge(
                "bemi_source_position_bytes",
                "Position in the WAL up to which the source has written",
                count(reading.flushed.get()),
            )?;
            let slot = reading.slot.as_ref();
            page.known(
                "bemi_slot_retained_wal_bytes",
                "WAL that the source keeps on its disk for the slot",
                slot.map(|slot| count(slot.held_bytes)),
            )?;
            page.known(
                "bemi_slot_safe_wal_bytes",
                "WAL that can be written before the slot is in danger, where max_slot_wal_keep_size is set",
                slot.and_then(|slot| slot.safe_bytes).map(count),
            )?;
            let status = slot.map_or("missing", |slot| slot.wal_status.as_str());
            let is = WAL_STATUSES.map(|known| (known, flag(known == status)));
            let help =
                "The state of the slot as pg_replication_slots has it: 1 for the one that it is in";
            page.labelled(MetricType::Gauge, "bemi_slot_wal_status", help, "status", &is)?;
        }
        let reading = state.destination;
        page.known(
            "bemi_gaps",
            "Stretches of WAL that were lost before they could be stored",
            reading.map(|reading| count(reading.gaps)),
        )?;
        page.known(
            "bemi_quarantine_rows",
            "Changes in quarantine",
            reading.map(|reading| count(reading.quarantined)),
        )
    }

    fn write_process(&self, page: &mut Page<'_>) -> fmt::Result {
        page.labelled(
            MetricType::Gauge,
            "bemi_build_info",
            "The version of the worker",
            "version",
            &[(env!("CARGO_PKG_VERSION"), 1.0)],
        )?;
        page.gauge(
            "process_start_time_seconds",
            "When the process started",
            seconds(self.state.started_at),
        )?;
        page.known(
            "process_resident_memory_bytes",
            "Memory of the process that is in use, where the system tells",
            process::resident_bytes().map(count),
        )
    }
}

/// What is written, metric by metric.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.one(MetricType::Gauge, name, help, value)
    }

    /// A gauge, where its value is known.
    fn known(&mut self, name: &str, help: &str, value: Option<f64>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.gauge(name, help, value))
    }

    /// Any type but a histogram. The library would add suffixes to the names of counters, as OpenMetrics
    /// wants it, and does not to those of gauges.
    fn one(&mut self, kind: MetricType, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, kind)?.encode_gauge(&value)
    }

    /// The same with a label, for each of its values.
    fn labelled(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, f64)],
    ) -> fmt::Result {
        if values.is_empty() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (of, value) in values {
            encoder.encode_family(&[(label, *of)])?.encode_gauge(value)?;
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no numbers but these")]
fn count(number: u64) -> f64 {
    number as f64
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
