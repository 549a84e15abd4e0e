//! A database with connections of ours and plain ones beside them.

use std::ops::Deref;

use bemi_diesel::{BemiPgConnection, Settings};
use bemi_tests::ObservedDatabase;
use diesel::prelude::*;

diesel::table! {
    todo (id) {
        id -> Integer,
        task -> Nullable<Text>,
    }
}

/// A row of `todo`.
#[derive(
    Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable, Insertable, AsChangeset,
)]
#[diesel(table_name = todo)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct Todo {
    pub(crate) id: i32,
    pub(crate) task: Option<String>,
}

/// Everything that a test needs; what it sees of the database is the [`ObservedDatabase`]'s.
pub(crate) struct App {
    observed: ObservedDatabase,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self { observed: ObservedDatabase::create().await }
    }

    /// Ours, without the statement's text.
    pub(crate) fn connection(&self) -> BemiPgConnection {
        self.with_sql().with_settings(Settings::new().without_sql())
    }

    /// Ours, with the statement's text.
    pub(crate) fn with_sql(&self) -> BemiPgConnection {
        BemiPgConnection::new(self.plain())
    }

    /// diesel's own.
    pub(crate) fn plain(&self) -> PgConnection {
        PgConnection::establish(&self.database.url()).unwrap()
    }

    /// A connection of which the server logs what it sends.
    pub(crate) async fn logged(&self, settings: Settings) -> BemiPgConnection {
        self.log_statements().await;
        self.connection().with_settings(settings)
    }

    /// What the server has logged, without what diesel sends when it connects.
    pub(crate) fn sent(&self) -> Vec<String> {
        let mut sent = self.observed.sent();
        sent.retain(|sql| !sql.starts_with("SET "));
        sent
    }
}

impl Deref for App {
    type Target = ObservedDatabase;

    fn deref(&self) -> &ObservedDatabase {
        &self.observed
    }
}

pub(crate) fn a_todo(id: i32, task: &str) -> Todo {
    Todo { id, task: Some(task.to_owned()) }
}

/// Inserts a row, by the query builder.
pub(crate) fn insert(connection: &mut BemiPgConnection, id: i32) -> QueryResult<usize> {
    diesel::insert_into(todo::table)
        .values((todo::id.eq(id), todo::task.eq("x")))
        .execute(connection)
}
