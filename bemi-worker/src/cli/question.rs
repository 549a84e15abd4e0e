//! A question to whoever sits at the terminal.

use std::io::{self, BufRead as _, Write as _};

use crate::WorkerError;

/// Whether the answer is yes. Nothing said is no.
///
/// # Cancellation
/// Whoever was asked may still answer, and nobody listens.
pub(super) async fn agreed(what: &str) -> Result<bool, WorkerError> {
    let mut asking = io::stderr();
    write!(asking, "{what}? [y/N] ")?;
    asking.flush()?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await.map_err(|_| WorkerError::Interrupted)??;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
