//! The task beside the flow that keeps to the retention, and makes partitions ahead.
//!
//! It never ends the worker, and shares no connection with it: what goes wrong here is told, and tried
//! again.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::{Report, maintain};
use crate::config::{Config, Retention};
use crate::error::WorkerError;
use crate::partitions::Maintenance;
use crate::rate_limited::RateLimited;

/// How often it looks. Partitions are made days ahead.
const INTERVAL: Duration = Duration::from_secs(60);

/// Looks until it is dropped.
pub(crate) async fn keep(config: Config, retention: Option<Retention>) {
    let ill = RateLimited::default();
    let mut told = Vec::new();
    loop {
        match look(&config, retention).await {
            Ok(report) => {
                if ill.over().is_some() {
                    info!("partitions and retention are looked after again");
                }
                tell(report, &mut told);
            }
            Err(error) if error.is_transient() => {
                debug!(%error, "cannot look after partitions now");
            }
            Err(error) => {
                let cause = error.to_string();
                // What one may not do now, one may not do in a minute.
                if !told.contains(&cause) && ill.say().is_some() {
                    warn!(cause, "cannot look after partitions and retention; storing goes on");
                    told = vec![cause];
                }
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Does what there is to do, unless somebody else is at it.
async fn look(config: &Config, retention: Option<Retention>) -> Result<Report, WorkerError> {
    match Maintenance::open(config).await? {
        Some(session) => maintain(session, config, retention).await,
        None => Ok(Report::default()),
    }
}

/// What was done is told, and what waits, once.
fn tell(report: Report, told: &mut Vec<String>) {
    for step in report.steps {
        info!(step, "retention");
    }
    for why in &report.postponed {
        if !told.contains(why) {
            info!(why, "left for later");
        }
    }
    *told = report.postponed;
}
