//! One request over plain HTTP to an application on the loopback interface.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends a request, and returns the body of the answer, which must be 200.
///
/// In HTTP/1.0, so that the answer ends with the connection.
pub(crate) async fn request(
    port: u16,
    method: &str,
    path: &str,
    context: &Value,
    body: &Value,
) -> Value {
    let (context, body) = (ascii(context), body.to_string());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         X-Context: {context}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1);
    assert_eq!(status, Some("200"), "{method} {path} was answered with\n{answer}");
    serde_json::from_str(body).unwrap()
}

/// JSON that a header can hold: each character beyond ASCII as its escape.
fn ascii(json: &Value) -> String {
    let mut text = String::new();
    for c in json.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}
