//! Names with everything that names may hold.

use bemi_tests::Tracked;
use serde_json::{Map, Value, json};

use super::expected::{created, deleted, recorded, truncated, updated};

/// As SQL takes them, and as they are. The longest has 63 bytes.
const NAMES: [&str; 12] = [
    "it's \"quoted\"",
    " spaces and\ttabs\nand lines ",
    "UPPER",
    "with.dots.in.it",
    "😀🏳️‍🌈",
    "select",
    "back\\slash",
    "%I $1 {} /* -- ",
    "ünïcödé_é",
    "e\u{301} combining",
    "_bemi",
    "a23456789b23456789c23456789d23456789e23456789f23456789g23456789",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[tokio::test]
async fn schemas_tables_and_columns_may_have_any_name() {
    let columns: String = NAMES.map(|name| format!(", {} int", quoted(name))).concat();
    let mut schema = String::new();
    for name in NAMES {
        let name = quoted(name);
        schema += &format!(
            "CREATE SCHEMA {name}; CREATE TABLE {name}.{name} (id int{columns}, PRIMARY KEY (id, {name}));"
        );
    }
    let tracked = Tracked::new(&schema).await;
    let mut expected = Vec::new();
    let numbers: Map<String, Value> =
        NAMES.iter().zip(1..).map(|(name, number)| ((*name).to_owned(), json!(number))).collect();
    let values: String = (1..=NAMES.len()).map(|number| format!(", {number}")).collect();
    for (number, name) in NAMES.iter().enumerate() {
        let table = format!("{0}.{0}", quoted(name));
        tracked
            .sql(&format!(
                "INSERT INTO {table} VALUES (1{values}); UPDATE {table} SET id = 2; DELETE FROM {table}; TRUNCATE {table}"
            ))
            .await;
        let row = |id: i32| {
            let mut row = numbers.clone();
            row.insert("id".to_owned(), json!(id));
            Value::Object(row)
        };
        let key = |id: i32| json!([id.to_string(), (number + 1).to_string()]).to_string();
        let table = format!("{name}.{name}");
        expected.extend([
            created(&table, key(1).as_str(), row(1)),
            updated(&table, key(2).as_str(), row(1), row(2)).previously(&key(1)),
            deleted(&table, key(2).as_str(), row(2)),
            truncated(&table),
        ]);
    }
    assert_eq!(recorded(&tracked).await, expected);
}

/// Only what is really ours is left alone: the table `changes` where it is kept, and schema `bemi`.
#[tokio::test]
async fn names_that_look_like_ours_or_the_servers_are_tables_like_any_other() {
    let tables = [
        "app.changes",
        "\"before\"",
        "\"bemi \".checkpoint",
        "bemi_settings",
        "pgbench",
        "app.pg_class",
    ];
    let mut schema = "CREATE SCHEMA app; CREATE SCHEMA \"bemi \";".to_owned();
    for table in tables {
        schema += &format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, before int, after int, \"table\" int, operation text);"
        );
    }
    let tracked = Tracked::new(&schema).await;
    let mut expected = Vec::new();
    for table in tables {
        tracked.sql(&format!("INSERT INTO {table} VALUES (1, 2, 3, 4, 'TRUNCATE')")).await;
        let row = json!({"id": 1, "before": 2, "after": 3, "table": 4, "operation": "TRUNCATE"});
        expected.push(created(&table.replace('"', ""), "1", row));
    }
    assert_eq!(recorded(&tracked).await, expected);
}
