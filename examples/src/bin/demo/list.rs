//! The todo list, served for as long as the demo lasts.

use std::net::{Ipv4Addr, SocketAddr};

use bemi_examples::{Result, todo};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The list, listening. It ends when it is dropped.
pub(crate) struct List {
    task: JoinHandle<std::io::Result<()>>,
    server: SocketAddr,
}

impl List {
    /// Serves the list of the database at `url`, on a free port of 127.0.0.1.
    pub(crate) async fn serve(url: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = listener.local_addr()?;
        let app = todo::after::app(PgPool::connect(url).await?);
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { task, server })
    }

    /// Where it listens.
    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }
}

impl Drop for List {
    fn drop(&mut self) {
        self.task.abort();
    }
}
