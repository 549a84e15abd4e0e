//! The consumer of docs/guide/live.md, as it stands there.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

/// Gives each change of `todo` to `react`, until the stream ends. Called again with the same
/// `last_id`, it goes on behind the last change that `react` has returned from.
pub(crate) fn follow(
    address: &str,
    token: &str,
    last_id: &mut String,
    mut react: impl FnMut(serde_json::Value),
) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    // HTTP/1.0: the lines come as they are, without the framing of chunks.
    write!(
        stream,
        "GET /changes/stream?table=todo HTTP/1.0\r\n\
         Authorization: Bearer {token}\r\nLast-Event-ID: {last_id}\r\n\r\n"
    )?;
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next().transpose()?.unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(io::Error::other(status));
    }
    let (mut id, mut data) = (last_id.clone(), String::new());
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            Some(("id", value)) => value.clone_into(&mut id),
            Some(("data", value)) => data.push_str(value),
            _ if line.is_empty() => {
                if !data.is_empty() {
                    react(serde_json::from_str(&data)?);
                    data.clear();
                }
                last_id.clone_from(&id);
            }
            _ => {}
        }
    }
    Ok(())
}
