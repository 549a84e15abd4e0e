//! A connection that shows how the server answers each question.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use bemi_worker::connect::Session;
use tokio_postgres::types::{ToSql, Type};

/// A connection that keeps the plan of the last question that was asked.
pub(crate) struct Explained {
    session: Session,
    pub(crate) plan: String,
}

impl Explained {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, plan: String::new() }
    }
}

impl Database for Explained {
    type Error = tokio_postgres::Error;

    const EMITS_CONTEXT: bool = false;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Self::Error> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            sql.parameters().iter().map(|text| (text as &(dyn ToSql + Sync), Type::TEXT)).collect();
        let explain = format!("EXPLAIN (COSTS OFF) {}", sql.text());
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
