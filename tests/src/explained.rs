//! A connection that shows how the server answers each question.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use bemi_worker::connect::Session;
use tokio_postgres::types::{ToSql, Type};

/// A connection that has the server explain each question before it answers it.
///
/// # Examples
/// ```no_run
/// # async fn example(client: tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_core::record::{Changes, Record};
/// use bemi_tests::Explained;
///
/// let mut explained = Explained::new(client, "COSTS OFF");
/// Record::new(&mut explained).changes(&Changes::new()).await?;
/// assert!(explained.plan().contains("changes_commit_position_idx"));
/// # Ok(())
/// # }
/// ```
pub struct Explained {
    session: Session,
    options: &'static str,
    plan: String,
}

impl Explained {
    /// The connection, with what EXPLAIN has in its parentheses.
    #[must_use]
    pub fn new(client: tokio_postgres::Client, options: &'static str) -> Self {
        Self { session: Session::new(client), options, plan: String::new() }
    }

    /// The plan of the last question.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }
}

impl Database for Explained {
    type Error = tokio_postgres::Error;

    const EMITS_CONTEXT: bool = false;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Self::Error> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            sql.parameters().iter().map(|text| (text as &(dyn ToSql + Sync), Type::TEXT)).collect();
        let explain = format!("EXPLAIN ({}) {}", self.options, sql.text());
        let lines = self.session.client().query_typed(&explain, &parameters).await?;
        self.plan = lines.iter().map(|line| line.get::<_, String>(0) + "\n").collect();
        self.session.query(sql).await
    }

    async fn execute(&mut self, sql: &Sql) -> Result<u64, Self::Error> {
        self.session.execute(sql).await
    }

    fn sqlstate(error: &Self::Error) -> Option<String> {
        Session::sqlstate(error)
    }

    async fn pause(&mut self, time: Duration) {
        self.session.pause(time).await;
    }
}
