//! Looks for new tables at intervals, where no event trigger tracks them as they are made.
//!
//! It never ends the worker: what goes wrong here is told, and tried again.

use tracing::{debug, info, warn};

use crate::config::Config;
use crate::error::WorkerError;
use crate::setup::{Followed, Follower, LOOK_INTERVAL};

/// Looks until it is dropped, or there is nothing to look for.
pub(super) async fn follow(config: Config) {
    let mut session = None;
    // What is wrong is said once, not with every look.
    let mut told = None;
    loop {
        match look(session.take(), &config).await {
            Ok((_, Followed::ByEventTrigger)) => return,
            Ok((follower, Followed::Steps(steps))) => {
                for step in steps {
                    info!(step, "followed the schema; what is written there from now on is stored");
                }
                session = Some(follower);
                told = None;
            }
            // The worker itself will have met it, and says so.
            Err(error) if error.is_transient() => debug!(%error, "cannot look for new tables"),
            Err(error) => {
                let cause = error.to_string();
                if told.as_ref() != Some(&cause) {
                    warn!(
                        cause,
                        "new tables may not be tracked; run `bemi-worker setup` after adding any"
                    );
                    told = Some(cause);
                }
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn look(
    session: Option<Follower>,
    config: &Config,
) -> Result<(Follower, Followed), WorkerError> {
    let follower = match session {
        Some(follower) => follower,
        None => Follower::connect(config).await?,
    };
    follower.look(config).await
}
