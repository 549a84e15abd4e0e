//! Where the server is, as its clients see it: behind a Unix socket, or behind a network.

use std::fmt;
use std::time::{Duration, Instant};

use bemi_tests::{Cluster, TestDatabase};
use tokio_postgres::NoTls;

use crate::Result;
use crate::network::Network;

/// Round trips that are looked at to tell how long one takes.
const PROBES: u32 = 200;

/// A way to the server.
#[derive(Debug)]
pub(crate) struct Place {
    kind: Kind,
    host: String,
    port: u16,
    network: Option<Network>,
}

/// Which way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The Unix socket of the server.
    Socket,
    /// TCP with this latency added to a round trip.
    Network(Duration),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("on a Unix socket"),
            Self::Network(latency) => {
                write!(f, "with {} ms of network latency", latency.as_secs_f64() * 1e3)
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Place {
    /// The server's Unix socket.
    pub(crate) fn socket(cluster: &Cluster) -> Self {
        let host = cluster.socket_dir().display().to_string();
        Self { kind: Kind::Socket, host, port: cluster.port(), network: None }
    }

    /// A network before the server, which adds `latency` to a round trip.
    ///
    /// # Errors
    /// When the system gives no port.
    pub(crate) fn network(cluster: &Cluster, latency: Duration) -> Result<Self> {
        let network = Network::before(cluster.port(), latency / 2)?;
        Ok(Self {
            kind: Kind::Network(latency),
            host: "127.0.0.1".to_owned(),
            port: network.port(),
            network: Some(network),
        })
    }

    /// Which way it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The URL of a database, as all libraries read it.
    pub(crate) fn url(&self, database: &TestDatabase) -> String {
        let Self { host, port, .. } = self;
        format!("postgres:///{}?user=postgres&host={host}&port={port}", database.name())
    }

    /// How many round trips there have been, where that is known.
    pub(crate) fn round_trips(&self) -> Option<u64> {
        self.network.as_ref().map(Network::round_trips)
    }

    /// How long a round trip takes that asks the server nothing: the median.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn round_trip_time(&self, database: &TestDatabase) -> Result<Duration> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await?;
        tokio::spawn(connection);
        let mut times = Vec::new();
        for _ in 0..PROBES {
            let started = Instant::now();
            client.batch_execute("").await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default())
    }
}
