//! A backlog: changes that are made before anybody reads them, and held by the slot that setup made.

use crate::Result;
use crate::options::Options;
use crate::tracked::Tracked;

/// The table that is worked on, and the procedure that does it.
const SCHEMA: &str = include_str!("backlog.sql");

/// A database with a backlog.
pub(crate) struct Backlog<'a> {
    pub(crate) tracked: Tracked<'a>,
    changes: u32,
    /// The WAL position behind the backlog.
    end: String,
}

impl<'a> Backlog<'a> {
    pub(crate) async fn make(
        cluster: &'a bemi_tests::Cluster,
        options: &Options,
    ) -> Result<Backlog<'a>> {
        let tracked = Tracked::create(cluster, SCHEMA).await?;
        let client = &tracked.client;
        // Only here: what is made is the same, and made sooner.
        client.batch_execute("SET synchronous_commit = off").await?;
        // Alone, since a procedure that commits must not run in anybody's transaction.
        let (changes, rows) = (options.changes, options.rows_per_transaction);
        client.batch_execute(&format!("CALL make_backlog({changes}, {rows})")).await?;
        let end = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await?.get(0);
        // pg_recvlogical ends when it is sent something from behind the end; messages of others mean nothing to the worker.
        client
            .batch_execute(
                "SELECT pg_logical_emit_message(false, 'end', '') FROM generate_series(1, 2); \
                 RESET synchronous_commit",
            )
            .await?;
        Ok(Self { tracked, changes, end })
    }

    /// The WAL position behind the backlog.
    pub(crate) fn end(&self) -> &str {
        &self.end
    }

    /// Makes sure that each change was stored once, as what it was and with a context.
    pub(crate) async fn verify(&self) -> Result<()> {
        let row = self
            .tracked
            .client
            .query_one(
                "SELECT count(*), count(DISTINCT (commit_position, sequence)), \
                     count(*) FILTER (WHERE operation = 'CREATE' AND before = '{}' AND after ? 'note'), \
                     count(*) FILTER (WHERE operation = 'UPDATE' AND before ? 'note' AND after ? 'note'), \
                     count(*) FILTER (WHERE operation = 'DELETE' AND before ? 'note' AND after = '{}'), \
                     count(*) FILTER (WHERE context ? 'request_id' AND before_complete) \
                 FROM changes",
                &[],
            )
            .await?;
        let stored: [i64; 6] = [0, 1, 2, 3, 4, 5].map(|column| row.get(column));
        // As the procedure makes them.
        let made = |of: std::ops::Range<u32>| {
            i64::try_from((1..=self.changes).filter(|change| of.contains(&(change % 10))).count())
        };
        let all = i64::from(self.changes);
        let wanted = [all, all, made(0..6)?, made(6..9)?, made(9..10)?, all];
        if stored == wanted {
            return Ok(());
        }
        Err(format!(
            "the worker stored something else than was changed; changes, distinct ones, inserts, updates, deletes and those \
             with a context were {wanted:?}, stored were {stored:?}"
        )
        .into())
    }
}
