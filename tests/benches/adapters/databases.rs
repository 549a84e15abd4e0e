//! The two databases that are written to: one whose table is tracked, and one whose table has an audit trigger.

use bemi_core::Context;
use bemi_tests::{Cluster, TestDatabase};

use crate::Result;
use crate::work::{NOTE, ROWS};

const TRACKED: &str = include_str!("tracked.sql");
const AUDITED: &str = include_str!("audited.sql");

/// Databases with the same rows in the same table.
#[derive(Debug)]
pub(crate) struct Databases {
    /// Plain libraries and ours write here.
    pub(crate) tracked: TestDatabase,
    /// Plain libraries write here, and a trigger keeps it.
    pub(crate) audited: TestDatabase,
}

impl Databases {
    /// Makes and fills both.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn create(cluster: &Cluster) -> Result<Self> {
        let tracked = TestDatabase::create(cluster).await?;
        let audited = TestDatabase::create(cluster).await?;
        fill(&tracked, TRACKED).await?;
        fill(&audited, AUDITED).await?;
        Ok(Self { tracked, audited })
    }

    /// Removes both.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn close(self) -> Result<()> {
        self.tracked.close().await?;
        self.audited.close().await?;
        Ok(())
    }
}

/// The context of a request. The trigger has it too, from a setting that costs it nothing: every session begins with it.
pub(crate) fn context() -> Context {
    Context::new()
        .with("user_id", 187)
        .with("method", "PATCH")
        .with("endpoint", "/todos/complete")
        .with("request_id", "8a1b0c52-6f0e-4c46-9f7e-0d4f6e1f6f55")
        .with("version", "2026.11.3")
}

async fn fill(database: &TestDatabase, schema: &str) -> Result<()> {
    let client = database.connect().await?;
    let context = serde_json::to_string(&context())?;
    let name = database.name();
    client.batch_execute(&format!("ALTER DATABASE {name} SET audit.context = '{context}'")).await?;
    // Only a new session has that.
    let client = database.connect().await?;
    client.batch_execute(schema).await?;
    let rows = "INSERT INTO todo (task, note) SELECT 'task ' || id, $1 FROM generate_series(1::bigint, $2) AS id";
    client.execute(rows, &[&NOTE, &ROWS]).await?;
    client.batch_execute("VACUUM ANALYZE todo").await?;
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}
