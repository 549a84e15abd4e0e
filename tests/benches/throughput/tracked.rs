//! A database of its own for a measurement, with the table `todo`, set up by the worker as its users do it.

use bemi_tests::{Cluster, TestDatabase, WorkerCommand};
use tokio_postgres::Client;

use crate::Result;

/// A database whose table `todo` is tracked, with whole old rows.
pub(crate) struct Tracked<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

impl<'a> Tracked<'a> {
    /// Makes the database, runs the statements in it, and sets it up.
    pub(crate) async fn create(cluster: &'a Cluster, schema: &str) -> Result<Self> {
        let database = TestDatabase::create(cluster).await?;
        let client = database.connect().await?;
        client.batch_execute(schema).await?;
        let tracked = Self { cluster, database, client };
        let arguments = ["setup", "--tables", "todo", "--replica-identity", "full"];
        tracked.worker(&arguments).run_to_end().await.assert_code(0);
        Ok(tracked)
    }

    /// The worker with these arguments, told which database and slot.
    pub(crate) fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.database.url())
            .env("BEMI_SLOT", self.database.slot_name())
    }

    /// Writes out what is dirty, so that no measurement pays for what came before it.
    pub(crate) async fn settle(&self) -> Result<()> {
        Ok(self.client.batch_execute("CHECKPOINT").await?)
    }
}
