//! A relay before the server that can hold back answers, change what clients say, and count round trips.
//!
//! Invariant: while [`Relay::cancelled_after`] polls a call, no answer arrives. So each round trip is a place where the call is
//! suspended and can be cancelled, every time, however fast the server is.
//!
//! In a runtime of one thread this is so by itself: the relay runs in the same thread, and not while a future is being polled.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::WriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::{Cluster, cancelled_after};

/// Larger than anything that is to be changed, so that it is seen as a whole.
const SAID_BYTES: usize = 64 * 1024;

/// Answers of the server are cut into pieces of that size.
const ANSWER_BYTES: usize = 16 * 1024;

/// A relay to a cluster, which listens as long as the runtime runs.
///
/// # Examples
/// ```no_run
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_tests::{Relay, TestDatabase, shared_cluster};
///
/// let database = TestDatabase::create(shared_cluster()).await?;
/// let relay = Relay::start(shared_cluster()).await;
/// let url = relay.url(&database.url());
/// // … connect to `url`, and then:
/// relay.round_trips();
/// // … do something, and say how often it waited for the server:
/// assert_eq!(relay.round_trips(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Relay {
    port: u16,
    server_port: u16,
    passes: watch::Sender<bool>,
    round_trips: Arc<AtomicUsize>,
}

impl Relay {
    /// A relay through which everything passes.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::changing(cluster, |_| {}).await
    }

    /// A relay that lets `change` change what clients say.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn changing(cluster: &Cluster, change: fn(&mut [u8])) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server_port = cluster.port();
        let (passes, gate) = watch::channel(true);
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&round_trips);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
                tokio::spawn(relay(client, server, gate.clone(), Arc::clone(&counter), change));
            }
        });
        Self { port, server_port, passes, round_trips }
    }

    /// The URL through the relay to where `direct` leads without it.
    ///
    /// # Panics
    /// When `direct` does not lead to the relay's cluster.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        let (server, relay) = (format!(":{}/", self.server_port), format!(":{}/", self.port));
        assert!(direct.contains(&server), "the relay is to another server");
        direct.replace(&server, &relay)
    }

    /// How many round trips there were since this was asked last: how often a client said something after the server had answered.
    pub fn round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::Relaxed)
    }

    /// As [`cancelled_after`], in a runtime of any number of threads.
    pub async fn cancelled_after(&self, polls: usize, call: impl Future<Output = ()>) -> bool {
        let mut call = pin!(call);
        let without_answers = poll_fn(|context| {
            self.passes.send_replace(false);
            let polled = call.as_mut().poll(context);
            self.passes.send_replace(true);
            polled
        });
        cancelled_after(polls, without_answers).await
    }
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    mut gate: watch::Receiver<bool>,
    round_trips: Arc<AtomicUsize>,
    change: fn(&mut [u8]),
) {
    let (mut from_client, to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answered = AtomicBool::new(true);
    let said = async {
        let mut buffer = vec![0; SAID_BYTES];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if answered.swap(false, Ordering::Relaxed) {
                round_trips.fetch_add(1, Ordering::Relaxed);
            }
            let Some(said) = buffer.get_mut(..length) else { break };
            change(said);
            if to_server.write_all(said).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; ANSWER_BYTES];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            answered.store(true, Ordering::Relaxed);
            let Some(answer) = buffer.get(..length) else { break };
            if pass_on(answer, &to_client, &mut gate).await.is_err() {
                break;
            }
        }
    };
    // Whichever side closes, the other one is closed too.
    tokio::select! {
        () = said => {}
        () = answers => {}
    }
}

/// Writes while the gate is open. It cannot be closed in the middle of it, which would let an answer arrive while a call is polled.
async fn pass_on(
    mut answer: &[u8],
    to_client: &WriteHalf<'_>,
    gate: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    while !answer.is_empty() {
        to_client.writable().await?;
        // Whoever closes the gate waits until this is dropped. Without a sender the test is over, and nobody does.
        let open = gate.wait_for(|passes| *passes).await;
        match to_client.try_write(answer) {
            Ok(length) => answer = answer.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        drop(open);
    }
    Ok(())
}
