//! A relay before the server that holds back answers, so that a call can be cancelled at each of its await points.
//!
//! Invariant: an answer arrives only while the call that waits for it is suspended. So each round trip is such a point, every time,
//! however fast the server is.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Answers of the server are cut into pieces of that size, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// A relay to a server on this machine, which listens as long as the runtime runs.
pub(crate) struct Relay {
    port: u16,
    passes: watch::Sender<bool>,
}

impl Relay {
    /// A relay to the server on `server_port`, through which everything passes.
    pub(crate) async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passes, gate) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
                tokio::spawn(relay(client, server, gate.clone()));
            }
        });
        Self { port, passes }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Polls a call `polls` times, each time after it was woken, and drops it. True if it was done by then.
    pub(crate) async fn cancelled_after(
        &self,
        polls: usize,
        call: impl Future<Output = ()>,
    ) -> bool {
        let mut call = pin!(call);
        let mut done = false;
        for _ in 0..polls {
            let mut polled = false;
            self.passes.send_replace(false);
            done = poll_fn(|context| {
                if polled {
                    return Poll::Ready(false);
                }
                polled = true;
                let result = call.as_mut().poll(context).map(|()| true);
                self.passes.send_replace(true);
                result
            })
            .await;
            if done {
                break;
            }
        }
        done
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, mut gate: watch::Receiver<bool>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answers = async {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = from_server.read(&mut piece).await {
            // Without a sender the case is over.
            let _ = gate.wait_for(|passes| *passes).await;
            if to_client.write_all(&piece[..length]).await.is_err() {
                break;
            }
        }
    };
    // Whichever side closes, the other one is closed too.
    tokio::select! {
        () = answers => {}
        _ = copy(&mut from_client, &mut to_server) => {}
    }
}
