//! SeaORM, by active models. Its pool is told not to ask the server whether a connection still works before each statement,
//! which would hide some of the cost. It asks all the same when a connection comes back, so there are two, in turn.

use bemi_core::Settings;
use bemi_seaorm::BemiDatabaseConnection;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr,
    EntityTrait, TransactionSession, TransactionTrait,
};

use crate::Result;
use crate::library::{Library, Name, Variant};
use crate::work::{NOTE, TASK, WRITES, Work};

#[allow(missing_docs, unreachable_pub, reason = "the macro makes items that are public")]
mod todo {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "todo")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub task: String,
        pub note: String,
        pub is_completed: bool,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) enum SeaOrm {}

/// Either connection: code that is generic over SeaORM's traits runs on both.
pub(super) struct Orm<C>(C);

impl Library for SeaOrm {
    type Plain = Orm<DatabaseConnection>;
    type Ours = Orm<BemiDatabaseConnection>;

    const NAME: Name = Name::SeaOrm;
    const VARIANTS: &[Variant] = &Variant::COMPARED;

    async fn plain(url: &str) -> Result<Self::Plain> {
        Ok(Orm(connect(url).await?))
    }

    async fn ours(url: &str, settings: Settings) -> Result<Self::Ours> {
        let connection = BemiDatabaseConnection::new(connect(url).await?)?;
        Ok(Orm(connection.with_settings(settings)))
    }
}

async fn connect(url: &str) -> std::result::Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.min_connections(2).max_connections(2).test_before_acquire(false).sqlx_logging(false);
    Database::connect(options).await
}

impl<C: ConnectionTrait + TransactionTrait> Work for Orm<C> {
    async fn insert(&mut self) -> Result<()> {
        Ok(insert(&self.0).await?)
    }

    async fn update(&mut self, id: i64) -> Result<()> {
        Ok(update(&self.0, id).await?)
    }

    async fn transaction(&mut self, id: i64) -> Result<()> {
        let tx = self.0.begin().await?;
        for id in (id..).take(WRITES as usize / 2) {
            insert(&tx).await?;
            update(&tx, id).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn read(&mut self, id: i64) -> Result<()> {
        todo::Entity::find_by_id(id).one(&self.0).await?.ok_or("a row is missing")?;
        Ok(())
    }
}

async fn insert(db: &impl ConnectionTrait) -> std::result::Result<(), DbErr> {
    let row = todo::ActiveModel {
        task: Set(TASK.to_owned()),
        note: Set(NOTE.to_owned()),
        ..Default::default()
    };
    row.insert(db).await.map(drop)
}

async fn update(db: &impl ConnectionTrait, id: i64) -> std::result::Result<(), DbErr> {
    let row =
        todo::ActiveModel { id: Unchanged(id), is_completed: Set(true), ..Default::default() };
    row.update(db).await.map(drop)
}
