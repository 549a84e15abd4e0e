//! The thread that a recording runs in: the worker, and the sessions that ask and revert.
//!
//! It has a runtime of its own, so that it goes on while a test blocks its thread, and so that there can be something
//! asynchronous to do when a recording is dropped.
//!
//! Invariant: the worker has ended before anything is removed.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bemi_core::record::{Changes, LIMIT_MAX, Record, ReversibleSet, RevertOptions, Selection};
use bemi_core::{Change, CommitPosition};
use bemi_worker::WorkerError;
use bemi_worker::config::RunOptions;
use bemi_worker::connect::Session;
use bemi_worker::pipeline;
use bemi_worker::setup::SetupOptions;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::Error;
use crate::installation::Installation;

/// How long to wait until what was committed is stored.
const STORED_WITHIN: Duration = Duration::from_secs(60);

/// How long dropping a recording may take.
const REMOVED_WITHIN: Duration = Duration::from_secs(30);

/// The recording's own thread. Dropping it takes everything back, as far as it can.
pub(crate) struct Background {
    /// None only while it is being dropped.
    runtime: Option<Runtime>,
    running: Option<Arc<Running>>,
}

/// What runs in it.
pub(crate) struct Running {
    installation: Installation,
    sessions: Mutex<Sessions>,
    stop: watch::Sender<bool>,
    worker: watch::Receiver<Worker>,
}

/// What has become of the worker.
#[derive(Clone)]
enum Worker {
    Runs,
    Ended(Result<(), Arc<WorkerError>>),
}

/// Two connections, since a question may be about both the record and the rows as they are.
struct Sessions {
    record: Session,
    rows: Session,
    /// From where the rows were brought back, the last time last.
    ahead: Vec<CommitPosition>,
}

impl Background {
    /// Sets the database up and lets the worker run.
    pub(crate) async fn start(url: &str, options: SetupOptions) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bemi-testing")
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let mut background = Self { runtime: Some(runtime), running: None };
        let url = url.to_owned();
        let running = background.run(async move { Running::start(&url, &options).await }).await?;
        background.running = Some(Arc::new(running));
        Ok(background)
    }

    /// Does something with what runs.
    pub(crate) async fn with<T, F>(
        &self,
        action: impl FnOnce(Arc<Running>) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match &self.running {
            Some(running) => self.run(action(Arc::clone(running))).await,
            None => Err(ended()),
        }
    }

    /// Ends the worker, and takes everything back.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.with(|running| async move { running.end().await }).await?;
        self.running = None;
        Ok(())
    }

    async fn run<T, F>(&self, future: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else { return Err(ended()) };
        match runtime.spawn(future).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Thread(error.into())),
        }
    }
}

fn ended() -> Error {
    Error::Thread(std::io::Error::other("it has ended"))
}

impl Drop for Background {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        if let Some(running) = self.running.take() {
            // Best effort: the next recording of this database takes away what is left. In a thread, since this one may be
            // driving the test's runtime, which is no place to wait in.
            let remover = thread::spawn(move || {
                let _ = runtime.block_on(async { timeout(REMOVED_WITHIN, running.end()).await });
                runtime.shutdown_background();
            });
            let _ = remover.join();
        } else {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    async fn start(url: &str, options: &SetupOptions) -> Result<Self, Error> {
        let installation = Installation::make(url, options).await?;
        let sessions = match Sessions::open(&installation).await {
            Ok(sessions) => Mutex::new(sessions),
            Err(error) => return Err(taken_back(&installation, error).await),
        };
        let (stop, shutdown) = watch::channel(false);
        let (tell, worker) = watch::channel(Worker::Runs);
        let config = installation.config.clone();
        tokio::spawn(async move {
            let ended = pipeline::run(&config, RunOptions::new(), shutdown).await;
            // Nobody listens where the recording is gone.
            let _ = tell.send(Worker::Ended(ended.map(drop).map_err(Arc::new)));
        });
        let running = Self { installation, sessions, stop, worker };
        // From here on, it is known to store.
        if let Err(error) = running.stored().await {
            running.stop_worker().await;
            return Err(taken_back(&running.installation, error).await);
        }
        Ok(running)
    }

    /// Waits until everything that was committed by now is stored. Tells where that ends.
    pub(crate) async fn stored(&self) -> Result<CommitPosition, Error> {
        self.caught_up(&mut *self.sessions.lock().await).await
    }

    /// What was committed behind that position, when everything that was committed by now is stored.
    pub(crate) async fn changes_since(
        &self,
        position: CommitPosition,
    ) -> Result<Vec<Change>, Error> {
        let mut sessions = self.sessions.lock().await;
        let end = self.caught_up(&mut sessions).await?;
        let mut record = self.record(&mut sessions.record);
        let mut changes =
            Changes::new().behind(position).up_to(end).oldest_first().limit(LIMIT_MAX);
        let mut all = Vec::new();
        loop {
            let mut page = record.changes(&changes).await?;
            all.append(&mut page.items);
            match page.next {
                Some(next) => changes = changes.after(next),
                None => return Ok(all),
            }
        }
    }

    /// Brings the rows back to how they were at that position.
    pub(crate) async fn roll_back_to(&self, position: CommitPosition) -> Result<(), Error> {
        let mut sessions = self.sessions.lock().await;
        let before = self.return_to(position, &mut sessions).await?;
        sessions.ahead.push(before);
        Ok(())
    }

    /// Brings the rows back to how they were before the last time.
    pub(crate) async fn forward(&self) -> Result<(), Error> {
        let mut sessions = self.sessions.lock().await;
        let ahead = sessions.ahead.last().copied().ok_or(Error::NothingAhead)?;
        self.return_to(ahead, &mut sessions).await?;
        sessions.ahead.pop();
        Ok(())
    }

    /// Tells where it was before.
    async fn return_to(
        &self,
        position: CommitPosition,
        sessions: &mut Sessions,
    ) -> Result<CommitPosition, Error> {
        let end = self.caught_up(sessions).await?;
        let Sessions { record, rows, .. } = sessions;
        let set = self.record(record).reverse(&Selection::After(position)).await?;
        let failed = |doing| move |source| Error::Database { doing, source };
        rows.client().batch_execute("BEGIN").await.map_err(failed("begin to roll back"))?;
        if let Err(error) = undo(&set, rows).await {
            // A connection that is lost has rolled back by itself.
            let _ = rows.client().batch_execute("ROLLBACK").await;
            return Err(error);
        }
        rows.client()
            .batch_execute("COMMIT")
            .await
            .map_err(failed("commit what was rolled back"))?;
        Ok(end)
    }

    async fn caught_up(&self, sessions: &mut Sessions) -> Result<CommitPosition, Error> {
        let mut worker = self.worker.clone();
        let mut record = self.record(&mut sessions.record);
        tokio::select! {
            end = record.catch_up(&mut sessions.rows) => Ok(CommitPosition(end?)),
            error = stopped(&mut worker) => Err(error),
        }
    }

    fn record<'s>(&self, session: &'s mut Session) -> Record<&'s mut Session> {
        Record::new(session)
            .in_schema(&self.installation.config.changes_schema)
            .waiting(STORED_WITHIN)
    }

    async fn end(&self) -> Result<(), Error> {
        self.stop_worker().await;
        self.installation.remove().await
    }

    async fn stop_worker(&self) {
        let _ = self.stop.send(true);
        let mut worker = self.worker.clone();
        // Also where it ended by itself: what it could not store matters no more.
        let _ = worker.wait_for(|worker| matches!(worker, Worker::Ended(_))).await;
    }
}

impl Sessions {
    async fn open(installation: &Installation) -> Result<Self, Error> {
        Ok(Self {
            record: installation.session().await?,
            rows: installation.session().await?,
            ahead: Vec::new(),
        })
    }
}

/// Takes back what was made. The error that came first says why.
async fn taken_back(installation: &Installation, error: Error) -> Error {
    let _ = installation.remove().await;
    error
}

/// Takes the changes back, all or none.
async fn undo(set: &ReversibleSet, rows: &mut Session) -> Result<(), Error> {
    let options = RevertOptions::new().reason("bemi-testing");
    let plan = set.plan(rows, &options).await?;
    plan.apply(rows).await?;
    Ok(())
}

/// Waits until the worker ends, which it should not.
async fn stopped(worker: &mut watch::Receiver<Worker>) -> Error {
    let last = worker.wait_for(|worker| matches!(worker, Worker::Ended(_))).await;
    match last.as_deref() {
        Ok(Worker::Ended(Err(source))) => Error::Stopped { source: Arc::clone(source) },
        _ => ended(),
    }
}
