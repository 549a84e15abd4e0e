//! Where a case plays: a schema and a pool of its own, in the one database that all cases of a driver share, with the real worker at
//! work on it.
//!
//! The case's schema is the search path of all of its connections, so that every case can have its own `todo`.

use std::sync::Arc;
use std::time::Duration;

use bemi_core::Settings;
use bemi_tests::{PgBouncer, Relay, eventually};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::driver::{Driver, Opening};
use crate::drivers::Registered;
use crate::journal::Journal;
use crate::servers::Servers;
use crate::stored::Stored;
use crate::tracked::Tracked;

/// How long what was cancelled may go on in the server.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// How far the standby may be behind.
const REPLAYED_WITHIN: Duration = Duration::from_secs(60);

/// How many connections the pool of a case has.
const CONNECTIONS: u32 = 5;

/// All cases of one driver on one version: their database, made when the first of them runs.
pub(crate) struct Group {
    registered: &'static Registered,
    servers: Arc<Servers>,
    tracked: OnceCell<Arc<Tracked>>,
}

/// What a case has to play with. A table `todo (id int PRIMARY KEY, task text)` is there, and is empty.
pub(crate) struct Stage {
    /// With the default settings, of five connections.
    pub(crate) driver: Arc<dyn Driver>,
    /// A plain connection, for looking on and for what others do.
    pub(crate) client: Client,
    /// The schema of the case, which has its name.
    pub(crate) schema: &'static str,
    registered: &'static Registered,
    servers: Arc<Servers>,
    tracked: Arc<Tracked>,
}

impl Group {
    pub(crate) fn new(registered: &'static Registered, servers: Arc<Servers>) -> Self {
        Self { registered, servers, tracked: OnceCell::new() }
    }

    pub(crate) async fn stage(&self, case: &'static str) -> Stage {
        let cluster = self.servers.cluster().await;
        let tracked =
            self.tracked.get_or_init(async || Arc::new(Tracked::new(cluster).await)).await;
        let client = tracked.database.connect().await.unwrap();
        client
            .batch_execute(&format!(
                "CREATE SCHEMA {case}; SET search_path = {case}; \
                 CREATE TABLE todo (id int PRIMARY KEY, task text)"
            ))
            .await
            .unwrap();
        let opening = opening(&tracked.database.url(), case);
        Stage {
            driver: (self.registered.open)(opening).await.unwrap(),
            client,
            schema: case,
            registered: self.registered,
            servers: Arc::clone(&self.servers),
            tracked: Arc::clone(tracked),
        }
    }
}

impl Stage {
    /// How this case's driver is opened.
    pub(crate) fn opening(&self) -> Opening {
        opening(&self.tracked.database.url(), self.schema)
    }

    pub(crate) async fn open(&self, opening: Opening) -> Arc<dyn Driver> {
        (self.registered.open)(opening).await.unwrap()
    }

    /// The driver with other settings.
    pub(crate) async fn with_settings(&self, settings: Settings) -> Arc<dyn Driver> {
        self.open(Opening { settings, ..self.opening() }).await
    }

    /// The driver on sessions with this setting of the server's.
    pub(crate) async fn with_server_setting(&self, name: &str, value: &str) -> Arc<dyn Driver> {
        let opening = self.opening();
        let url = format!("{}%20-c{name}%3D{value}", opening.url);
        self.open(Opening { url, ..opening }).await
    }

    /// The driver with a single connection.
    pub(crate) async fn with_one_connection(&self) -> Arc<dyn Driver> {
        self.open(Opening { connections: 1, ..self.opening() }).await
    }

    /// The driver with a single connection, through a relay.
    pub(crate) async fn behind_relay(&self) -> (Arc<dyn Driver>, Relay) {
        let relay = Relay::start(self.servers.cluster().await).await;
        let opening = self.opening();
        let url = relay.url(&opening.url);
        (self.open(Opening { url, connections: 1, ..opening }).await, relay)
    }

    /// Runs a text as somebody who knows nothing of contexts.
    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// The rows of a query of one text column, as anybody sees them who looks now.
    pub(crate) async fn look(&self, sql: &str) -> Vec<Option<String>> {
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What is in the table `todo`, as `id task`.
    pub(crate) async fn todos(&self) -> Vec<String> {
        let rows = self.look("SELECT id || ' ' || task FROM todo ORDER BY id").await;
        rows.into_iter().map(Option::unwrap).collect()
    }

    /// What is in `changes` of this case's tables, in commit order, once all is stored that was committed so far.
    pub(crate) async fn stored(&self) -> Vec<Stored> {
        self.transactions().await.into_iter().flatten().collect()
    }

    /// The same, by transaction.
    pub(crate) async fn transactions(&self) -> Vec<Vec<Stored>> {
        self.tracked.wait_until_stored(&self.client).await;
        let rows = self
            .client
            .query(
                "SELECT \"table\", operation, before, after, context, commit_position FROM public.changes \
                 WHERE schema = $1 ORDER BY commit_position, sequence",
                &[&self.schema],
            )
            .await
            .unwrap();
        let rows: Vec<(i64, Stored)> = rows
            .iter()
            .map(|row| {
                let stored = Stored {
                    table: row.get(0),
                    operation: row.get(1),
                    before: row.get(2),
                    after: row.get(3),
                    context: row.get(4),
                };
                (row.get(5), stored)
            })
            .collect();
        rows.chunk_by(|one, next| one.0 == next.0)
            .map(|transaction| transaction.iter().map(|(_, stored)| stored.clone()).collect())
            .collect()
    }

    /// Waits until no connection of this case runs anything or is inside a transaction.
    pub(crate) async fn settled(&self) {
        let open = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = $1 AND state <> 'idle'";
        eventually(SETTLED_WITHIN, "all transactions of the case to end", async || {
            let count: i64 = self.client.query_one(open, &[&self.schema]).await.unwrap().get(0);
            (count == 0).then_some(())
        })
        .await;
    }

    /// Another plain connection.
    pub(crate) async fn another_client(&self) -> Client {
        let client = self.tracked.database.connect().await.unwrap();
        client.batch_execute(&format!("SET search_path = {}", self.schema)).await.unwrap();
        client
    }

    /// Waits until a connection of this case waits for a lock.
    pub(crate) async fn waits_for_a_lock(&self) {
        let waiting = "SELECT FROM pg_stat_activity \
                       WHERE datname = current_database() AND application_name = $1 AND wait_event_type = 'Lock'";
        eventually(SETTLED_WITHIN, "a connection of the case to wait for a lock", async || {
            let rows = self.client.query(waiting, &[&self.schema]).await.unwrap();
            (!rows.is_empty()).then_some(())
        })
        .await;
    }

    /// Kills the server's side of all connections of this case.
    pub(crate) async fn kill_backends(&self) {
        let kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = $1";
        let killed = self.client.query(kill, &[&self.schema]).await.unwrap();
        assert!(killed.iter().all(|row| row.get(0)), "a backend outlives its end");
    }

    /// The name of the database, which no other driver or version has.
    pub(crate) fn database(&self) -> &str {
        self.tracked.database.name()
    }

    /// A look at the messages that are committed from now on.
    pub(crate) async fn journal(&self) -> Journal<'_> {
        let slot = self.tracked.database.unique_name(self.schema);
        // Longer names of slots are refused, those of schemas are not.
        Journal::open(&self.client, slot.chars().take(60).collect()).await
    }

    /// The driver behind PgBouncer, on a pool of 20, and the PgBouncer. The search path does not get through. None where this
    /// machine has no PgBouncer.
    pub(crate) async fn behind_bouncer(
        &self,
        settings: Settings,
    ) -> Option<(Arc<dyn Driver>, PgBouncer)> {
        let bouncer = self.servers.bouncer().await?;
        let url = bouncer.url(self.tracked.database.name());
        let opening = Opening {
            connections: 20,
            settings,
            named_statements: false,
            ..opening(&url, self.schema)
        };
        Some((self.open(opening).await, bouncer))
    }

    /// The driver on a hot standby that has replayed all that was committed so far.
    pub(crate) async fn on_standby(&self) -> Arc<dyn Driver> {
        let standby = self.servers.standby().await;
        let position = self.look("SELECT pg_current_wal_lsn()::text").await.remove(0).unwrap();
        let replica = standby.connect("postgres").await.unwrap();
        eventually(REPLAYED_WITHIN, "the standby to catch up", async || {
            let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
            replica.query_one(&replayed, &[]).await.unwrap().get::<_, bool>(0).then_some(())
        })
        .await;
        let url = standby.url(self.tracked.database.name());
        self.open(opening(&url, self.schema)).await
    }
}

fn opening(url: &str, case: &str) -> Opening {
    // The name tells whose a connection is. The options are last, for more to be appended.
    let url = format!("{url}?application_name={case}&options=-csearch_path%3D{case}");
    Opening { url, connections: CONNECTIONS, settings: Settings::new(), named_statements: true }
}
