//! A network with latency, made on the loopback interface of one machine.
//!
//! ```text
//!  client ─▶ reader ─(chunk, due time)─▶ writer ─▶ server        and the same the other way
//! ```
//!
//! Every chunk of bytes arrives that much later, whatever comes before or after it: what a client pipelines stays pipelined,
//! and a conversation of several round trips pays for each of them. It also counts these round trips, which no noise disturbs.
//!
//! Invariant: bytes arrive in the order in which they were sent, and none is lost before its side has ended.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Chunks that may be under way in one direction of a connection; then the sender waits, as on a real network.
const CHUNKS_MAX: usize = 1024;

/// The size of a chunk, at most.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Sleeping ends late by some tens of microseconds; the last stretch before a chunk is due is waited for awake.
const AWAKE: Duration = Duration::from_micros(150);

/// A port on the loopback interface that leads to the server's, with latency. It lasts as long as the process.
#[derive(Debug)]
pub(crate) struct Network {
    port: u16,
    turns: Arc<Turns>,
}

/// Counts how often the client speaks after the server has spoken.
#[derive(Debug, Default)]
struct Turns {
    server_spoke: AtomicBool,
    count: AtomicU64,
}

impl Network {
    /// Listens, and delays what passes by `one_way`, in each direction.
    ///
    /// # Errors
    /// When the system gives no port.
    pub(crate) fn before(server_port: u16, one_way: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let turns = Arc::new(Turns::default());
        let network = Self { port, turns: Arc::clone(&turns) };
        thread::spawn(move || {
            for client in listener.incoming() {
                // A connection that cannot be made is closed, which its client is told by the system.
                let _ = client.and_then(|client| connect(client, server_port, one_way, &turns));
            }
        });
        Ok(network)
    }

    /// Where clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many round trips there have been. It means something where one client speaks at a time.
    pub(crate) fn round_trips(&self) -> u64 {
        self.turns.count.load(Ordering::Relaxed)
    }
}

fn connect(
    client: TcpStream,
    server_port: u16,
    one_way: Duration,
    turns: &Arc<Turns>,
) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = (client.try_clone()?, client);
    let (from_server, to_server) = (server.try_clone()?, server);
    let (client_spoke, server_spoke) = (Arc::clone(turns), Arc::clone(turns));
    carry(from_client, to_server, one_way, move || client_spoke.client_spoke());
    carry(from_server, to_client, one_way, move || server_spoke.server_spoke());
    Ok(())
}

/// Carries bytes from one side to the other, by two threads that end when either side does.
fn carry(from: TcpStream, to: TcpStream, one_way: Duration, spoke: impl Fn() + Send + 'static) {
    let (sender, receiver) = sync_channel(CHUNKS_MAX);
    thread::spawn(move || read(from, &sender, one_way, spoke));
    thread::spawn(move || write(to, &receiver));
}

/// A chunk of bytes, and when it arrives.
type Chunk = (Instant, Vec<u8>);

fn read(mut from: TcpStream, chunks: &SyncSender<Chunk>, one_way: Duration, spoke: impl Fn()) {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let due = Instant::now() + one_way;
        spoke();
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if chunks.send((due, bytes)).is_err() {
            break;
        }
    }
}

fn write(mut to: TcpStream, chunks: &Receiver<Chunk>) {
    for (due, bytes) in chunks {
        wait_until(due);
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other side learns of the end after all that was sent before it. If it is gone already, so much the better.
    let _ = to.shutdown(Shutdown::Write);
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        match left.checked_sub(AWAKE) {
            Some(asleep) => thread::sleep(asleep),
            None if left.is_zero() => return,
            None => std::hint::spin_loop(),
        }
    }
}

impl Turns {
    fn client_spoke(&self) {
        if self.server_spoke.swap(false, Ordering::Relaxed) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn server_spoke(&self) {
        self.server_spoke.store(true, Ordering::Relaxed);
    }
}
