//! The servers of one major version of PostgreSQL, started when they are first asked for.

use bemi_tests::{Cluster, ClusterOptions, PgBouncer, Wanted};
use tokio::sync::OnceCell;

/// How many server connections a PgBouncer has: fewer than its clients, so that they share them.
const BOUNCER_CONNECTIONS: u32 = 2;

pub(crate) struct Servers {
    major: u32,
    // Before the cluster that it replays, so that it is stopped first.
    standby: OnceCell<Cluster>,
    cluster: OnceCell<Cluster>,
}

impl Servers {
    pub(crate) fn new(major: u32) -> Self {
        Self { major, standby: OnceCell::new(), cluster: OnceCell::new() }
    }

    /// The cluster that all drivers share.
    pub(crate) async fn cluster(&self) -> &Cluster {
        self.cluster
            .get_or_init(async || {
                let options = ClusterOptions::new().wanted(Wanted::Major(self.major));
                Cluster::start(&options).unwrap()
            })
            .await
    }

    /// Its hot standby.
    pub(crate) async fn standby(&self) -> &Cluster {
        self.standby.get_or_init(async || self.cluster().await.standby().await.unwrap()).await
    }

    /// A PgBouncer before it; none where this machine has none.
    pub(crate) async fn bouncer(&self) -> Option<PgBouncer> {
        if !PgBouncer::can_be_had() {
            return None;
        }
        Some(PgBouncer::start(self.cluster().await, BOUNCER_CONNECTIONS).await.unwrap())
    }
}
