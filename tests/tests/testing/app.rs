//! An application with a database of its own.

use bemi_sqlx::{BemiPool, Context, Settings};
use bemi_testing::Recording;
use bemi_tests::{TestDatabase, shared_cluster};
use sqlx::PgPool;
use tokio_postgres::Client;

pub(crate) struct App {
    pub(crate) database: TestDatabase,
    /// Somebody else, without context.
    pub(crate) client: Client,
    pub(crate) pool: BemiPool,
}

impl App {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create(shared_cluster()).await.unwrap();
        let client = database.connect().await.unwrap();
        let schema =
            "CREATE TABLE todo (id int PRIMARY KEY, task text, done bool NOT NULL DEFAULT false)";
        client.batch_execute(schema).await.unwrap();
        let pool = BemiPool::new(PgPool::connect(&database.url()).await.unwrap());
        Self { database, client, pool: pool.with_settings(Settings::new().without_sql()) }
    }

    pub(crate) async fn record(&self) -> Recording {
        Recording::start(&self.database.url()).await.unwrap()
    }

    /// Runs statements without context.
    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn add(&self, id: i32, task: &str) {
        let insert = sqlx::query("INSERT INTO todo VALUES ($1, $2)").bind(id).bind(task);
        insert.execute(&self.pool).await.unwrap();
    }

    pub(crate) async fn rename(&self, id: i32, task: &str) -> u64 {
        let update = sqlx::query("UPDATE todo SET task = $2 WHERE id = $1").bind(id).bind(task);
        update.execute(&self.pool).await.unwrap().rows_affected()
    }

    /// What is in the table, as text.
    pub(crate) async fn todos(&self) -> Vec<String> {
        let rows = self.client.query("SELECT todo::text FROM todo ORDER BY id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What recordings can leave behind, as far as the catalog tells.
    pub(crate) async fn left_behind(&self) -> Vec<String> {
        let sql = "SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database() \
             UNION ALL SELECT 'publication ' || pubname FROM pg_publication \
             UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger \
             UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname LIKE 'bemi%' \
             UNION ALL SELECT 'identity of ' || relname FROM pg_class WHERE relreplident = 'f' \
             ORDER BY 1";
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

pub(crate) fn user(id: i64) -> Context {
    Context::new().with("user_id", id)
}
