//! Requests over plain HTTP, and what is answered.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take, on a busy machine.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the headers, as they came.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What the answer says is wrong.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

/// The text of a request. HTTP/1.0, so that the answer ends with the connection.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.0\r\n{headers}\r\n")
}

/// Sends bytes, and returns whatever is answered before the connection ends.
pub(crate) async fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Where the other side has seen enough, it need not read the rest.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(ANSWERED_WITHIN, stream.read_to_end(&mut answer)).await.expect("an answer");
    answer
}

/// Sends a request.
pub(crate) async fn ask(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let answer = exchange(address, request(method, target, headers).as_bytes()).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{answer:?}"));
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
