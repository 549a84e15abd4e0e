//! A relay before the server, in the test's own thread.
//!
//! An answer can only come while the future that waits for it is suspended: so each round trip is a place to cancel it, every time,
//! and what a future sends at once is on its way before any of it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bemi_tests::shared_cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;

/// Larger than anything that is sent here at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// A relay that listens as long as the test runs.
pub(crate) struct Relay {
    /// That of the test's database through it.
    pub(crate) url: String,
    round_trips: Arc<AtomicUsize>,
}

impl Relay {
    pub(crate) async fn start(app: &App) -> Self {
        Self::changing(app, |_| {}).await
    }

    /// A relay that lets `change` change what clients say.
    pub(crate) async fn changing(app: &App, change: fn(&mut [u8])) -> Self {
        let server = ("127.0.0.1", shared_cluster().port());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&round_trips);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                tokio::spawn(relay(client, server, Arc::clone(&counter), change));
            }
        });
        let direct = app.database.url();
        let url = direct.replace(&format!(":{}/", server.1), &format!(":{port}/"));
        assert_ne!(url, direct);
        Self { url, round_trips }
    }

    /// How many there were since this was asked last: how often a client said something after the server had answered.
    pub(crate) fn round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::Relaxed)
    }
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    round_trips: Arc<AtomicUsize>,
    change: fn(&mut [u8]),
) {
    let (mut from_client, mut from_server) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut answered = true;
    loop {
        let (to, data) = tokio::select! {
            read = client.read(&mut from_client) => {
                if std::mem::take(&mut answered) {
                    round_trips.fetch_add(1, Ordering::Relaxed);
                }
                change(&mut from_client);
                (&mut server, read.map(|length| &from_client[..length]))
            }
            read = server.read(&mut from_server) => {
                answered = true;
                (&mut client, read.map(|length| &from_server[..length]))
            }
        };
        match data {
            Ok(data) if !data.is_empty() && to.write_all(data).await.is_ok() => {}
            // One has hung up, and with this the other one does.
            _ => return,
        }
    }
}
