//! A database that nothing has been done to yet, and commands of the worker for it.

use bemi_tests::{Cluster, Output, TestDatabase, WorkerCommand, shared_cluster};
use tokio_postgres::Client;
use tokio_postgres::types::FromSqlOwned;

/// A database of its own, with a slot name of its own.
pub(crate) struct Fresh {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

impl Fresh {
    pub(crate) async fn new(schema: &str) -> Self {
        Self::on(shared_cluster(), schema).await
    }

    pub(crate) async fn on(cluster: &Cluster, schema: &str) -> Self {
        let database = TestDatabase::create(cluster).await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute(schema).await.unwrap();
        Self { database, client }
    }

    /// A command of the worker, as the superuser.
    pub(crate) fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        self.worker_at(&self.database.url(), arguments)
    }

    /// A command of the worker at another URL.
    pub(crate) fn worker_at(&self, url: &str, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", url)
            .env("BEMI_SLOT", self.database.slot_name())
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        self.worker(arguments).run_to_end().await.assert_code(0).stdout
    }

    /// Runs a command that must fail with this exit code and say all of this, in one error.
    pub(crate) async fn refused(&self, arguments: &[&str], code: i32, says: &[&str]) -> Output {
        says_all(self.worker(arguments).run_to_end().await.assert_code(code), says)
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn value<T: FromSqlOwned>(&self, sql: &str) -> T {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// What is published: `publication: schema.table, …`, one line each.
    pub(crate) async fn published(&self, publication: &str) -> Vec<String> {
        self.value(&format!(
            "SELECT coalesce(array_agg(schemaname || '.' || tablename \
                 ORDER BY schemaname, tablename), '{{}}') \
             FROM pg_publication_tables WHERE pubname = '{publication}'"
        ))
        .await
    }
}

/// Checks that the standard error is one error that says all of this, and no panic.
pub(crate) fn says_all(output: Output, says: &[&str]) -> Output {
    for expected in says {
        assert!(output.stderr.contains(expected), "no {expected:?} in\n{output}");
    }
    let errors = output.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
    output
}
