//! Names, values, contexts and comments that would be SQL if somebody spliced them into some.
//!
//! They are drawn at random out of pieces that break quoting. All that the worker does with them is done, and
//! a canary beside them is looked at in the end.

use bemi_tests::{Output, Tracked};
use serde_json::{Value, json};

/// What breaks out of one quoting or another, and what it would do then.
const PIECES: [&str; 22] = [
    "'",
    "\"",
    "\\",
    "\\'",
    "$$",
    "$bemi$",
    "/*",
    "*/",
    "--",
    "\n",
    ";",
    ".",
    "%s",
    "%I",
    "$1",
    "{}",
    "ä€😀",
    " ",
    "' OR true --",
    "; DROP TABLE public.canary; --",
    "'); DELETE FROM canary; --",
    "\"; CREATE TABLE pwned (); --",
];

/// PostgreSQL's limit for names, in bytes.
const NAME_BYTES_MAX: usize = 63;

const TABLES: usize = 4;

/// How often all of it is done.
fn rounds() -> u64 {
    std::env::var("BEMI_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

struct Hostile(fastrand::Rng);

impl Hostile {
    fn text(&mut self, pieces_max: usize) -> String {
        let count = self.0.usize(1..=pieces_max);
        (0..count).map(|_| PIECES[self.0.usize(..PIECES.len())]).collect()
    }

    /// A name that no other one is equal to.
    fn name(&mut self, number: usize) -> String {
        let mut name = format!("{number}{}", self.text(9));
        while name.len() > NAME_BYTES_MAX {
            name.pop();
        }
        name
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A table with names of any kind, and a row in it.
struct Table {
    name: String,
    key: String,
    column: String,
    value: String,
    context: Value,
}

impl Table {
    fn draw(hostile: &mut Hostile, schema: &str, number: usize) -> Self {
        let name = format!("{}.{}", identifier(schema), identifier(&hostile.name(number)));
        let context = json!({ hostile.text(4): hostile.text(6), "user_id": hostile.text(3) });
        let column = hostile.name(number);
        Self { name, key: hostile.text(5), column, value: hostile.text(6), context }
    }

    fn create(&self, hostile: &mut Hostile) -> String {
        let (name, column) = (&self.name, identifier(&self.column));
        format!(
            "CREATE TABLE {name} (id text PRIMARY KEY, {column} text);
             COMMENT ON TABLE {name} IS {}; COMMENT ON COLUMN {name}.{column} IS {}",
            literal(&hostile.text(5)),
            literal(&hostile.text(5)),
        )
    }

    fn write(&self, hostile: &mut Hostile) -> String {
        let (name, column) = (&self.name, identifier(&self.column));
        let (key, value) = (literal(&self.key), literal(&self.value));
        format!(
            "SET application_name = {}; BEGIN; SELECT bemi.set_context({});
             INSERT INTO {name} VALUES ({key}, 'before'), ('other', {value});
             UPDATE {name} SET {column} = {value} WHERE id = {key};
             DELETE FROM {name} WHERE id = 'other'; COMMIT",
            literal(&hostile.text(3)),
            literal(&self.context.to_string()),
        )
    }

    fn row(&self) -> Value {
        json!({ "id": self.key, self.column.clone(): self.value })
    }
}

/// Ends in whatever way it may, but for a panic or a statement that the server cannot read.
async fn survives(tracked: &Tracked, schema: &str, arguments: &[&str]) -> Output {
    let worker = tracked.worker(arguments).env("BEMI_CHANGES_SCHEMA", schema);
    let output = worker.run_to_end().await;
    assert!(!output.stderr.contains("panicked"), "{arguments:?}: {output}");
    for unread in ["syntax error", "42601", "unterminated", "does not exist [42"] {
        assert!(!output.stderr.contains(unread), "{arguments:?}: {output}");
    }
    output
}

async fn round(seed: u64) {
    let mut hostile = Hostile(fastrand::Rng::with_seed(seed));
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE canary (id int PRIMARY KEY, note text); INSERT INTO canary VALUES (1, 'sings')",
    )
    .await;
    let (schema, changes_schema) = (hostile.name(0), hostile.name(9));
    tracked.sql(&format!("CREATE SCHEMA {}", identifier(&schema))).await;
    let tables: Vec<Table> =
        (1..=TABLES).map(|number| Table::draw(&mut hostile, &schema, number)).collect();
    for table in &tables {
        tracked.sql(&table.create(&mut hostile)).await;
    }
    let role = format!("{}{}", tracked.database.name(), hostile.name(1));
    let role: String = role.chars().take(30).collect();
    tracked.sql(&format!("CREATE ROLE {}", identifier(&role))).await;

    let command = async |arguments: &[&str]| survives(&tracked, &changes_schema, arguments).await;
    let setup = [
        "setup",
        "--all-tables",
        "--replica-identity",
        "full",
        "--ddl",
        "--sql-pack",
        "--postgrest",
    ];
    let granted = [&setup[..], &["--grant-worker", &role, "--grant-reader", &role]].concat();
    command(&granted).await.assert_code(0);
    let ignored = format!("{}.*.unknown", identifier(&schema));
    command(&[
        "setup",
        "--ignore",
        &ignored,
        "--mask",
        &format!("{ignored}=text:{}", hostile.text(4)),
    ])
    .await;
    for table in &tables {
        tracked.sql(&table.write(&mut hostile)).await;
        tracked
            .sql(&format!(
                "ALTER TABLE {} ADD COLUMN {} int",
                table.name,
                identifier(&hostile.name(7))
            ))
            .await;
    }
    command(&["run", "--once"]).await.assert_code(0);
    command(&["doctor"]).await;
    command(&["status"]).await.assert_code(0);

    let changes = format!("{}.changes", identifier(&changes_schema));
    for table in &tables {
        let (name, key) = (table.name.as_str(), table.key.as_str());
        let stored: Vec<(Value, Value, i64)> = tracked
            .client
            .query(
                &format!(
                    "SELECT after, context, transaction_id FROM {changes} WHERE operation = 'UPDATE' \
                     AND primary_key = $2 AND quote_ident(schema) || '.' || quote_ident(\"table\") = $1"
                ),
                &[&name, &key],
            )
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        assert_eq!(stored.len(), 1, "seed {seed}: {name} {key}");
        let (after, context, transaction) = &stored[0];
        assert_eq!((after, context), (&table.row(), &table.context), "seed {seed}");
        // What was stored last: the worker does not run.
        let then = format!("@tx:{transaction}");

        let history =
            command(&["history", "--wait", "0s", "--format", "json", "--", name, key]).await;
        assert_eq!(history.assert_code(0).stdout.lines().count(), 2, "seed {seed}");
        let as_of = ["as-of", "--wait", "0s", "--format", "json", &then, "--", name, key];
        let as_of = command(&as_of).await.assert_code(0);
        assert!(as_of.stdout.contains(&table.row().to_string()), "seed {seed}: {as_of}");
        command(&["as-of", "--wait", "0s", "--live", &then, "--", name]).await;
        command(&["diff", "--wait", "0s", "-1h", &then, "--", name]).await;
        command(&["coverage", name]).await;
        let who = format!("user_id={}", table.context["user_id"].as_str().unwrap());
        command(&[
            "changes",
            "--wait",
            "0s",
            "--table",
            name,
            "--where",
            &who,
            "--changed",
            &table.column,
        ])
        .await;
        let reason = hostile.text(4);
        let undo =
            ["revert", "record", "--since", "-1h", "--sql", "--reason", &reason, "--", name, key];
        let undo = command(&undo).await;
        if undo.code == Some(0) {
            // What psql is given can be read by the server, and does what it says.
            let script = undo.stdout.lines().filter(|line| !line.starts_with('\\'));
            let script: Vec<&str> = script.collect();
            let client = tracked.database.connect().await.unwrap();
            if let Err(error) = client.batch_execute(&script.join("\n")).await {
                let code = error.code().map(|code| code.code().to_owned());
                assert_ne!(
                    code.as_deref(),
                    Some("42601"),
                    "seed {seed}: {error:?}\n{}",
                    undo.stdout
                );
            }
        }
        for function in ["history($1, $2)", "field_changes($1, $2)"] {
            let sql = format!("SELECT count(*) FROM bemi.{function}");
            let found = tracked.client.query_one(&sql, &[&name, &key]).await.unwrap();
            assert!(found.get::<_, i64>(0) >= 1, "seed {seed}: {function}");
        }
        let sql = format!(
            "SELECT u::text FROM {changes} AS c CROSS JOIN LATERAL bemi.undo_sql(c.id, reason => $3) AS u \
             WHERE primary_key = $2 AND quote_ident(schema) || '.' || quote_ident(\"table\") = $1"
        );
        let undo = tracked.client.query(&sql, &[&name, &key, &reason]).await.unwrap();
        assert!(!undo.is_empty(), "seed {seed}: {name} {key}");
        let erase =
            ["erase", "--columns", &table.column, "--reason", &reason, "--yes", "--table", name];
        command(&[&erase[..], &[&format!("--key={key}")]].concat()).await.assert_code(0);
    }
    command(&["requests", "--wait", "0s"]).await;
    command(&["backfill", "--all-tables"]).await;
    command(&["setup", "--revoke", &role]).await.assert_code(0);
    command(&["teardown", "--drop-changes"]).await.assert_code(0);

    let canary: String = tracked.value("SELECT string_agg(canary::text, ';') FROM canary").await;
    assert_eq!(canary, "(1,sings)", "seed {seed}");
    let pwned: i64 = tracked.value("SELECT count(*) FROM pg_class WHERE relname = 'pwned'").await;
    assert_eq!(pwned, 0, "seed {seed}");
    tracked.sql(&format!("DROP ROLE {}", identifier(&role))).await;
}

#[tokio::test]
async fn whatever_a_name_a_value_or_a_context_is_it_is_never_sql() {
    let first: u64 =
        std::env::var("BEMI_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + rounds() {
        round(seed).await;
    }
}
