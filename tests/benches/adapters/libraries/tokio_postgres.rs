//! tokio-postgres, with statements that are prepared once.

use bemi_core::Settings;
use bemi_tokio_postgres::{BemiClient, BemiStatement};
use tokio_postgres::{Client, NoTls, Statement};

use crate::Result;
use crate::library::{Library, Name, Variant};
use crate::work::{INSERT, NOTE, READ, TASK, UPDATE, WRITES, Work};

pub(super) enum TokioPostgres {}

/// A client and its statements.
pub(super) struct Prepared<C, S> {
    client: C,
    insert: S,
    update: S,
    read: S,
}

impl Library for TokioPostgres {
    type Plain = Prepared<Client, Statement>;
    type Ours = Prepared<BemiClient, BemiStatement>;

    const NAME: Name = Name::TokioPostgres;
    const VARIANTS: &[Variant] = &Variant::COMPARED;

    async fn plain(url: &str) -> Result<Self::Plain> {
        let client = connect(url).await?;
        let insert = client.prepare(INSERT).await?;
        let update = client.prepare(UPDATE).await?;
        let read = client.prepare(READ).await?;
        Ok(Prepared { client, insert, update, read })
    }

    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours> {
        let client = BemiClient::new(connect(url).await?).with_settings(settings);
        let insert = client.prepare(INSERT).await?;
        let update = client.prepare(UPDATE).await?;
        let read = client.prepare(READ).await?;
        Ok(Prepared { client, insert, update, read })
    }
}

pub(super) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Work for Prepared<Client, Statement> {
    async fn insert(&mut self) -> Result<()> {
        self.client.execute(&self.insert, &[&TASK, &NOTE]).await?;
        Ok(())
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        self.client.execute(&self.update, &[&true, &id]).await?;
        Ok(())
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        let tx = self.client.transaction().await?;
        for id in (id..).take(WRITES as usize / 2) {
            tx.execute(&self.insert, &[&TASK, &NOTE]).await?;
            tx.execute(&self.update, &[&true, &id]).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        self.client.query_one(&self.read, &[&id]).await?;
        Ok(())
    }
}

impl Work for Prepared<BemiClient, BemiStatement> {
    async fn insert(&mut self) -> Result<()> {
        self.client.execute(&self.insert, &[&TASK, &NOTE]).await?;
        Ok(())
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        self.client.execute(&self.update, &[&true, &id]).await?;
        Ok(())
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        let tx = self.client.transaction().await?;
        for id in (id..).take(WRITES as usize / 2) {
            tx.execute(&self.insert, &[&TASK, &NOTE]).await?;
            tx.execute(&self.update, &[&true, &id]).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        self.client.query_one(&self.read, &[&id]).await?;
        Ok(())
    }
}
