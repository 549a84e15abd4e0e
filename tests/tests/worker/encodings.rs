//! Databases that are not encoded in UTF-8. The stream has rows and names converted, but not what
//! messages hold.

use bemi_tests::{TestDatabase, Tracked, shared_cluster};
use serde_json::{Value, json};

/// A database of an encoding that is source and destination.
async fn tracked(encoding: &str, schema: &str) -> Tracked {
    let tracked = untracked(encoding, schema).await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    tracked
}

/// A database of an encoding, not set up.
pub(crate) async fn untracked(encoding: &str, schema: &str) -> Tracked {
    let database = TestDatabase::create(shared_cluster()).await.unwrap();
    let name = database.name();
    let admin = database.url().replace(name, "postgres");
    let (client, connection) =
        tokio_postgres::connect(&admin, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("DROP DATABASE {name}")).await.unwrap();
    client
        .batch_execute(&format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
        .await
        .unwrap();
    let client = database.connect().await.unwrap();
    client.batch_execute(schema).await.unwrap();
    Tracked::of(database, client)
}

async fn contexts(tracked: &Tracked) -> Vec<Value> {
    tracked.changes().await.into_iter().map(|change| change.context).collect()
}

/// In EUC_JP, 辰 is what ä is in UTF-8.
const WORDS: [(&str, &str); 4] =
    [("LATIN1", "é"), ("WIN1252", "€"), ("EUC_JP", "辰"), ("SQL_ASCII", "é辰")];

#[tokio::test]
async fn a_context_is_what_was_said_whoever_says_it() {
    for (encoding, word) in WORDS {
        let tracked = tracked(encoding, "CREATE TABLE t (id int PRIMARY KEY)").await;
        let context = json!({"user": word, "plain": "ascii"}).to_string();
        tracked
            .sql(&format!(
                "SELECT pg_logical_emit_message(true, '_bemi', '{context}'); \
                 INSERT INTO t VALUES (1); SELECT bemi.set_context('{context}'); INSERT INTO t VALUES (2)"
            ))
            .await;
        tracked.store().await;
        let expected = json!({"user": word, "plain": "ascii"});
        assert_eq!(contexts(&tracked).await, [expected.clone(), expected], "{encoding}");
    }
}

#[tokio::test]
async fn rows_and_names_are_what_they_are_called() {
    for (encoding, word) in WORDS {
        let schema = format!(
            "CREATE TYPE \"type {word}\" AS (\"{word}\" text); \
             CREATE TABLE \"{word}\" (id int PRIMARY KEY, \"column {word}\" text, c \"type {word}\")"
        );
        let tracked = tracked(encoding, &schema).await;
        tracked.sql(&format!("INSERT INTO \"{word}\" VALUES (1, '{word}', ROW('{word}'))")).await;
        tracked.store().await;
        let change = &tracked.changes().await[0];
        assert_eq!(change.table, word, "{encoding}");
        let mut after = json!({"id": 1, "c": {}});
        after[format!("column {word}")] = json!(word);
        after["c"][word] = json!(word);
        assert_eq!((&change.after, &change.encoded), (&after, &None), "{encoding}");
    }
}

#[tokio::test]
async fn a_command_that_changes_a_table_is_what_was_said() {
    for (encoding, word) in WORDS {
        let tracked = untracked(encoding, "CREATE TABLE t (id int PRIMARY KEY)").await;
        tracked.setup(&["--all-tables", "--ddl"]).await;
        let alter = format!("ALTER TABLE t ADD COLUMN \"{word}\" int");
        tracked.sql(&alter).await;
        tracked.store().await;
        let change = &tracked.changes().await[0];
        assert_eq!(change.operation, "DDL", "{encoding}");
        assert_eq!(change.after["sql"], alter, "{encoding}");
    }
}

/// What stands for bytes that are no text is a character of Unicode's own: only UTF-8 has it.
#[tokio::test]
async fn what_is_no_text_in_the_encoding_is_kept_raw() {
    let tracked = untracked("EUC_JP", "CREATE TABLE t (id int PRIMARY KEY)").await;
    let destination = TestDatabase::create(shared_cluster()).await.unwrap();
    let run = async |arguments: &[&str]| {
        let worker = tracked.worker(arguments).env("DESTINATION_DATABASE_URL", destination.url());
        worker.run_to_end().await.assert_code(0)
    };
    run(&["setup", "--all-tables"]).await;
    let emit = "SELECT pg_logical_emit_message(true, '_bemi', '\\xff00'::bytea)";
    tracked.sql(&format!("{emit}; INSERT INTO t VALUES (1)")).await;
    run(&["run", "--once"]).await;
    let client = destination.connect().await.unwrap();
    let context: Value = client.query_one("SELECT context FROM changes", &[]).await.unwrap().get(0);
    assert_eq!(context["_bemi"]["raw"], "\u{FFFD}\u{FFFD}");
    assert!(context["_bemi"]["error"].is_string(), "{context}");
}
