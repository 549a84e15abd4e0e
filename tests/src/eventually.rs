//! Waits for a condition, by looking again and again until a deadline. The only way of waiting in the tests.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The pause after the first look; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Looks until `look` returns something, and returns that.
///
/// # Panics
/// When the deadline passes first, also in the middle of a look; the message says what was waited for.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
///
/// let mut looks = 0;
/// let found = bemi_tests::eventually(Duration::from_secs(5), "three looks", async || {
///     looks += 1;
///     (looks == 3).then_some(looks)
/// });
/// assert_eq!(found.await, 3);
/// # }
/// ```
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    let mut pause = PAUSE_MIN;
    let mut looks = 0_u32;
    loop {
        match timeout_at(end, look()).await {
            Ok(Some(found)) => return found,
            Ok(None) if Instant::now() < end => looks += 1,
            _ => panic!(
                "waited {} s for {what}, looked {looks} times, in vain",
                deadline.as_secs_f32()
            ),
        }
        sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}
