//! Statements that their caller declares to be writes, because their text does not say so.
//!
//! `SELECT transfer(1, 2)` changes rows if the function does, and no text tells. Where a list of names
//! ([`Settings::write_functions`](crate::Settings::write_functions)) is not enough, the call itself says it.
//!
//! Like a scope, the declaration is a thread-local that is swapped in at every poll. Unlike a scope it is not carried to other
//! tasks: it is about the statements of one call.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

thread_local! {
    static DECLARED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `future`, in which every query counts as a write, whatever its text says.
///
/// ```
/// # async fn select_transfer() {}
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// use bemi_core::{Context, with_context, write};
///
/// with_context(Context::new().with("user_id", 42), async {
///     write(async {
///         // SELECT transfer($1, $2)
///         select_transfer().await
///     })
///     .await
/// })
/// .await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Cancellation
///
/// Cancelling it cancels the future inside, and leaves nothing behind.
pub fn write<F: Future>(future: F) -> Write<F> {
    Write { future }
}

/// Runs `code`, in which every query counts as a write: [`write()`] for blocking code.
///
/// ```
/// # fn select_transfer() -> u32 { 1 }
/// use bemi_core::write_sync;
///
/// let id = write_sync(|| select_transfer());
/// # assert_eq!(id, 1);
/// ```
pub fn write_sync<R>(code: impl FnOnce() -> R) -> R {
    let _declared = Declared::begin();
    code()
}

/// Whether queries count as writes here.
pub(crate) fn declared() -> bool {
    DECLARED.try_with(Cell::get).unwrap_or(false)
}

pin_project! {
    /// A future in which every query counts as a write.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Write<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Write<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _declared = Declared::begin();
        self.project().future.poll(cx)
    }
}

/// Puts back what was declared before when it is dropped.
struct Declared {
    before: bool,
}

impl Declared {
    fn begin() -> Self {
        // The thread-local is gone while a thread ends: nothing is declared then.
        Self { before: DECLARED.try_with(|declared| declared.replace(true)).unwrap_or(false) }
    }
}

impl Drop for Declared {
    fn drop(&mut self) {
        let _ = DECLARED.try_with(|declared| declared.set(self.before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_ends_with_its_code_even_by_a_panic() {
        assert!(!declared());
        assert!(write_sync(declared));
        let caught = std::panic::catch_unwind(|| write_sync(|| panic!("on purpose")));
        assert!(caught.is_err());
        assert!(!declared());
    }

    #[tokio::test]
    async fn joined_futures_on_one_thread_do_not_see_each_other() {
        let reads = async {
            tokio::task::yield_now().await;
            declared()
        };
        let writes = write(async {
            tokio::task::yield_now().await;
            declared()
        });
        assert_eq!(tokio::join!(writes, reads), (true, false));
        assert!(!declared());
    }
}
