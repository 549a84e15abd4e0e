//! sqlx, on a connection that was taken from its pool before: a pool asks the server whether a connection still works before
//! it gives it out, which would hide some of the cost.

use bemi_core::Settings;
use bemi_sqlx::{BemiPool, BemiPoolConnection};
use sqlx::pool::PoolConnection;
use sqlx::{Acquire, PgExecutor, PgPool, Postgres, query};

use crate::Result;
use crate::library::{Library, Name, Variant};
use crate::work::{INSERT, NOTE, READ, TASK, UPDATE, WRITES, Work};

pub(super) enum Sqlx {}

impl Library for Sqlx {
    type Plain = PoolConnection<Postgres>;
    type Ours = BemiPoolConnection;

    const NAME: Name = Name::Sqlx;
    const VARIANTS: &[Variant] = &Variant::COMPARED;

    async fn plain(url: &str) -> Result<Self::Plain> {
        Ok(PgPool::connect(url).await?.acquire().await?)
    }

    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours> {
        Ok(BemiPool::connect(url).await?.with_settings(settings).acquire().await?)
    }
}

impl Work for PoolConnection<Postgres> {
    async fn insert(&mut self) -> Result<()> {
        insert(&mut **self).await
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        update(&mut **self, id).await
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        for id in (id..).take(WRITES as usize / 2) {
            insert(&mut *tx).await?;
            update(&mut *tx, id).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        read(&mut **self, id).await
    }
}

impl Work for BemiPoolConnection {
    async fn insert(&mut self) -> Result<()> {
        insert(&mut **self).await
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        update(&mut **self, id).await
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        for id in (id..).take(WRITES as usize / 2) {
            insert(&mut *tx).await?;
            update(&mut *tx, id).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        read(&mut **self, id).await
    }
}

async fn insert(executor: impl PgExecutor<'_>) -> Result<()> {
    query(INSERT).bind(TASK).bind(NOTE).execute(executor).await?;
    Ok(())
}

async fn update(executor: impl PgExecutor<'_>, id: i64) -> Result<()> {
    query(UPDATE).bind(true).bind(id).execute(executor).await?;
    Ok(())
}

async fn read(executor: impl PgExecutor<'_>, id: i64) -> Result<()> {
    query(READ).bind(id).fetch_one(executor).await?;
    Ok(())
}
