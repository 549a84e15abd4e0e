//! A network between the worker and a server that can be made bad, and well again.
//!
//! ```text
//!  worker ──▶ listener ──▶ pump ToServer ──▶ server
//!         ◀───────────── pump ToClient ◀────
//! ```
//!
//! It runs in a thread of its own: a test may block, as it does while a server is stopped, and the network goes on.
//!
//! Invariant: no connection ever goes on with bytes missing. One whose bytes were swallowed can end, and nothing else, as with any
//! TCP.
//!
//! A [`Relay`](crate::Relay) is something else: it answers to the polls of one future, in the runtime of the test, and breaks nothing.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking: the loopback interface has room for one more listener"
)]

mod connection;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use self::connection::Connection;
use crate::Cluster;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// From the worker to the server.
    ToServer,
    /// From the server to the worker.
    ToClient,
    /// Both ways.
    Both,
}

/// How the network is, in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Everything passes at once.
    #[default]
    Well,
    /// Everything passes, that much later, in order.
    Latency(Duration),
    /// That many bytes pass in a second.
    BytesPerSecond(u32),
    /// Everything is swallowed, the end of a connection too, and nobody is told: a cable was pulled. A connection
    /// that has lost something is reset once this is over.
    HalfOpen,
}

/// Which of the connections that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// All of them.
    All,
    /// Those in replication mode.
    Replication,
    /// All others.
    Queries,
}

/// A proxy to one server. Once it is dropped, so are its connections.
///
/// # Examples
/// ```no_run
/// # async fn example() {
/// use std::time::Duration;
/// use bemi_tests::faults::{Condition, Direction, Proxy};
/// use bemi_tests::{Tracked, shared_cluster};
///
/// let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
/// let network = Proxy::to(shared_cluster());
/// let url = network.url(&tracked.database.url());
/// let worker = tracked.worker(&["run"]).env("DATABASE_URL", url).spawn();
/// network.set(Direction::ToClient, Condition::Latency(Duration::from_millis(50)));
/// network.reset(Direction::Both);
/// network.heal();
/// # drop(worker);
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    server_port: u16,
    network: watch::Sender<Network>,
    open: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection obeys.
#[derive(Clone, Copy, Debug, Default)]
struct Network {
    to_server: Condition,
    to_client: Condition,
    /// New connections are reset as soon as they are there.
    is_cut: bool,
    /// Counts healings: who waits for one looks whether there was one more.
    healed: u64,
    /// What happened last to connections that were open, numbered, so that each obeys it once.
    order: (u64, Order),
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, Default)]
enum Order {
    #[default]
    GoOn,
    /// Ends as connections end.
    Close,
    /// Ends with RST towards one side or both; the other one is told nothing.
    Reset(Direction),
    /// Is half-open from now on, and for good.
    Strand(Which),
}

impl Proxy {
    /// A proxy to a cluster. It leads there again after the cluster was restarted.
    #[must_use]
    pub fn to(cluster: &Cluster) -> Self {
        let server_port = cluster.port();
        let (network, obeyed) = watch::channel(Network::default());
        let open = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let counter = Arc::clone(&open);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, server_port, obeyed, counter) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { port, server_port, network, open, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL through the proxy to where `direct` leads without it.
    ///
    /// # Panics
    /// When `direct` does not lead to the proxy's cluster.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        let (server, proxy) = (format!(":{}/", self.server_port), format!(":{}/", self.port));
        assert!(direct.contains(&server), "the proxy is to another server");
        direct.replace(&server, &proxy)
    }

    /// How many connections are open, those among them that lead nowhere.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Makes the network so, for the connections that are open and for those to come. What is on its way is no exception.
    pub fn set(&self, direction: Direction, condition: Condition) {
        self.network.send_modify(|network| {
            if direction != Direction::ToClient {
                network.to_server = condition;
            }
            if direction != Direction::ToServer {
                network.to_client = condition;
            }
        });
    }

    /// Ends every connection, and those to come at once, until [`Self::heal`].
    pub fn cut(&self) {
        self.network.send_modify(|network| network.is_cut = true);
        self.order(Order::Close);
    }

    /// Resets every connection towards a side. The other side is told nothing, and what it sends is swallowed, until
    /// [`Self::heal`]. New connections pass.
    pub fn reset(&self, towards: Direction) {
        self.order(Order::Reset(towards));
    }

    /// Makes connections that are open half-open, for good: [`Self::heal`] does not help them. New ones pass. So it is where a
    /// firewall has forgotten them.
    pub fn strand(&self, which: Which) {
        self.order(Order::Strand(which));
    }

    /// Makes the network well in both directions.
    pub fn heal(&self) {
        self.network.send_modify(|network| {
            network.to_server = Condition::Well;
            network.to_client = Condition::Well;
            network.is_cut = false;
            network.healed += 1;
        });
    }

    fn order(&self, order: Order) {
        self.network.send_modify(|network| network.order = (network.order.0 + 1, order));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: TcpListener,
    server_port: u16,
    network: watch::Receiver<Network>,
    open: Arc<AtomicUsize>,
) {
    loop {
        // Too many open files, or a client that is gone already.
        let Ok((client, _)) = listener.accept().await else { continue };
        if network.borrow().is_cut {
            let _ = client.set_zero_linger();
            continue;
        }
        let connection = Connection::new(client, network.clone());
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            open.fetch_add(1, Ordering::Relaxed);
            connection.run(server_port).await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
