//! diesel-async's connection.

use bemi_core::Settings;
use bemi_diesel::BemiAsyncPgConnection;
use diesel::pg::Pg;
use diesel::{ExpressionMethods, QueryDsl, QueryResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::diesel::todo;
use crate::Result;
use crate::library::{Library, Name, Variant};
use crate::work::{NOTE, TASK, WRITES, Work};

pub(super) enum DieselAsync {}

/// Either connection: code that is generic over diesel-async's traits runs on both.
pub(super) struct Async<C>(C);

impl Library for DieselAsync {
    type Plain = Async<AsyncPgConnection>;
    type Ours = Async<BemiAsyncPgConnection>;

    const NAME: Name = Name::DieselAsync;
    const VARIANTS: &[Variant] = &Variant::COMPARED;

    async fn plain(url: &str) -> Result<Self::Plain> {
        Ok(Async(AsyncPgConnection::establish(url).await?))
    }

    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours> {
        Ok(Async(BemiAsyncPgConnection::establish(url).await?.with_settings(settings)))
    }
}

impl<C: AsyncConnection<Backend = Pg>> Work for Async<C> {
    async fn insert(&mut self) -> Result<()> {
        Ok(insert(&mut self.0).await?)
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        Ok(update(&mut self.0, id).await?)
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        let writes = async |connection: &mut C| {
            for id in (id..).take(WRITES as usize / 2) {
                insert(connection).await?;
                update(connection, id).await?;
            }
            QueryResult::Ok(())
        };
        Ok(self.0.transaction(writes).await?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        todo::table.find(id).first::<(i64, String, String, bool)>(&mut self.0).await?;
        Ok(())
    }
}

async fn insert(connection: &mut impl AsyncConnection<Backend = Pg>) -> QueryResult<()> {
    let row = (todo::task.eq(TASK), todo::note.eq(NOTE));
    diesel::insert_into(todo::table).values(row).execute(connection).await.map(drop)
}

async fn update(connection: &mut impl AsyncConnection<Backend = Pg>, id: i64) -> QueryResult<()> {
    diesel::update(todo::table.find(id))
        .set(todo::is_completed.eq(true))
        .execute(connection)
        .await
        .map(drop)
}
