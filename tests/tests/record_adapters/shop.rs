//! A database with a worker, what happens in it, and what is asked about that afterwards: all of it through a connection of any
//! library.

use bemi_core::record::{Changes, Database, Record, Sql, TableName};
use bemi_core::{Change, Context, Operation, Settings, with_context};
use bemi_tests::{RunningWorker, Tracked};
use serde_json::json;

/// A table of tasks, tracked, and a worker that stores its changes.
pub(crate) struct Shop {
    pub(crate) tracked: Tracked,
    _worker: RunningWorker,
}

fn todo() -> TableName {
    TableName::new("public", "todo")
}

pub(crate) fn user(id: i64) -> Context {
    Context::new().with("user_id", id)
}

/// Contexts without the statement's text, so that they can be compared.
pub(crate) fn settings() -> Settings {
    Settings::new().without_sql()
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let tracked =
            Tracked::new("CREATE TABLE todo (id int PRIMARY KEY, task text NOT NULL)").await;
        let worker = tracked.run().await;
        Self { tracked, _worker: worker }
    }

    pub(crate) fn url(&self) -> String {
        self.tracked.database.url()
    }

    /// Each write in a transaction of its own: `execute` of a connection emits the ambient context.
    pub(crate) async fn trade<D: Database>(database: &mut D) {
        with_context(user(1), insert(database, 1, "Sleep")).await;
        with_context(user(2), update(database, 1, "Eat")).await;
        insert(database, 2, "Work").await;
    }

    /// Waits until that is stored.
    pub(crate) async fn stored(&self, changes: i64) {
        self.tracked.wait_for_count(changes).await;
    }

    /// The questions that everybody asks, in a scope: it is none of their business.
    pub(crate) async fn ask<D: Database>(database: &mut D) {
        with_context(user(7), async {
            let mut record = Record::new(database);
            let history = Changes::new().record(todo(), 1).oldest_first();
            let page = record.changes(&history).await.unwrap();
            assert_eq!(
                page.items
                    .iter()
                    .map(|change| (change.operation, &change.context))
                    .collect::<Vec<_>>(),
                [
                    (Operation::Create, &json!({ "user_id": 1 })),
                    (Operation::Update, &json!({ "user_id": 2 })),
                ]
            );
            assert_eq!(page.next, None);

            let by_user = Changes::new().context("user_id", 2);
            let page = record.changes(&by_user).await.unwrap();
            let [change] = page.items.as_slice() else { panic!("{page:?}") };
            let [field] = change.fields().try_into().unwrap();
            assert_eq!(
                (field.column, field.before, field.after),
                ("task", Some("\"Sleep\""), Some("\"Eat\""))
            );
            assert_eq!(record.change(change.id).await.unwrap().as_ref(), Some(change));

            let nobody = record.changes(&Changes::new().without_context()).await.unwrap();
            assert_eq!(keys(&nobody.items), ["2"]);
        })
        .await;
    }
}

fn keys(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.primary_key.as_deref().unwrap()).collect()
}

pub(crate) async fn insert<D: Database>(database: &mut D, id: i32, task: &str) {
    let sql = format!("INSERT INTO todo VALUES ({id}, '{task}')");
    assert_eq!(database.execute(&Sql::new(sql)).await.unwrap(), 1);
}

pub(crate) async fn update<D: Database>(database: &mut D, id: i32, task: &str) {
    let sql = format!("UPDATE todo SET task = '{task}' WHERE id = {id}");
    assert_eq!(database.execute(&Sql::new(sql)).await.unwrap(), 1);
}
