//! A random workload on tables whose truth is written by triggers.
//!
//! Several clients run transactions at the same time, directly at the source: whatever befalls the worker's networks does not befall
//! them. One more alters the tables. What fails, by a deadlock or since the server is gone, is rolled back and forgotten: neither
//! truth nor WAL has it.
//!
//! Each client's transactions follow from the seed. How they meet, and how many there are, does not.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod statements;

use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error, NoTls};

/// The tables.
pub const WORKLOAD_SCHEMA: &str = include_str!("workload/tables.sql");

/// Their names.
pub const WORKLOAD_TABLES: [&str; 5] = ["account", "item", "device", "entry", "reading"];

/// What setup is told of them.
pub const WORKLOAD_SETUP: [&str; 4] =
    ["--tables", "account,item,device,entry,reading", "--replica-identity", "full:account,reading"];

/// How long a transaction may take, whatever becomes of the server.
const TRANSACTION_MAX: Duration = Duration::from_secs(20);

/// How long to wait before a server that was away is asked again.
const CONNECT_PAUSE: Duration = Duration::from_millis(25);

/// A client thinks for up to so many milliseconds between two transactions.
const PAUSE_MILLIS_MAX: u64 = 6;

/// Whoever alters tables thinks for so many milliseconds at least, and at most twice as long.
const MIGRATION_PAUSE_MILLIS: u64 = 250;

/// Clients at work. Dropping it stops them in the middle of what they do.
///
/// # Examples
/// ```no_run
/// # async fn example(url: String) {
/// use bemi_tests::faults::Workload;
///
/// let workload = Workload::start(url, 7, 4);
/// // … something happens, and then:
/// let committed = workload.finish().await;
/// assert!(committed > 0);
/// # }
/// ```
#[derive(Debug)]
pub struct Workload {
    stop: watch::Sender<bool>,
    clients: JoinSet<u64>,
}

impl Workload {
    /// Sets `clients` clients to work, and one that alters tables, in the database at `url`, which has [`WORKLOAD_SCHEMA`] and
    /// [`Truth`](super::Truth).
    #[must_use]
    pub fn start(url: String, seed: u64, clients: u32) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for client in 0..=clients {
            let rng = Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(u64::from(client)));
            let alters = client == clients;
            tasks.spawn(work(url.clone(), rng, client, alters, stopped.clone()));
        }
        Self { stop, clients: tasks }
    }

    /// Lets each client end its transaction. Returns how many transactions committed; a few more may have, whose answer was lost.
    ///
    /// # Panics
    /// When a client did.
    pub async fn finish(mut self) -> u64 {
        self.stop.send_replace(true);
        let mut committed = 0;
        while let Some(client) = self.clients.join_next().await {
            committed += client.unwrap();
        }
        committed
    }
}

async fn work(
    url: String,
    mut rng: Rng,
    client: u32,
    alters: bool,
    mut stop: watch::Receiver<bool>,
) -> u64 {
    let mut session: Option<Client> = None;
    let mut committed = 0;
    for number in 1.. {
        if *stop.borrow() {
            break;
        }
        let statements = if alters {
            statements::migration(&mut rng, number)
        } else {
            statements::transaction(&mut rng, client, number)
        };
        let pause = if alters {
            MIGRATION_PAUSE_MILLIS + rng.u64(0..MIGRATION_PAUSE_MILLIS)
        } else {
            rng.u64(0..PAUSE_MILLIS_MAX)
        };
        let open = match session.take().filter(|session| !session.is_closed()) {
            Some(open) => open,
            None => match timeout(TRANSACTION_MAX, tokio_postgres::connect(&url, NoTls)).await {
                Ok(Ok((open, connection))) => {
                    tokio::spawn(connection);
                    open
                }
                _ => {
                    sleep(CONNECT_PAUSE).await;
                    continue;
                }
            },
        };
        match timeout(TRANSACTION_MAX, run(&open, &statements)).await {
            Ok(is_committed) => {
                committed += u64::from(is_committed);
                session = Some(open);
            }
            // Nobody knows where it stands.
            Err(_) => drop(open),
        }
        let _ = timeout(Duration::from_millis(pause), stop.wait_for(|stop| *stop)).await;
    }
    committed
}

/// Runs a transaction. Returns whether it was committed.
async fn run(session: &Client, statements: &[String]) -> bool {
    for statement in statements {
        if let Err(error) = session.batch_execute(statement).await {
            assert!(is_expected(&error), "the workload itself is wrong: {statement}: {error:?}");
            let _ = session.batch_execute("ROLLBACK").await;
            return false;
        }
    }
    statements.last().is_some_and(|end| end == "COMMIT")
}

/// Whether it is one of those that clients bring upon each other, or of a server that goes away.
fn is_expected(error: &Error) -> bool {
    error.code().is_none_or(|code| {
        let code = code.code();
        // Out of range, unique violation, deadlock and its like, lock timeout, a statement that was cancelled, all of shutdown and
        // start; and the cached row type of a trigger that a migration has outrun.
        matches!(
            code,
            "22003" | "23505" | "40P01" | "40001" | "55P03" | "XX000" | "42704" | "0A000"
        ) || code.starts_with("57")
            || code.starts_with("08")
    })
}
