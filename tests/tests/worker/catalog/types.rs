//! Other types that are altered, dropped and made anew.

use bemi_tests::Tracked;
use serde_json::json;

use super::{exact, row, stored, text};

#[tokio::test]
async fn a_value_that_an_enum_gets_or_loses_its_name_to_is_its_text() {
    let tracked = Tracked::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); \
         CREATE TABLE t (id int PRIMARY KEY, p mood, l mood[])",
    )
    .await;
    for sql in [
        "INSERT INTO t VALUES (1, 'ok', '{sad}')",
        "ALTER TYPE mood ADD VALUE 'happy'",
        "INSERT INTO t VALUES (2, 'happy', '{ok,happy}')",
        "ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'",
        "INSERT INTO t VALUES (3, 'glad', '{}')",
    ] {
        tracked.sql(sql).await;
    }
    tracked.store().await;
    assert_eq!(
        stored(&tracked).await,
        [
            row(json!({"id": 1, "p": "ok", "l": ["sad"]}), &[]),
            row(json!({"id": 2, "p": "happy", "l": ["ok", "happy"]}), &[]),
            row(json!({"id": 3, "p": "glad", "l": []}), &[]),
        ]
    );
}

#[tokio::test]
async fn values_of_a_type_that_is_gone_are_text() {
    for (create, value, written) in [
        ("CREATE TYPE gone AS (a int, b text)", "(1,x)", "(1,x)"),
        ("CREATE TYPE gone AS ENUM ('a')", "a", "a"),
        ("CREATE DOMAIN gone AS int", "7", "7"),
        ("CREATE TYPE gone AS RANGE (subtype = int)", "[1,5)", "[1,5)"),
    ] {
        let tracked =
            Tracked::new(&format!("{create}; CREATE TABLE t (id int PRIMARY KEY, p gone)")).await;
        tracked.sql(&format!("INSERT INTO t VALUES (1, '{value}')")).await;
        tracked.sql("ALTER TABLE t DROP COLUMN p; INSERT INTO t VALUES (2)").await;
        let drop = if create.contains("DOMAIN") { "DROP DOMAIN gone" } else { "DROP TYPE gone" };
        tracked.sql(drop).await;
        tracked.store().await;
        assert_eq!(
            stored(&tracked).await,
            [text(1, written), row(json!({"id": 2}), &[])],
            "{create}"
        );
    }
}

#[tokio::test]
async fn a_type_made_anew_under_the_same_name_is_another_one() {
    let tracked = Tracked::new(
        "CREATE TYPE pair AS (a int, b text); CREATE TABLE t (id int PRIMARY KEY, p pair)",
    )
    .await;
    tracked
        .sql("INSERT INTO t VALUES (1, '(1,x)'); ALTER TABLE t DROP COLUMN p; DROP TYPE pair")
        .await;
    tracked
        .sql(
            "CREATE TYPE pair AS (c int, d text); ALTER TABLE t ADD p pair; \
             INSERT INTO t VALUES (2, '(2,x)')",
        )
        .await;
    tracked.store().await;
    assert_eq!(stored(&tracked).await, [text(1, "(1,x)"), exact(2, json!({"c": 2, "d": "x"}))]);
}

#[tokio::test]
async fn a_domain_that_is_altered_is_what_it_is_over() {
    let tracked = Tracked::new(
        "CREATE DOMAIN amount AS numeric; CREATE TABLE t (id int PRIMARY KEY, p amount)",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 1.50); ALTER DOMAIN amount ADD CHECK (VALUE > 0); \
             INSERT INTO t VALUES (2, 2.50); ALTER DOMAIN amount RENAME TO price; \
             INSERT INTO t VALUES (3, 3.50)",
        )
        .await;
    tracked.store().await;
    let numbers: Vec<String> = tracked
        .changes()
        .await
        .iter()
        .map(|change| {
            assert_eq!(change.encoded, None);
            change.after["p"].to_string()
        })
        .collect();
    assert_eq!(numbers, ["1.5", "2.5", "3.5"]);
}
