//! A client of server-sent events, as browsers have one.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::http::{ANSWERED_WITHIN, request};

/// A stream of events.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
    /// The id of the last event, or of what came without one.
    pub(crate) last_id: String,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Event {
    /// Operation and key of the change.
    pub(crate) fn what(&self) -> (&str, &str) {
        (self.data["operation"].as_str().unwrap(), self.data["primary_key"].as_str().unwrap_or("-"))
    }
}

impl Events {
    /// Connects, and reads the head of the answer, which must be a stream; and its first words, which
    /// say from where it goes on.
    pub(crate) async fn open(address: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut events = Self::send(address, target, headers).await;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && events.line(&mut head).await {}
        let is_stream = head.contains(" 200 ") && head.contains("content-type: text/event-stream");
        assert!(is_stream, "{head}");
        let mut first = String::new();
        while !first.ends_with("\n\n") && events.line(&mut first).await {}
        let id = first.strip_prefix("retry: 2000\nid: ").and_then(|rest| rest.strip_suffix("\n\n"));
        events.last_id = id.unwrap_or_else(|| panic!("{first:?}")).to_owned();
        events
    }

    /// Sends the request, and reads nothing. The system keeps little of what is sent meanwhile.
    pub(crate) async fn send(address: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
        stream.write_all(request("GET", target, headers).as_bytes()).await.unwrap();
        Self { lines: BufReader::new(stream), last_id: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if !self.line(&mut line).await {
                return None;
            }
            match line.trim_end_matches('\n') {
                "" if data.is_empty() => name.clear(),
                "" => {
                    let data = serde_json::from_str(&data).unwrap();
                    return Some(Event { name, id: self.last_id.clone(), data });
                }
                // A sign of life.
                ":" => {}
                line => match line.split_once(": ").unwrap() {
                    ("event", value) => value.clone_into(&mut name),
                    ("id", value) => value.clone_into(&mut self.last_id),
                    ("data", value) => data.push_str(value),
                    ("retry", _) => {}
                    field => panic!("{field:?}"),
                },
            }
        }
    }

    /// The next events, which must be changes.
    pub(crate) async fn changes(&mut self, count: usize) -> Vec<Event> {
        let mut changes = Vec::with_capacity(count);
        while changes.len() < count {
            let event = self.next().await.expect("the stream goes on");
            assert_eq!(event.name, "change", "{event:?}");
            changes.push(event);
        }
        changes
    }

    /// Reads on until a line has come that is no part of an event.
    pub(crate) async fn line(&mut self, line: &mut String) -> bool {
        let read = timeout(ANSWERED_WITHIN, self.lines.read_line(line)).await;
        // A connection that breaks ends as well.
        matches!(read.expect("something is sent"), Ok(1..))
    }
}

/// The keys of changes.
pub(crate) fn keys(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.what().1).collect()
}
