//! A tracked database with the SQL pack, in one database or in two.

use bemi_tests::{Output, TestDatabase, Tracked, shared_cluster};
use serde_json::Value;
use tokio_postgres::{Client, Row};

/// A tracked database whose destination has the SQL pack.
pub(crate) struct Packed {
    pub(crate) tracked: Tracked,
    /// The destination, where it is a database of its own.
    destination: Option<(TestDatabase, Client)>,
}

impl Packed {
    /// Source and destination are one database. All tables are tracked from their birth on, with whole
    /// old rows.
    pub(crate) async fn new(schema: &str) -> Self {
        Self { tracked: Self::bare().await, destination: None }.with(schema).await
    }

    /// Source and destination are two databases.
    pub(crate) async fn in_two_databases(schema: &str) -> Self {
        let destination = TestDatabase::create(shared_cluster()).await.unwrap();
        let client = destination.connect().await.unwrap();
        let destination = Some((destination, client));
        Self { tracked: Self::bare().await, destination }.with(schema).await
    }

    async fn bare() -> Tracked {
        Tracked::untracked(shared_cluster(), "").await
    }

    async fn with(self, schema: &str) -> Self {
        self.setup(&["--all-tables", "--replica-identity", "full", "--sql-pack"]).await;
        self.sql(schema).await;
        // For the views of the past.
        self.setup(&[]).await;
        self
    }

    /// A session with the destination, of a superuser.
    pub(crate) fn client(&self) -> &Client {
        self.destination.as_ref().map_or(&self.tracked.client, |(_, client)| client)
    }

    /// Another session with the destination, of a superuser.
    pub(crate) async fn connect(&self) -> Client {
        let database =
            self.destination.as_ref().map_or(&self.tracked.database, |(database, _)| database);
        database.connect().await.unwrap()
    }

    /// Runs a command of the worker that must succeed; gives what it tells.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.assert_code(0).stdout
    }

    /// Runs a command of the worker.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.tracked.worker(arguments);
        if let Some((destination, _)) = &self.destination {
            command = command.env("DESTINATION_DATABASE_URL", destination.url());
        }
        command.run_to_end().await
    }

    pub(crate) async fn setup(&self, arguments: &[&str]) -> String {
        self.ok(&[&["setup"], arguments].concat()).await
    }

    /// Runs statements in the source.
    pub(crate) async fn sql(&self, sql: &str) {
        self.tracked.sql(sql).await;
    }

    /// Stores everything that was committed.
    pub(crate) async fn store(&self) {
        self.ok(&["run", "--once"]).await;
        self.tracked.database.wait_for_free_slot(&self.tracked.database.slot_name()).await;
    }

    /// Rows of a question to the destination.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Row> {
        self.client().query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"))
    }

    /// The rows of a question as one JSON array of objects.
    pub(crate) async fn json(&self, sql: &str) -> Value {
        let rows = self.rows(&format!("SELECT to_jsonb(q) FROM ({sql}) AS q")).await;
        rows.iter().map(|row| row.get::<_, Value>(0)).collect()
    }

    /// The first column of each row, as text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        self.rows(sql).await.iter().map(|row| row.get(0)).collect()
    }

    /// What the server says to a question that it must refuse: SQLSTATE, message, hint.
    pub(crate) async fn refused(&self, sql: &str) -> (String, String, String) {
        refused_by(self.client(), sql).await
    }
}

/// What the server says to a question that it must refuse: SQLSTATE, message, hint.
pub(crate) async fn refused_by(client: &Client, sql: &str) -> (String, String, String) {
    let error = match client.simple_query(sql).await {
        Ok(answer) => panic!("{sql} was answered: {answer:?}"),
        Err(error) => error,
    };
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
    let hint = error.hint().unwrap_or_default().to_owned();
    (error.code().code().to_owned(), error.message().to_owned(), hint)
}
