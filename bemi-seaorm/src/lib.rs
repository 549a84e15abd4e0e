//! Application context for every row that SeaORM writes to PostgreSQL: the SeaORM adapter of bemi.
//!
//! Wrap the connection, run code in a scope, and each row change is preceded, in its own transaction, by a message in the
//! write-ahead log that says who made it, where and how. `bemi-worker` stores both side by side.
//!
//! ```no_run
//! use bemi_seaorm::{BemiDatabaseConnection, Context, with_context};
//! use sea_orm::{ActiveModelTrait, ActiveValue::Set, Database, DbErr};
//! # mod todo {
//! #     use sea_orm::entity::prelude::*;
//! #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
//! #     #[sea_orm(table_name = "todo")]
//! #     pub struct Model { #[sea_orm(primary_key)] pub id: i32, pub task: String }
//! #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//! #     pub enum Relation {}
//! #     impl ActiveModelBehavior for ActiveModel {}
//! # }
//!
//! # async fn example() -> Result<(), DbErr> {
//! let db = BemiDatabaseConnection::new(Database::connect("postgres://localhost/todos").await?)?;
//! with_context(Context::new().with("user_id", 42), async {
//!     todo::ActiveModel { task: Set("Sleep".to_owned()), ..Default::default() }.insert(&db).await
//! })
//! .await?;
//! # Ok(())
//! # }
//! # fn main() {}
//! ```
//!
//! ```text
//!  traits ─▶ call (a statement) ─▶ bemi_core::adapter::plan ─▶ carry_out ─▶ sqlx
//!                                   ▲                             │
//!                    Session, Nesting (transactions, savepoints, governing message)
//! ```
//!
//! What to do is decided in `bemi_core::adapter`, alike for all libraries; `carry_out`, `connection` and `transaction` do it. What needs
//! no message goes to sea-orm's own connection.
//!
//! Invariants: a write inside a scope and its message are in one transaction, the message first. Reads, and writes outside any
//! scope, run as if this crate were not there. A cancelled call leaves no transaction open.

mod answer;
mod call;
mod carry_out;
mod connection;
mod database;
mod database_connection;
mod error;
mod metric;
mod nesting;
mod stream;
mod traits;
mod transaction;

pub use bemi_core::statement::NotAFunctionName;
pub use bemi_core::{
    Context, ContextError, ContextFutureExt, MissingContext, MissingContextError, Redaction, Scope,
    Settings, add_context, carrier, current_context, record, spawn, spawn_blocking, with_context,
    with_context_sync, write, write_sync,
};

pub use self::database_connection::BemiDatabaseConnection;
pub use self::error::NotPostgres;
pub use self::stream::BemiQueryStream;
pub use self::transaction::BemiDatabaseTransaction;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
