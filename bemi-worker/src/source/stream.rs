//! The stream of changes: a connection in replication mode.
//!
//! Transport is the replication client's: it decrypts, answers keepalives, and goes on telling the
//! server that we are alive while nobody takes its events.

use std::time::Duration;

use bemi_core::Lsn;
use bytes::Bytes;
use futures_util::FutureExt as _;
use pgwire_replication::{
    FeedbackObserver, PgWireError, QueryRow, ReplicationClient, ReplicationConfig, ReplicationEvent,
};
use tokio::sync::watch;

use super::settings::{SEND_TEXTS_AS_THEY_ARE, startup_options};
use crate::config::{Config, ConnectionConfig, SlotName};
use crate::connect::{APPLICATION_NAME, Fault};
use crate::error::{Problems, WorkerError};

/// How often the server hears of us at least, and at most how long it waits to hear what is stored. Well
/// below any `wal_sender_timeout` in use.
const STATUS_INTERVAL: Duration = Duration::from_millis(200);

/// How many events the client reads ahead. Very few: each may be a row of any size, and it counts them,
/// not their bytes.
const EVENTS_AHEAD: usize = 8;

/// An event from this size on is held until the next one has come.
const LARGE_EVENT_BYTES: usize = 64 * 1024;

/// How long the last acknowledgement may take to be sent.
const FAREWELL_MAX: Duration = Duration::from_secs(3);

/// The server at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// Tells one cluster from another; its copies have the same.
    pub(crate) identifier: String,
    pub(crate) timeline: u32,
    /// Where its WAL ends.
    pub(crate) end: Lsn,
}

/// A snapshot of the source, cut out of the stream at a position: exactly the transactions whose
/// commit record lies before it are in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportedSnapshot {
    pub(crate) position: Lsn,
    /// What `SET TRANSACTION SNAPSHOT` takes, until the connection that exported it does anything
    /// else, or ends.
    pub(crate) name: String,
}

/// A connection in replication mode, before it streams and while it does.
pub(crate) struct Stream {
    client: ReplicationClient,
    slot: String,
    acknowledged: watch::Receiver<()>,
    /// The server process, once it streams.
    streaming_process: Option<i32>,
    /// The event before, if it was large. The client reads into the memory of the event before once
    /// nobody else holds it, and would keep that of the largest for as long as the stream is slow.
    large: Option<Bytes>,
}

impl Stream {
    /// Connects, to stream from `start` on. Nothing is streamed yet.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the server cannot be reached or does not let us in.
    pub(crate) async fn connect(config: &Config, start: Lsn) -> Result<Self, WorkerError> {
        let slot = config.slot.to_string();
        let (sent, acknowledged) = watch::channel(());
        let observer = FeedbackObserver::new(move |_| {
            sent.send_replace(());
        });
        config.source.check_replication()?;
        let replication = replication_config(&config.source, &slot, config.publication.both())
            .with_start_lsn(pgwire_replication::Lsn(start.get()))
            .with_feedback_observer(observer);
        let client = ReplicationClient::connect_gated(replication)
            .await
            .map_err(|error| failed(&slot, error))?;
        let mut stream = Self { client, slot, acknowledged, streaming_process: None, large: None };
        stream.query(SEND_TEXTS_AS_THEY_ARE).await?;
        Ok(stream)
    }

    /// Asks the server who it is.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the connection fails.
    pub(crate) async fn identify(&mut self) -> Result<System, WorkerError> {
        let system =
            self.client.identify_system().await.map_err(|error| failed(&self.slot, error))?;
        let end = Lsn::new(system.xlogpos.0);
        Ok(System { identifier: system.system_id, timeline: system.timeline, end })
    }

    /// Where `timeline` ended, by the history of the server's own, `current`.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the connection fails.
    pub(crate) async fn fork_of(
        &mut self,
        timeline: u32,
        current: u32,
    ) -> Result<Option<Lsn>, WorkerError> {
        if timeline >= current {
            return Ok(None);
        }
        let history = self
            .client
            .timeline_history(current)
            .await
            .map_err(|error| failed(&self.slot, error))?;
        Ok(fork_in_history(&String::from_utf8_lossy(&history.content), timeline))
    }

    /// The server process that serves this connection.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the connection fails.
    pub(crate) async fn process(&mut self) -> Result<i32, WorkerError> {
        let rows = self.query("SELECT pg_catalog.pg_backend_pid()").await?;
        text_at(&rows, 0)?.parse().map_err(|_| unexpected("the id of its process"))
    }

    /// Exports a snapshot by way of a temporary slot, which goes with this connection. It waits for
    /// every transaction of the cluster that is running to end.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the server refuses or the connection fails.
    pub(crate) async fn export_snapshot(
        &mut self,
        temporary_slot: &SlotName,
    ) -> Result<ExportedSnapshot, WorkerError> {
        let command = format!(
            "CREATE_REPLICATION_SLOT {temporary_slot} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT"
        );
        let rows = self.client.simple_query(&command).await.map_err(|error| match &error {
            PgWireError::Server(message) if sqlstate(message) == Some("53400") => no_slot_left(),
            _ => failed(&self.slot, error),
        })?;
        let position =
            text_at(&rows, 1)?.parse().map_err(|_| unexpected("the position of its slot"))?;
        Ok(ExportedSnapshot { position, name: text_at(&rows, 2)? })
    }

    /// Has standbys keep a copy of the slot, or not any more. It waits for whoever streams from it to end.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the server refuses or the connection fails.
    pub(crate) async fn alter_slot(&mut self, failover: bool) -> Result<(), WorkerError> {
        let command = format!("ALTER_REPLICATION_SLOT {} (FAILOVER {failover})", self.slot);
        self.query(&command).await?;
        Ok(())
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<QueryRow>, WorkerError> {
        self.client.simple_query(sql).await.map_err(|error| failed(&self.slot, error))
    }

    /// Starts streaming.
    ///
    /// # Errors
    ///
    /// [`WorkerError::SlotInUse`] when another process streams from the slot; [`WorkerError`] when the
    /// server refuses otherwise.
    pub(crate) async fn start(&mut self) -> Result<(), WorkerError> {
        self.streaming_process = Some(self.process().await?);
        self.client.start().await.map_err(|error| failed(&self.slot, error))?;
        self.client.wait_started().await.map_err(|error| failed(&self.slot, error))
    }

    /// The server process that streams.
    pub(crate) fn streaming_process(&self) -> Option<i32> {
        self.streaming_process
    }

    /// The next event that is there already, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub(crate) fn try_next(&mut self) -> Option<Result<ReplicationEvent, WorkerError>> {
        self.next().now_or_never()
    }

    /// The next event.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the connection is lost, or the server ends the stream.
    ///
    /// # Cancellation safety
    ///
    /// No event is lost. That the stream has ended may be told once as a lost connection instead of
    /// its cause.
    pub(crate) async fn next(&mut self) -> Result<ReplicationEvent, WorkerError> {
        match self.client.recv().await {
            Ok(Some(event)) => {
                self.large = match &event {
                    ReplicationEvent::XLogData { data, .. } if data.len() >= LARGE_EVENT_BYTES => {
                        Some(data.clone())
                    }
                    _ => None,
                };
                Ok(event)
            }
            Ok(None) => Err(WorkerError::Replication {
                why: "the server ended the stream".to_owned(),
                fault: Fault::Transient,
            }),
            Err(error) => Err(failed(&self.slot, error)),
        }
    }

    /// Tells the server that everything before `position` is stored, and its WAL not needed.
    pub(crate) fn acknowledge(&self, position: Lsn) {
        self.client.update_applied_lsn(pgwire_replication::Lsn(position.get()));
    }

    /// Ends the stream, once the server has been told what was acknowledged last. An end that
    /// fails is no failure: the checkpoint is what counts.
    pub(crate) async fn end(mut self) {
        let told = async {
            while self.client.feedback_pending_since().is_some() {
                if self.acknowledged.changed().await.is_err() {
                    break;
                }
            }
        };
        // Events that nobody takes keep the client from reading, not from answering.
        let _ = tokio::time::timeout(FAREWELL_MAX, told).await;
        let _ = tokio::time::timeout(FAREWELL_MAX, self.client.shutdown()).await;
    }
}

fn replication_config(
    source: &ConnectionConfig,
    slot: &str,
    publications: [String; 2],
) -> ReplicationConfig {
    ReplicationConfig::new(
        source.host(),
        source.user(),
        source.password().unwrap_or_default(),
        source.database(),
        slot,
        publications,
    )
    .with_port(source.port())
    .with_tls(source.replication_tls())
    .with_options(startup_options(source.options()))
    .with_application_name(APPLICATION_NAME)
    .with_status_interval(STATUS_INTERVAL)
    .with_wakeup_interval(STATUS_INTERVAL)
    .with_buffer_size(EVENTS_AHEAD)
}

/// A value of the only row.
fn text_at(rows: &[QueryRow], column: usize) -> Result<String, WorkerError> {
    let value = rows.first().and_then(|row| row.get(column)).and_then(Option::as_ref);
    let value = value.ok_or_else(|| unexpected("an answer"))?;
    Ok(String::from_utf8_lossy(value).into_owned())
}

fn no_slot_left() -> WorkerError {
    let mut problems = Problems::default();
    problems.requirement(
        "the source has no replication slot left, and a snapshot takes one for a moment; raise \
         max_replication_slots, or drop a slot that nobody uses",
    );
    WorkerError::Unready(problems)
}

fn unexpected(what: &str) -> WorkerError {
    let why = format!("the server was asked for {what}, and told something else");
    WorkerError::Replication { why, fault: Fault::Other }
}

/// A line of a timeline's history: the number of an earlier one, a tab, where it was left.
fn fork_in_history(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let number: u32 = fields.next()?.parse().ok()?;
        let fork = fields.next()?.parse().ok()?;
        (number == timeline).then_some(fork)
    })
}

/// What an error of the replication client means. It tells the server's SQLSTATE only in its text.
fn failed(slot: &str, error: PgWireError) -> WorkerError {
    let fault = match &error {
        PgWireError::Server(message) => match sqlstate(message) {
            Some("55006") => {
                return WorkerError::SlotInUse {
                    slot: slot.to_owned(),
                    process: in_use_by(message).unwrap_or("unknown").to_owned(),
                };
            }
            Some(code) => Fault::of_sqlstate(code),
            None => Fault::Other,
        },
        PgWireError::Auth(_) => Fault::Credentials,
        PgWireError::Tls(_) => Fault::NotAllowed,
        // Internal: asked again after its end, the cause of which was told before.
        PgWireError::Io(_) | PgWireError::Task(_) | PgWireError::Internal(_) => Fault::Transient,
        _ => Fault::Other,
    };
    WorkerError::Replication { why: error.to_string(), fault }
}

fn sqlstate(message: &str) -> Option<&str> {
    let (_, after) = message.rsplit_once("SQLSTATE ")?;
    after.get(..5).filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `replication slot "bemi" is active for PID 4711`.
fn in_use_by(message: &str) -> Option<&str> {
    let (_, after) = message.split_once("PID ")?;
    after.split(|character: char| !character.is_ascii_digit()).next().filter(|pid| !pid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_a_timeline_tells_where_each_earlier_one_was_left() {
        let history =
            "1\t0/3000060\tno recovery target specified\n\n2\t0/50000A0\tbefore 2000-01-01\n";
        assert_eq!(fork_in_history(history, 1), Some(Lsn::new(0x300_0060)));
        assert_eq!(fork_in_history(history, 2), Some(Lsn::new(0x500_00A0)));
        assert_eq!(fork_in_history(history, 3), None);
    }

    #[test]
    fn a_slot_in_use_is_told_with_its_process() {
        let message = "replication slot \"bemi\" is active for PID 4711 (SQLSTATE 55006)";
        let error = failed("bemi", PgWireError::Server(message.to_owned()));
        assert!(
            matches!(&error, WorkerError::SlotInUse { process, .. } if process == "4711"),
            "{error}"
        );
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let fault = |text: &str| match failed("bemi", PgWireError::Server(text.to_owned())) {
            WorkerError::Replication { fault, .. } => fault,
            error => panic!("{error}"),
        };
        assert_eq!(fault("terminating connection (SQLSTATE 57P01)"), Fault::Transient);
        assert_eq!(fault("no password (SQLSTATE 28P01)"), Fault::Credentials);
        assert_eq!(fault("no slot (SQLSTATE 42704)"), Fault::Other);
        assert_eq!(fault("nothing known"), Fault::Other);
    }
}
