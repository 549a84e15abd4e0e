//! diesel's blocking connection.

use bemi_core::Settings;
use bemi_diesel::BemiPgConnection;
use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use diesel::prelude::*;

use crate::Result;
use crate::library::{Library, Name, Variant};
use crate::work::{NOTE, TASK, WRITES, Work};

diesel::table! {
    todo (id) {
        id -> BigInt,
        task -> Text,
        note -> Text,
        is_completed -> Bool,
    }
}

pub(super) enum Diesel {}

/// Either connection: code that is generic over diesel's traits runs on both.
pub(super) struct Blocking<C>(C);

impl Library for Diesel {
    type Plain = Blocking<PgConnection>;
    type Ours = Blocking<BemiPgConnection>;

    const NAME: Name = Name::Diesel;
    const VARIANTS: &[Variant] = &Variant::COMPARED;

    async fn plain(url: &str) -> Result<Self::Plain> {
        Ok(Blocking(PgConnection::establish(url)?))
    }

    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours> {
        Ok(Blocking(BemiPgConnection::establish(url)?.with_settings(settings)))
    }
}

impl<C: LoadConnection<Backend = Pg>> Work for Blocking<C> {
    async fn insert(&mut self) -> Result<()> {
        Ok(insert(&mut self.0)?)
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        Ok(update(&mut self.0, id)?)
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        Ok(self.0.transaction(|connection| {
            for id in (id..).take(WRITES as usize / 2) {
                insert(connection)?;
                update(connection, id)?;
            }
            QueryResult::Ok(())
        })?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        todo::table.find(id).first::<(i64, String, String, bool)>(&mut self.0)?;
        Ok(())
    }
}

fn insert(connection: &mut impl Connection<Backend = Pg>) -> QueryResult<()> {
    let row = (todo::task.eq(TASK), todo::note.eq(NOTE));
    diesel::insert_into(todo::table).values(row).execute(connection).map(drop)
}

fn update(connection: &mut impl Connection<Backend = Pg>, id: i64) -> QueryResult<()> {
    diesel::update(todo::table.find(id))
        .set(todo::is_completed.eq(true))
        .execute(connection)
        .map(drop)
}
