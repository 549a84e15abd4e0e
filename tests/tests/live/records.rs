//! The history of records for people outside: what is named, and nothing else.

use serde_json::{Value, json};

use super::http::Answer;
use super::live::Live;

/// What must not be seen anywhere.
const SECRET: &str = "hunter2";

const SCHEMA: &str = "\
    CREATE TABLE todo (id text PRIMARY KEY, task text, done boolean DEFAULT false, note text, price numeric); \
    CREATE TABLE hidden (id text PRIMARY KEY, task text); \
    CREATE SCHEMA sales; \
    CREATE TABLE sales.\"Line Items\" (a int, b text, amount numeric, PRIMARY KEY (a, b)); \
    CREATE TABLE sales.todo (id text PRIMARY KEY, task text)";

const FILE: &str = "\
[[http.expose]]
table = \"todo\"
columns = [\"task\", \"done\", \"price\", \"command\", \"sql\"]
context = [\"user_id\"]

[[http.expose]]
table = 'sales.\"Line Items\"'
columns = [\"amount\"]
";

async fn live() -> Live {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FILE).unwrap();
    let live = Live::with_file(SCHEMA, file.path()).await;
    live.tracked.setup(&["--ddl"]).await;
    live
}

/// Looks again and again, until that many changes are stored.
async fn stored(live: &Live, sql: &str, count: i64) {
    live.tracked.sql(sql).await;
    live.tracked.wait_for_count(count).await;
}

fn changes(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.body.contains(SECRET), "{answer:?}");
    answer.json()["changes"].as_array().unwrap().clone()
}

fn operations(changes: &[Value]) -> Vec<&str> {
    changes.iter().map(|change| change["operation"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_history_is_what_happened_to_the_named_columns() {
    let live = live().await;
    let sql = "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"user_id\": 188, \"ip\": \"hunter2\"}'); \
               INSERT INTO todo VALUES ('26', 'Sleep', false, 'hunter2', 1.10); COMMIT; \
               UPDATE todo SET task = 'Eat', note = 'hunter2, too'; \
               UPDATE todo SET note = 'hunter2 alone'; \
               DELETE FROM todo; TRUNCATE todo";
    stored(&live, sql, 5).await;
    let answer = live.get("/records/todo/26").await;
    let changes = changes(&answer);
    assert_eq!(operations(&changes), ["TRUNCATE", "DELETE", "UPDATE", "CREATE"]);
    let create = &changes[3];
    assert_eq!(create["before"], json!({}));
    assert_eq!(create["context"], json!({"user_id": 188}));
    assert!(
        answer.body.contains(r#""after":{"done":false,"price":1.10,"task":"Sleep"}"#),
        "{answer:?}"
    );
    assert_eq!(changes[2]["changed"], json!(["task"]));
    assert_eq!(changes[2]["before"]["task"], "Sleep");
    assert_eq!(changes[2]["context"], json!({}));
    assert_eq!(answer.json()["table"], "todo");
    assert_eq!(answer.json()["next"], Value::Null);
}

/// Whatever is done to a record, in whatever way it is asked for: the names and values that are not
/// named are in no answer.
#[tokio::test]
async fn what_is_not_named_appears_in_no_answer() {
    let live = live().await;
    let sql = "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"hunter2\": 1, \"user_id\": 1, \"SQL\": \"hunter2\"}'); \
               INSERT INTO todo VALUES ('hunter2', 'a', false, 'hunter2', 1), ('1', 'b', false, 'hunter2', 1); COMMIT; \
               ALTER TABLE todo REPLICA IDENTITY DEFAULT; \
               UPDATE todo SET note = 'hunter2!', done = true WHERE id = '1'; \
               UPDATE todo SET id = 'hunter2hunter2' WHERE id = '1'; \
               UPDATE todo SET id = '1' WHERE id = 'hunter2'; \
               ALTER TABLE todo REPLICA IDENTITY FULL; \
               ALTER TABLE todo ADD COLUMN hunter2 text DEFAULT 'hunter2'; \
               UPDATE todo SET hunter2 = 'hunter2?', task = 'c' WHERE id = '1'; \
               DELETE FROM todo WHERE id = '1'; \
               INSERT INTO todo (id, task) VALUES ('1', 'again')";
    live.tracked.sql(sql).await;
    live.tracked.setup(&["--replica-identity", "full"]).await;
    let output = live.tracked.worker(&["backfill", "todo", "--again"]).run_to_end().await;
    output.assert_code(0);
    live.tracked.sql("TRUNCATE todo").await;
    bemi_tests::eventually(super::http::ANSWERED_WITHIN, "the last change", async || {
        let count = "SELECT count(*) FROM changes WHERE operation = 'TRUNCATE'";
        (live.tracked.value::<i64>(count).await == 1).then_some(())
    })
    .await;
    let stored: Vec<String> =
        live.tracked.changes().await.iter().map(|change| change.operation.clone()).collect();
    for operation in ["CREATE", "UPDATE", "DELETE", "TRUNCATE", "SNAPSHOT", "DDL"] {
        assert!(stored.iter().any(|stored| stored == operation), "{operation}: {stored:?}");
    }
    for key in ["1", "hunter%32", "hunter2hunter2"] {
        for query in ["", "?order=oldest", "?limit=1", "?limit=200&order=newest"] {
            let answer = live.get(&format!("/records/todo/{key}{query}")).await;
            let changes = changes(&answer);
            assert!(!changes.is_empty(), "{key}{query}");
            for change in &changes {
                for name in ["note", "primary_key", "previous_key", "transaction_id", "id", "SQL"] {
                    assert!(!change.to_string().contains(&format!("\"{name}\"")), "{change}");
                }
            }
        }
    }
}

#[tokio::test]
async fn tables_that_are_not_named_are_like_tables_that_are_not_there() {
    let live = live().await;
    stored(
        &live,
        "INSERT INTO hidden VALUES ('1', 'x'); INSERT INTO sales.todo VALUES ('1', 'x')",
        2,
    )
    .await;
    let missing = live.get("/records/nowhere/1").await;
    assert_eq!(missing.status, 404);
    let long = format!("/records/{}/1", "x".repeat(8_000));
    for target in [
        "/records/hidden/1",
        "/records/public.hidden/1",
        "/records/sales.todo/1",
        "/records/Hidden/1",
        "/records/%22todo%22%3B%20DROP%20TABLE%20todo/1",
        "/records/todo%27%20OR%20true%20--/1",
        "/records/%2e%2e/1",
        "/records/changes/1",
        "/records/bemi.checkpoint/1",
        "/records/pg_catalog.pg_authid/1",
        "/records/%00/1",
        "/records/%ff/1",
        "/records/a.b.c/1",
        &long,
    ] {
        let answer = live.get(target).await;
        assert_eq!((answer.status, &answer.body), (404, &missing.body), "{target}");
    }
}

#[tokio::test]
async fn keys_are_texts_whatever_is_in_them() {
    let live = live().await;
    let keys = ["'; DROP TABLE changes; --", "a/b c?d=e&f#g%", "ünï", "\\", "\"", "%s", "$1"];
    for (number, key) in keys.iter().enumerate() {
        live.tracked
            .client
            .execute("INSERT INTO todo VALUES ($1, $2)", &[key, &number.to_string()])
            .await
            .unwrap();
    }
    live.tracked.wait_for_count(keys.len().try_into().unwrap()).await;
    for (number, key) in keys.iter().enumerate() {
        let key: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = live.get(&format!("/records/public.todo/{key}")).await;
        let changes = changes(&answer);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0]["after"]["task"], number.to_string());
    }
    assert!(changes(&live.get("/records/todo/nobody").await).is_empty());
    for key in ["%00", "%ff", "a%00b"] {
        assert_eq!(live.get(&format!("/records/todo/{key}")).await.status, 404);
    }
}

#[tokio::test]
async fn keys_of_several_columns_are_an_array() {
    let live = live().await;
    stored(&live, "INSERT INTO sales.\"Line Items\" VALUES (1, 'x', 5.50), (1, 'y', 6)", 2).await;
    let answer = live.get("/records/sales.%22Line%20Items%22/%5B%221%22%2C%22x%22%5D").await;
    assert_eq!(changes(&answer).len(), 1);
    assert!(answer.body.contains(r#""after":{"amount":5.50}"#), "{answer:?}");
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let live = live().await;
    live.tracked.sql("INSERT INTO todo VALUES ('1', '0')").await;
    for number in 1..=9 {
        // Every second one is of another column alone.
        let set = if number % 2 == 0 { "note" } else { "task" };
        live.tracked.sql(&format!("UPDATE todo SET {set} = '{number}'")).await;
    }
    live.tracked.wait_for_count(10).await;
    for (order, expected) in
        [("oldest", ["0", "1", "3", "5", "7", "9"]), ("newest", ["9", "7", "5", "3", "1", "0"])]
    {
        let (mut tasks, mut cursor) = (Vec::new(), String::new());
        loop {
            let target = format!("/records/todo/1?limit=3&order={order}{cursor}");
            let answer = live.get(&target).await;
            for change in changes(&answer) {
                tasks.push(change["after"]["task"].as_str().unwrap().to_owned());
            }
            match answer.json()["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(tasks, expected);
    }
}

#[tokio::test]
async fn what_is_no_page_is_refused_and_said() {
    let live = live().await;
    for (query, why) in [
        ("?limit=0", "200"),
        ("?limit=201", "200"),
        ("?limit=x", "200"),
        ("?order=random", "newest"),
        ("?cursor=x", "23813016.2"),
        ("?columns=note", "columns"),
        ("?after=%7B%7D", "after"),
        ("?limit=1&limit=2", "twice"),
    ] {
        let answer = live.get(&format!("/records/todo/1{query}")).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.error().contains(why), "{answer:?}");
    }
}

#[tokio::test]
async fn an_exposure_that_cannot_be_is_refused_at_the_start() {
    let tracked = bemi_tests::Tracked::new(SCHEMA).await;
    for (expose, why) in [
        ("table = \"todo\"\n", "columns"),
        ("table = \"todo\"\ncolumns = []\n", "no columns"),
        ("table = \"a.b.c\"\ncolumns = [\"x\"]\n", "a.b.c"),
        ("table = \"todo\"\ncolumns = [\"x\"]\ncolunms = []\n", "colunms"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("[[http.expose]]\n{expose}")).unwrap();
        let path = file.path().to_str().unwrap();
        let worker = tracked.worker(&["run", "--http", "127.0.0.1:0", "--config", path]);
        let output = worker.run_to_end().await.assert_code(2);
        assert!(output.stderr.contains(why), "{output}");
    }
}
