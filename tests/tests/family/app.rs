//! A small application that runs, and what it is asked.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bemi_tests::Tracked;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::http;

/// How long an application may take until it says its port.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How to run an application: `python app.py`, with the tracked database.
pub(crate) struct Program {
    pub(crate) interpreter: PathBuf,
    pub(crate) script: PathBuf,
}

/// An application that serves. It ends with its standard input, so also when this process is gone.
pub(crate) struct App {
    _child: Child,
    port: u16,
}

impl Program {
    /// Runs the application's own migrations.
    pub(crate) async fn migrate(&self, tracked: &Tracked) {
        let output = self.command(tracked, "migrate").output().await.unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts it.
    pub(crate) async fn serve(&self, tracked: &Tracked) -> App {
        let mut child = self
            .command(tracked, "serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(START_DEADLINE, lines.next_line()).await;
        let port = line.expect("it says its port in time").unwrap();
        let port = port.expect("it did not end before it served").trim().parse().unwrap();
        App { _child: child, port }
    }

    fn command(&self, tracked: &Tracked, what: &str) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .arg(&self.script)
            .arg(what)
            .current_dir(self.script.parent().unwrap())
            .env("DATABASE_URL", tracked.database.url())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null());
        command
    }
}

impl App {
    /// A request with a context that the application's middleware is to set.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        context: &Value,
        body: &Value,
    ) -> Value {
        http::request(self.port, method, path, context, body).await
    }
}
