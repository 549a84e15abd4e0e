//! Scopes: the stretch of code in which a context is ambient.
//!
//! A scope is carried by a thread-local that is swapped in at every poll of a future and out
//! again after it, so asynchronous code sees it across `.await`, and blocking code that runs
//! inside a poll sees it too. It does not cross [`tokio::spawn`] or
//! [`tokio::task::spawn_blocking`] by itself; [`spawn`], [`spawn_blocking`] and
//! [`ContextFutureExt::in_current_context`] carry it.
//!
//! Scopes nest: a scope's context is that of the one around it, merged with its own fields, which
//! win. Fields that are added to an outer scope later are seen inside.
//!
//! Invariant: after every poll, also one that panics, the thread's scope is what it was before.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

use crate::Context;

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Runs `future` in a new scope with `context`, inside the scope around it, if there is one.
///
/// ```
/// use bemi_core::{Context, current_context, with_context};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// with_context(Context::new().with("job", "billing"), async {
///     with_context(Context::new().with("step", 2), async {
///         let context = current_context().unwrap();
///         assert_eq!(context, Context::new().with("job", "billing").with("step", 2));
///     })
///     .await;
/// })
/// .await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn with_context<F: Future>(context: impl Into<Context>, future: F) -> InScope<F> {
    Scope::new(context).run(future)
}

/// Runs `code` in a new scope with `context`: [`with_context`] for blocking code.
///
/// ```
/// use bemi_core::{Context, current_context, with_context_sync};
///
/// let seen = with_context_sync(Context::new().with("script", "import"), current_context);
/// assert_eq!(seen, Some(Context::new().with("script", "import")));
/// assert_eq!(current_context(), None);
/// ```
pub fn with_context_sync<R>(context: impl Into<Context>, code: impl FnOnce() -> R) -> R {
    Scope::new(context).enter(code)
}

/// The context of the running scope, merged with those around it; `None` outside any scope.
#[must_use]
pub fn current_context() -> Option<Context> {
    Scope::current().map(|scope| scope.context())
}

/// Adds fields to the running scope, such as the user after authentication. Writes that follow in
/// this scope, in tasks that carry it and in scopes inside it have them.
///
/// Returns `false`, and does nothing, outside any scope.
///
/// ```
/// use bemi_core::{Context, add_context, current_context, with_context_sync};
///
/// with_context_sync(Context::new().with("endpoint", "/todos"), || {
///     assert!(add_context([("user_id", 42)]));
///     assert_eq!(current_context().unwrap().get("user_id"), Some(&42.into()));
/// });
/// assert!(!add_context([("user_id", 42)]));
/// ```
pub fn add_context(fields: impl Into<Context>) -> bool {
    match Scope::current() {
        Some(scope) => {
            scope.add(fields);
            true
        }
        None => false,
    }
}

/// [`tokio::spawn`], in the scope that is current here.
///
/// The task shares the scope: what one side [adds](add_context), the other sees.
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::spawn`] does.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.in_current_context())
}

/// [`tokio::task::spawn_blocking`], in the scope that is current here.
///
/// ```
/// use bemi_core::{Context, current_context, spawn_blocking, with_context};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let context = Context::new().with("user_id", 1);
/// let seen = with_context(context.clone(), async { spawn_blocking(current_context).await }).await;
/// assert_eq!(seen.unwrap(), Some(context));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::task::spawn_blocking`] does.
pub fn spawn_blocking<R, C>(code: C) -> JoinHandle<R>
where
    C: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let scope = Scope::current();
    tokio::task::spawn_blocking(move || {
        let _entered = Entered::swap_in(scope);
        code()
    })
}

/// A scope, to be kept and entered elsewhere: in a thread of one's own, or for the body of a
/// response that is written after the handler has returned.
///
/// Clones are the same scope.
///
/// ```
/// use bemi_core::{Context, Scope, current_context};
///
/// let scope = Scope::new(Context::new().with("user_id", 1));
/// let seen = std::thread::spawn({
///     let scope = scope.clone();
///     move || scope.enter(current_context)
/// });
/// assert_eq!(seen.join().unwrap(), Some(scope.context()));
/// ```
#[derive(Clone, Debug)]
pub struct Scope(Arc<Node>);

#[derive(Debug)]
struct Node {
    around: Option<Scope>,
    fields: Mutex<Context>,
}

impl Scope {
    /// A new scope, inside the one that is current here, if there is one. It is current only where
    /// it is [entered](Self::enter) or [run](Self::run).
    #[must_use]
    pub fn new(context: impl Into<Context>) -> Self {
        let fields = Mutex::new(context.into());
        Self(Arc::new(Node { around: Self::current(), fields }))
    }

    /// The scope that is current here.
    #[must_use]
    pub fn current() -> Option<Self> {
        // The thread-local is gone while a thread ends: there is no scope then.
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// The context: the fields of the scopes around this one, then its own, which win.
    #[must_use]
    pub fn context(&self) -> Context {
        let mut context = match &self.0.around {
            Some(around) => around.context(),
            None => return self.fields().clone(),
        };
        context.merge(self.fields().clone());
        context
    }

    /// Adds fields to this scope.
    pub fn add(&self, fields: impl Into<Context>) {
        let fields = fields.into();
        self.fields().merge(fields);
    }

    /// Runs blocking code in this scope.
    pub fn enter<R>(&self, code: impl FnOnce() -> R) -> R {
        let _entered = Entered::swap_in(Some(self.clone()));
        code()
    }

    /// Runs a future in this scope.
    pub fn run<F: Future>(&self, future: F) -> InScope<F> {
        InScope { scope: Some(self.clone()), future: Some(future) }
    }

    fn fields(&self) -> MutexGuard<'_, Context> {
        // Nothing that can panic runs under the lock but the allocator; the fields are whole.
        self.0.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scopes for futures, in method form.
pub trait ContextFutureExt: Future + Sized {
    /// This future, run in the scope that is current now, wherever it is polled later.
    ///
    /// ```
    /// use bemi_core::{Context, ContextFutureExt, current_context, with_context};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let context = Context::new().with("user_id", 1);
    /// let task = with_context(context.clone(), async {
    ///     tokio::spawn(async { current_context() }.in_current_context())
    /// })
    /// .await;
    /// assert_eq!(task.await.unwrap(), Some(context));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    fn in_current_context(self) -> InScope<Self> {
        InScope { scope: Scope::current(), future: Some(self) }
    }

    /// [`with_context`], in method form.
    fn with_context(self, context: impl Into<Context>) -> InScope<Self> {
        with_context(context, self)
    }
}

impl<F: Future> ContextFutureExt for F {}

pin_project! {
    /// A future that runs in a scope. Cancelling it cancels the future inside; the scope leaves
    /// nothing behind.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InScope<F> {
        scope: Option<Scope>,
        // Some until it is dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for InScope<F> {
        /// What the future's own values do when they are dropped, they do in the scope.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = Entered::swap_in(this.scope.clone());
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for InScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = Entered::swap_in(this.scope.clone());
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// Puts the scope that was current back when it is dropped.
struct Entered {
    before: Option<Scope>,
}

impl Entered {
    fn swap_in(scope: Option<Scope>) -> Self {
        Self { before: swap(scope) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(swap(self.before.take()));
    }
}

fn swap(scope: Option<Scope>) -> Option<Scope> {
    CURRENT.try_with(|current| current.replace(scope)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(id: u32) -> Context {
        Context::new().with("user_id", id)
    }

    #[test]
    fn there_is_no_context_outside_a_scope() {
        assert_eq!(current_context(), None);
        assert!(!add_context(user(1)));
    }

    #[test]
    fn an_inner_scope_ends_with_its_code_and_leaves_the_outer_one() {
        with_context_sync(user(1), || {
            with_context_sync(user(2).with("inner", true), || {
                assert_eq!(current_context(), Some(user(2).with("inner", true)));
            });
            assert_eq!(current_context(), Some(user(1)));
        });
        assert_eq!(current_context(), None);
    }

    #[test]
    fn fields_added_to_the_outer_scope_are_seen_inside_and_do_not_beat_inner_ones() {
        let outer = Scope::new(user(1));
        outer.enter(|| {
            let inner = Scope::new(user(2));
            outer.add([("tenant", "a")]);
            outer.add(user(3));
            assert_eq!(inner.context(), user(2).with("tenant", "a"));
        });
    }

    #[test]
    fn a_panic_in_a_scope_leaves_the_thread_without_it() {
        let caught =
            std::panic::catch_unwind(|| with_context_sync(user(1), || panic!("on purpose")));
        assert!(caught.is_err());
        assert_eq!(current_context(), None);
    }

    #[tokio::test]
    async fn plain_spawn_loses_the_scope_and_ours_carries_it() {
        with_context(user(1), async {
            assert_eq!(tokio::spawn(async { current_context() }).await.unwrap(), None);
            assert_eq!(tokio::task::spawn_blocking(current_context).await.unwrap(), None);
            assert_eq!(spawn(async { current_context() }).await.unwrap(), Some(user(1)));
            assert_eq!(spawn_blocking(current_context).await.unwrap(), Some(user(1)));
        })
        .await;
    }

    #[tokio::test]
    async fn a_spawned_task_shares_the_scope() {
        with_context(user(1), async {
            spawn(async { add_context([("added", true)]) }).await.unwrap();
            assert_eq!(current_context(), Some(user(1).with("added", true)));
        })
        .await;
    }

    #[tokio::test]
    async fn a_future_made_outside_a_scope_hides_the_one_that_it_is_polled_in() {
        let outside = async { current_context() }.in_current_context();
        assert_eq!(with_context(user(1), outside).await, None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_thousand_tasks_that_change_threads_each_keep_their_own() {
        let tasks: Vec<_> = (0..1000)
            .map(|id| {
                tokio::spawn(with_context(user(id), async move {
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                        assert_eq!(current_context(), Some(user(id)));
                    }
                }))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(current_context(), None);
    }

    #[tokio::test]
    async fn a_cancelled_scope_leaves_nothing_behind() {
        let never = with_context(user(1), std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
        assert_eq!(current_context(), None);
    }

    /// As a guard does that writes down that a request was cancelled.
    #[tokio::test]
    async fn what_a_cancelled_future_drops_is_dropped_in_the_scope() {
        struct Guard(std::sync::mpsc::Sender<Option<Context>>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.send(current_context()).unwrap();
            }
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let guard = Guard(sender);
        let cancelled = with_context(user(1), async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), cancelled).await.is_err());
        assert_eq!(receiver.recv().unwrap(), Some(user(1)));
        assert_eq!(current_context(), None);
    }

    #[tokio::test]
    async fn joined_futures_on_one_thread_do_not_see_each_other() {
        let one = with_context(user(1), async {
            tokio::task::yield_now().await;
            current_context()
        });
        let two = with_context(user(2), async {
            tokio::task::yield_now().await;
            current_context()
        });
        assert_eq!(tokio::join!(one, two), (Some(user(1)), Some(user(2))));
    }
}
