//! tokio-postgres again, with the context by hand and each message waited for: what pipelining is worth.

use bemi_core::adapter::{Plan, Protocol, Session, emission, plan};
use bemi_core::{Settings, current_context};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::tokio_postgres::{TokioPostgres, connect};
use crate::Result;
use crate::library::{Library, Name, Variant};
use crate::work::{INSERT, NOTE, READ, TASK, UPDATE, WRITES, Work};

pub(super) enum OneByOne {}

/// A client, its statements, and what it knows of its transaction.
pub(super) struct ByHand {
    client: Client,
    settings: Settings,
    session: Session,
    insert: Statement,
    update: Statement,
    read: Statement,
}

impl Library for OneByOne {
    type Plain = <TokioPostgres as Library>::Plain;
    type Ours = ByHand;

    const NAME: Name = Name::OneByOne;
    const VARIANTS: &[Variant] = &[Variant::Text, Variant::WithoutSql];

    async fn plain(url: &str) -> Result<Self::Plain> {
        TokioPostgres::plain(url).await
    }

    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours> {
        let client = connect(url).await?;
        let insert = client.prepare(INSERT).await?;
        let update = client.prepare(UPDATE).await?;
        let read = client.prepare(READ).await?;
        Ok(ByHand { client, settings, session: Session::default(), insert, update, read })
    }
}

impl ByHand {
    async fn write(
        &mut self,
        sql: &str,
        statement: &Statement,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<()> {
        let protocol = Protocol::Extended { parameters: None };
        match plan(&self.session, &self.settings, sql, protocol, current_context)? {
            Plan::Wrapped(message) => {
                let begin = format!("BEGIN; {}", emission(&message));
                self.client.batch_execute(&begin).await?;
                self.client.execute(statement, values).await?;
                self.client.batch_execute("COMMIT").await?;
            }
            Plan::Preceded(message) => {
                self.client.batch_execute(&emission(&message)).await?;
                self.session.emitted(message);
                self.client.execute(statement, values).await?;
            }
            _ => {
                self.client.execute(statement, values).await?;
            }
        }
        Ok(())
    }
}

impl Work for ByHand {
    async fn insert(&mut self) -> Result<()> {
        let statement = self.insert.clone();
        self.write(INSERT, &statement, &[&TASK, &NOTE]).await
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        let statement = self.update.clone();
        self.write(UPDATE, &statement, &[&true, &id]).await
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        self.client.batch_execute("BEGIN").await?;
        self.session.begin();
        for id in (id..).take(WRITES as usize / 2) {
            self.insert().await?;
            self.update(id).await?;
        }
        self.client.batch_execute("COMMIT").await?;
        self.session.end();
        Ok(())
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        self.client.query_one(&self.read, &[&id]).await?;
        Ok(())
    }
}
