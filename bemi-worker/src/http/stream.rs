//! `GET /changes/stream`: changes as server-sent events, from a place on, for as long as the client
//! stays.

use std::sync::Arc;
use std::time::Duration;

use bemi_core::record::{Changes, Cursor};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::{self, Body, Refusal};
use super::pool::AskError;
use super::route::Endpoints;
use super::subscriber::{Begin, Subscriber};
use super::{event, query};

/// How long a client hears nothing, at most: proxies close what is silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Parts of the stream that wait for the client to read them, each a page of changes.
const PAGES_AHEAD: usize = 1;

/// Where a client wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// With what is stored from now on.
    Now,
    /// Behind that place.
    Place(Cursor),
}

/// Begins a stream.
pub(super) async fn subscribe(
    endpoints: &Arc<Endpoints>,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let (changes, from) = wanted(query, headers)?;
    let seat = endpoints.subscribers().try_acquire_owned();
    let seat = seat.map_err(|_| Refusal::Busy("there are too many subscribers; try again"))?;
    let begin = begin(endpoints, from).await?;

    let (pages, waiting) = mpsc::channel::<Bytes>(PAGES_AHEAD);
    let subscriber = Subscriber::new(Arc::clone(endpoints), changes, begin, seat);
    // Ends when the body is dropped.
    tokio::spawn(subscriber.run(pages));

    let hello = event::hello(begin.told);
    let mut response = answer::with_body(StatusCode::OK, "text/event-stream", body(hello, waiting));
    // A proxy that gathers answers would keep events from their reader.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The pages as they come, and a sign of life when none does.
fn body(hello: Bytes, pages: mpsc::Receiver<Bytes>) -> Body {
    let parts = unfold((Some(hello), pages), |(hello, mut pages)| async move {
        let part = match hello {
            Some(hello) => hello,
            None => match timeout(SILENCE_MAX, pages.recv()).await {
                Ok(page) => page?,
                Err(_) => event::KEEP_ALIVE,
            },
        };
        Some((Ok(Frame::data(part)), (None, pages)))
    });
    StreamBody::new(parts).boxed_unsync()
}

/// What is to be sent, and from where on: `Last-Event-ID` beats the query, which stays the same when a
/// client comes again.
fn wanted(query: Option<&str>, headers: &HeaderMap) -> Result<(Changes, From), Refusal> {
    let mut filters = query::pairs(query)?;
    let mut from = match query::take_one(&mut filters, "cursor")?.as_deref() {
        None => From::Now,
        Some("begin") => From::Place(Cursor::START),
        Some(text) => place(text)?,
    };
    for (name, value) in &filters {
        let wrong = |why| Err(Refusal::Request(format!("{name}: {why}")));
        match name.as_str() {
            "order" | "limit" => return wrong("a stream has neither order nor limit"),
            "database" => return wrong("a stream is of the one database of its slot"),
            // They come in at an earlier place than what was sent already.
            "operation" if value.eq_ignore_ascii_case("snapshot") => {
                return wrong("rows of a baseline are no changes, and not in the stream");
            }
            _ => {}
        }
    }
    if let Some(last) = headers.get("last-event-id") {
        let last =
            last.to_str().map_err(|_| Refusal::Request("Last-Event-ID is no text".to_owned()))?;
        if !last.is_empty() {
            from = place(last)?;
        }
    }
    let changes =
        Changes::from_pairs(filters).map_err(|error| Refusal::Request(error.to_string()))?;
    Ok((changes, from))
}

fn place(text: &str) -> Result<From, Refusal> {
    text.parse()
        .map(From::Place)
        .map_err(|error: bemi_core::record::InvalidCursor| Refusal::Request(error.to_string()))
}

/// The place to begin behind, if the record has it.
async fn begin(endpoints: &Endpoints, from: From) -> Result<Begin, Refusal> {
    let mut lent = endpoints.pool().lend().await?;
    let mut record = endpoints.record(&mut lent);
    let begin = match from {
        From::Now => {
            let place = record.end().await.map_err(AskError::from)?;
            Begin { place, told: record.last_place(place).await.map_err(AskError::from)? }
        }
        From::Place(place) => {
            if !record.has_place(place).await.map_err(AskError::from)? {
                return Err(Refusal::Cursor(format!(
                    "there is no change at {place}: it was removed, with others perhaps, or {place} is \
                     of another record; begin anew with cursor=begin, or without a cursor"
                )));
            }
            Begin { place, told: place }
        }
    };
    endpoints.pool().give_back(lent);
    Ok(begin)
}
