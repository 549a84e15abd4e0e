//! A database with a worker, what happens in it, and what is asked about that afterwards: all of it through a connection of any
//! library.

use bemi_core::record::{
    Changes, Database, Identity, Plan, Point, Record, RevertError, RevertOptions, RowAt, Selection,
    Sql, TableName,
};
use bemi_core::{Change, Context, Operation, Settings, with_context};
use bemi_tests::{RunningWorker, Tracked};
use serde_json::json;

/// A task that was `Final` does not become so again.
const SCHEMA: &str = "\
    CREATE TABLE todo (id int PRIMARY KEY, task text NOT NULL); \
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$; \
    CREATE TRIGGER refuse BEFORE UPDATE ON todo FOR EACH ROW WHEN (NEW.task = 'Final') EXECUTE FUNCTION refuse()";

/// How many changes [`Shop::trade`] makes.
const TRADED: i64 = 5;

/// A table of tasks, tracked, and a worker that stores its changes.
pub(crate) struct Shop {
    pub(crate) tracked: Tracked,
    _worker: RunningWorker,
}

/// A row, as an application has it.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Todo {
    id: i32,
    task: String,
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
        let tracked = Tracked::new(SCHEMA).await;
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
        with_context(user(3), insert(database, 3, "Final")).await;
        with_context(user(3), update(database, 3, "Other")).await;
    }

    /// Waits until that is stored. From here on, messages are counted.
    pub(crate) async fn stored(&self) {
        self.tracked.wait_for_count(TRADED).await;
        let slot = self.slot();
        let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
        self.tracked.client.execute(create, &[&slot]).await.unwrap();
    }

    /// Questions are nobody's writes: no context was emitted for them.
    pub(crate) async fn assert_no_message(&self) {
        let sql = "SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL) \
             WHERE data LIKE '%prefix: _bemi,%'";
        let messages = self.tracked.client.query(sql, &[&self.slot()]).await.unwrap();
        assert!(messages.is_empty(), "{messages:?}");
    }

    fn slot(&self) -> String {
        self.tracked.database.unique_name("messages")
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

            let mut then = record.as_of(Point::BeforeChange(change.id));
            let row = then.get::<Todo>(&todo(), &1.into()).await.unwrap();
            assert_eq!(row, RowAt::Present(Todo { id: 1, task: "Sleep".to_owned() }));
            assert_eq!(then.row(&todo(), &2.into()).await.unwrap(), RowAt::Absent);
            let row = record.as_of("now".parse().unwrap()).get::<Todo>(&todo(), &1.into()).await;
            assert_eq!(row.unwrap(), RowAt::Present(Todo { id: 1, task: "Eat".to_owned() }));

            let coverage = record.coverage_of(&todo()).await.unwrap();
            assert_eq!(
                (coverage.identity, coverage.holes.as_slice()),
                (Some(Identity::Full), &[][..])
            );
            assert!(coverage.since.is_some());

            let nobody = record.changes(&Changes::new().without_context()).await.unwrap();
            assert_eq!(keys(&nobody.items), ["2"]);
        })
        .await;
    }

    /// Reverts in a transaction that is open, for whoever sends a request, among writes of the request's own. What cannot be done
    /// leaves no trace, and the transaction goes on.
    pub(crate) async fn undo<D: Database>(tx: &mut D) {
        with_context(user(9), async {
            let plan = plan(tx, 3).await;
            let refused = plan.apply(tx).await.unwrap_err();
            assert!(matches!(refused, RevertError::Refused { .. }), "{refused}");

            let moved = self::plan(tx, 1).await;
            update(tx, 1, "Work").await;
            let error = moved.apply(tx).await.unwrap_err();
            assert!(matches!(error, RevertError::Moved { .. }), "{error}");
            update(tx, 1, "Eat").await;

            let plan = self::plan(tx, 1).await;
            assert_eq!(plan.summary().to_string(), "1 row of todo updated");
            assert_eq!(plan.apply(tx).await.unwrap().rows, 1);
            update(tx, 2, "Rest").await;
        })
        .await;
        insert(tx, 4, "Later").await;
    }

    /// What [`Shop::undo`] leaves in the record, once its transaction is committed: one transaction, in which each write has its own
    /// context.
    pub(crate) async fn assert_undone(&self) {
        self.tracked.wait_for_count(TRADED + 5).await;
        let changes = self.tracked.changes().await.split_off(5);
        assert!(changes.iter().all(|change| change.commit_position == changes[0].commit_position));
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.what(), &change.after["task"], &change.context))
            .collect();
        let by_user = json!({ "user_id": 9 });
        let revert = &changes[2].context;
        assert_eq!(
            told,
            [
                (("UPDATE", "1"), &json!("Work"), &by_user),
                (("UPDATE", "1"), &json!("Eat"), &by_user),
                (("UPDATE", "1"), &json!("Sleep"), revert),
                (("UPDATE", "2"), &json!("Rest"), &by_user),
                (("CREATE", "4"), &json!("Later"), &json!({})),
            ]
        );
        assert_eq!((&revert["user_id"], &revert["reason"]), (&json!(9), &json!("ticket 4711")));
        assert_eq!(revert["revert_of"]["count"], 1);
    }

    /// Without a transaction nothing could be taken back, so nothing is begun.
    pub(crate) async fn refuse_without_transaction<D: Database>(database: &mut D) {
        let selection = last_of(database, 1).await;
        let set = Record::new(&mut *database).reverse(&selection).await.unwrap();
        let error = set.plan(database, &RevertOptions::new()).await.unwrap_err();
        assert!(matches!(error, RevertError::NoTransaction), "{error}");
    }
}

/// The last change of a row.
async fn last_of<D: Database>(database: &mut D, key: i32) -> Selection {
    let last = Changes::new().record(todo(), key).newest_first().limit(1);
    let page = Record::new(database).changes(&last).await.unwrap();
    Selection::Change(page.items[0].id)
}

async fn plan<D: Database>(tx: &mut D, key: i32) -> Plan {
    let selection = last_of(tx, key).await;
    let set = Record::new(&mut *tx).reverse(&selection).await.unwrap();
    let plan = set.plan(tx, &RevertOptions::new().reason("ticket 4711")).await.unwrap();
    assert_eq!(plan.conflicts(), []);
    plan
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
