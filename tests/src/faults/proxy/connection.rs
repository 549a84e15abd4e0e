//! One connection through the proxy: two pumps, and what may befall them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Condition, Direction, Network, Order, Which};

/// What is read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How many chunks are on their way in one direction. More than that wait in the sockets.
const CHUNKS_ON_THE_WAY: usize = 64;

/// Slow networks pass this much of a second's bytes at once.
const SLICES_PER_SECOND: u32 = 20;

/// What a client says first, where it wants to replicate: a name in the startup packet.
const REPLICATION: &[u8] = b"\0replication\0";

/// The client's end, and the network that it is in.
pub(super) struct Connection {
    client: TcpStream,
    network: watch::Receiver<Network>,
    /// The number of the last order before it was opened.
    obeyed: u64,
}

/// Bytes on their way; none is the end of what one side says.
struct Chunk {
    read_at: Instant,
    bytes: Vec<u8>,
}

/// How a pump, or the connection, ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    /// Bytes are lost: it must not look as if all had been said.
    Reset(Direction),
}

impl Connection {
    pub(super) fn new(client: TcpStream, network: watch::Receiver<Network>) -> Self {
        let obeyed = network.borrow().order.0;
        Self { client, network, obeyed }
    }

    /// Passes bytes until a side closes the connection, or it is told to end.
    pub(super) async fn run(self, server_port: u16) {
        let Self { mut client, network, obeyed } = self;
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", server_port)).await else {
            // Nobody is there: that is told as it would be without a proxy, or nearly so.
            let _ = client.set_zero_linger();
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        match pass(&mut client, &mut server, &network, obeyed).await {
            End::Closed => {}
            End::Reset(Direction::Both) => {
                let _ = client.set_zero_linger();
                let _ = server.set_zero_linger();
            }
            End::Reset(Direction::ToClient) => {
                let _ = client.set_zero_linger();
                drop(client);
                swallow_until_healed(server, network).await;
            }
            End::Reset(Direction::ToServer) => {
                let _ = server.set_zero_linger();
                drop(server);
                swallow_until_healed(client, network).await;
            }
        }
    }
}

/// Passes bytes in both directions. Once a side is done, so is the connection.
async fn pass(
    client: &mut TcpStream,
    server: &mut TcpStream,
    network: &watch::Receiver<Network>,
    obeyed: u64,
) -> End {
    let (stranded, is_stranded) = watch::channel(false);
    let (kind, is_replication) = watch::channel(None);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let pump = |direction| Pump {
        direction,
        network: network.clone(),
        stranded: is_stranded.clone(),
        has_swallowed: false,
    };
    tokio::select! {
        end = pump(Direction::ToServer).run(from_client, to_server, Some(kind)) => end,
        end = pump(Direction::ToClient).run(from_server, to_client, None) => end,
        end = obey(network.clone(), obeyed, &stranded, &is_replication) => end,
    }
}

/// Waits for orders that concern the connection.
async fn obey(
    mut network: watch::Receiver<Network>,
    mut obeyed: u64,
    stranded: &watch::Sender<bool>,
    is_replication: &watch::Receiver<Option<bool>>,
) -> End {
    loop {
        let order = match network.wait_for(|network| network.order.0 != obeyed).await {
            Ok(network) => network.order,
            // The proxy is gone.
            Err(_) => return End::Closed,
        };
        obeyed = order.0;
        match order.1 {
            Order::GoOn => {}
            Order::Close => return End::Closed,
            Order::Reset(towards) => return End::Reset(towards),
            Order::Strand(which) => {
                let is_replication = is_replication.borrow().unwrap_or(false);
                let is_meant = match which {
                    Which::All => true,
                    Which::Replication => is_replication,
                    Which::Queries => !is_replication,
                };
                if is_meant {
                    stranded.send_replace(true);
                }
            }
        }
    }
}

/// Bytes in one direction.
struct Pump {
    direction: Direction,
    network: watch::Receiver<Network>,
    stranded: watch::Receiver<bool>,
    has_swallowed: bool,
}

impl Pump {
    async fn run(
        mut self,
        from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        kind: Option<watch::Sender<Option<bool>>>,
    ) -> End {
        let (chunks, mut on_the_way) = mpsc::channel(CHUNKS_ON_THE_WAY);
        let writing = async {
            loop {
                let chunk = tokio::select! {
                    chunk = on_the_way.recv() => chunk,
                    () = self.passes_again(), if self.has_swallowed => None,
                };
                let passed = match &chunk {
                    Some(chunk) => self.pass_on(chunk, &mut to).await?,
                    None => false,
                };
                if !passed {
                    return Ok(End::Reset(Direction::Both));
                }
                if chunk.is_some_and(|chunk| chunk.bytes.is_empty()) {
                    return Ok::<_, io::Error>(End::Closed);
                }
            }
        };
        // Whoever reads has told the other one when there is no more.
        let reading = async {
            read(from, chunks, kind).await;
            std::future::pending().await
        };
        let end = tokio::select! {
            end = writing => end,
            end = reading => end,
        };
        end.unwrap_or(End::Closed)
    }

    /// Writes a chunk when the network lets it. Returns whether the connection can go on behind it.
    async fn pass_on(&mut self, chunk: &Chunk, to: &mut WriteHalf<'_>) -> io::Result<bool> {
        let mut left = chunk.bytes.as_slice();
        loop {
            if *self.stranded.borrow() {
                self.has_swallowed = true;
                if !chunk.bytes.is_empty() {
                    return Ok(true);
                }
                // Nobody will ever know that this side has ended.
                std::future::pending::<()>().await;
            }
            match self.condition() {
                Condition::HalfOpen => {
                    self.has_swallowed = true;
                    if !chunk.bytes.is_empty() {
                        return Ok(true);
                    }
                    self.changed().await;
                }
                _ if self.has_swallowed => return Ok(false),
                Condition::Latency(latency) if chunk.read_at + latency > Instant::now() => {
                    tokio::select! {
                        () = sleep_until(chunk.read_at + latency) => {}
                        () = self.changed() => {}
                    }
                }
                Condition::BytesPerSecond(rate) => {
                    let slice = (rate / SLICES_PER_SECOND).max(1);
                    let slice = left.len().min(usize::try_from(slice).unwrap_or(usize::MAX));
                    let (now, later) = left.split_at(slice);
                    to.write_all(now).await?;
                    left = later;
                    if left.is_empty() {
                        sleep(Duration::from_secs(1) / SLICES_PER_SECOND).await;
                        return Ok(true);
                    }
                    tokio::select! {
                        () = sleep(Duration::from_secs(1) / SLICES_PER_SECOND) => {}
                        () = self.changed() => {}
                    }
                }
                Condition::Well | Condition::Latency(_) => {
                    to.write_all(left).await?;
                    return Ok(true);
                }
            }
        }
    }

    fn condition(&self) -> Condition {
        let network = self.network.borrow();
        if self.direction == Direction::ToServer { network.to_server } else { network.to_client }
    }

    /// Waits until what is said would arrive again.
    async fn passes_again(&mut self) {
        while *self.stranded.borrow() || self.condition() == Condition::HalfOpen {
            self.changed().await;
        }
    }

    /// Waits until the network, or what the connection is told, is another.
    async fn changed(&mut self) {
        // Without a sender the proxy is gone, and the connection with it.
        tokio::select! {
            _ = self.network.changed() => {}
            _ = self.stranded.changed() => {}
        }
    }
}

/// Reads until the other side has said everything.
async fn read(
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<Chunk>,
    mut kind: Option<watch::Sender<Option<bool>>>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if let Some(kind) = kind.take_if(|_| bytes.len() > REPLICATION.len()) {
            let asks = bytes.windows(REPLICATION.len()).any(|part| part == REPLICATION);
            kind.send_replace(Some(asks));
        }
        let chunk = Chunk { read_at: Instant::now(), bytes };
        if chunks.send(chunk).await.is_err() || length == 0 {
            return;
        }
    }
}

/// Keeps one end open, and takes what it says, until the network is healed.
async fn swallow_until_healed(mut end: TcpStream, mut network: watch::Receiver<Network>) {
    let healed = network.borrow().healed;
    let mut buffer = vec![0; CHUNK_BYTES];
    tokio::select! {
        _ = network.wait_for(|network| network.healed != healed) => {}
        () = async { while !matches!(end.read(&mut buffer).await, Ok(0) | Err(_)) {} } => {}
    }
    let _ = end.set_zero_linger();
}
