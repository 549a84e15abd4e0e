//! Reads the record for one client, at the client's pace.
//!
//! ```text
//! stored? ─▶ a page behind the place ─▶ room in the stream? ─▶ the place moves on ─▶ …
//! ```
//!
//! Invariant: the place moves behind what was given to the stream, never beyond it. What waits for a
//! slow client is one page in the stream and one in hand, however much is stored meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bemi_core::Change;
use bemi_core::record::{Changes, Cursor, RecordError};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::answer::Refusal;
use super::event;
use super::pool::AskError;
use super::route::Endpoints;
use super::window::Window;
use crate::pipeline::backoff::Backoff;
use crate::pipeline::{RunSummary, stopped};
use crate::rate_limited::RateLimited;

/// Changes on a page at most, and at first.
const PAGE_ROWS_MAX: u32 = 256;
const PAGE_ROWS_FIRST: u32 = 32;

/// How large a page should be: of wide rows there are fewer on the next one.
const PAGE_BYTES_WANTED: usize = 256 * 1024;

/// How long to wait before looking again, so that a busy worker makes pages rather than questions.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long what was looked through stays unsaid, where none of it was for the client.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// One for all streams: they wait for the same database.
static TROUBLE: RateLimited = RateLimited::new();

/// Somebody who is sent changes.
pub(super) struct Subscriber {
    endpoints: Arc<Endpoints>,
    changes: Changes,
    /// Everything before it was given to the stream.
    place: Cursor,
    /// The last place that the client was told: that of a change, since a client may come again with it.
    told: Cursor,
    told_at: Instant,
    /// The place for which it was found.
    told_for: Cursor,
    page_rows: u32,
    window: Window,
    stored: watch::Receiver<RunSummary>,
    _seat: OwnedSemaphorePermit,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begin {
    /// Changes behind it are sent.
    pub(super) place: Cursor,
    /// What the client is told: the place of the last change before it.
    pub(super) told: Cursor,
}

/// A part of the record, as events.
struct Events {
    text: Bytes,
    rows: usize,
    /// The place of the last one, if there is any.
    last: Option<Cursor>,
    /// Up to where that is all.
    reached: Cursor,
    /// Whether there may be more at once.
    more: bool,
}

/// The client is gone, or the worker.
struct Gone;

impl Subscriber {
    /// Somebody who wants what comes behind a place.
    pub(super) fn new(
        endpoints: Arc<Endpoints>,
        changes: Changes,
        Begin { place, told }: Begin,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        let stored = endpoints.stored();
        Self {
            endpoints,
            changes,
            place,
            told,
            told_at: Instant::now(),
            told_for: place,
            page_rows: PAGE_ROWS_FIRST,
            window: Window::new(),
            stored,
            _seat: seat,
        }
    }

    /// Gives pages to the stream until the client is gone, or the worker ends.
    pub(super) async fn run(mut self, pages: mpsc::Sender<Bytes>) {
        let mut shutdown = self.endpoints.shutdown();
        tokio::select! {
            biased;
            () = stopped(&mut shutdown) => {}
            () = pages.closed() => {}
            _ = self.follow(&pages) => {}
        }
    }

    async fn follow(&mut self, pages: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
        let mut backoff = Backoff::default();
        loop {
            // Before asking, so that what is stored from here on is noticed.
            self.stored.mark_unchanged();
            match self.ask().await {
                Ok(events) => {
                    backoff = Backoff::default();
                    let more = events.more;
                    self.give(events, pages).await?;
                    if !more {
                        self.wait(pages).await?;
                    }
                }
                Err(error) if error.is_timeout() => self.window.took_too_long(),
                Err(error) if error.is_transient() => {
                    let (cause, wait) = (error.to_string(), backoff.next_wait());
                    let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    if let Some(held_back) = TROUBLE.say() {
                        warn!(
                            cause,
                            retry_in_ms, held_back, "a stream over HTTP waits for the database"
                        );
                    }
                    sleep(wait).await;
                }
                Err(error) => {
                    let why = event::error(Refusal::from(error).message());
                    return send(pages, why).await;
                }
            }
        }
    }

    /// The next page.
    async fn ask(&mut self) -> Result<Events, AskError> {
        let up_to = self.window.end(self.place);
        let changes = self.changes.clone().up_to(up_to).limit(self.page_rows);
        let mut lent = self.endpoints.pool().lend().await?;
        let asked_at = Instant::now();
        let followed = self.endpoints.record(&mut lent).follow(&changes, self.place).await?;
        self.endpoints.pool().give_back(lent);
        self.window.took(asked_at.elapsed());
        let text = event::changes(&followed.changes)
            .map_err(|source| RecordError::Unreadable { what: "a change", source })?;
        // Without a full page, it is all up to the end of the record, or of what was looked through.
        let looked_to = Cursor::behind(up_to);
        let is_cut_off = !followed.more && looked_to < followed.reached;
        Ok(Events {
            text,
            rows: followed.changes.len(),
            last: followed.changes.last().map(Change::cursor),
            reached: if is_cut_off { looked_to } else { followed.reached },
            more: followed.more || is_cut_off,
        })
    }

    async fn give(&mut self, events: Events, pages: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
        self.place = events.reached;
        let Some(last) = events.last else { return self.tell_place(pages).await };
        self.page_rows = rows_of_next_page(events.rows, events.text.len());
        send(pages, events.text).await?;
        (self.told, self.told_for, self.told_at) = (last, last, Instant::now());
        Ok(())
    }

    /// Tells up to where nothing was for the client, if that was not said for long.
    async fn tell_place(&mut self, pages: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
        if self.told_for == self.place || self.told_at.elapsed() < PROGRESS_INTERVAL {
            return Ok(());
        }
        // Where it cannot be found now, it is told another time.
        let Ok(place) = self.last_place().await else { return Ok(()) };
        (self.told_for, self.told_at) = (self.place, Instant::now());
        if self.told < place {
            send(pages, event::progress(place)).await?;
            self.told = place;
        }
        Ok(())
    }

    async fn last_place(&self) -> Result<Cursor, AskError> {
        let mut lent = self.endpoints.pool().lend().await?;
        let place = self.endpoints.record(&mut lent).last_place(self.place).await?;
        self.endpoints.pool().give_back(lent);
        Ok(place)
    }

    /// Waits until more is stored.
    async fn wait(&mut self, pages: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
        sleep(LOOK_INTERVAL).await;
        loop {
            match timeout(PROGRESS_INTERVAL, self.stored.changed()).await {
                Ok(stored) => return stored.map_err(|_| Gone),
                Err(_) => self.tell_place(pages).await?,
            }
        }
    }
}

/// Waits for room in the stream.
async fn send(pages: &mpsc::Sender<Bytes>, text: Bytes) -> Result<(), Gone> {
    pages.send(text).await.map_err(|_| Gone)
}

/// As many rows as make a page of the wanted size, if they are like those of the last one.
fn rows_of_next_page(rows: usize, bytes: usize) -> u32 {
    let fit = PAGE_BYTES_WANTED.saturating_mul(rows) / bytes.max(1);
    u32::try_from(fit).unwrap_or(PAGE_ROWS_MAX).clamp(1, PAGE_ROWS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_rows_make_small_pages_and_narrow_ones_large() {
        assert_eq!(rows_of_next_page(32, 32 * 1024), 256);
        assert_eq!(rows_of_next_page(32, 32 * 16 * 1024), 16);
        assert_eq!(rows_of_next_page(32, 32 * 1024 * 1024), 1);
        assert_eq!(rows_of_next_page(1, 0), 256);
    }
}
