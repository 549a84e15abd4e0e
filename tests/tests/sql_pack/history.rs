//! What became of a record: `bemi.history`, `bemi.field_changes` and `bemi.activity`.

use bemi_core::Change;
use serde_json::{Value, json};

use super::packed::Packed;

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done bool)";

#[tokio::test]
async fn a_history_has_the_changes_of_a_row_the_newest_first() {
    let packed = Packed::new(TODO).await;
    packed
        .sql(
            "INSERT INTO todo VALUES (1, 'Eat', false), (2, 'Sleep', false);
             SELECT bemi.set_context('{\"user_id\": 7}');
             UPDATE todo SET done = true WHERE id = 1",
        )
        .await;
    packed.sql("DELETE FROM todo WHERE id = 1").await;
    packed.store().await;
    let history = packed
        .json("SELECT operation, before ->> 'done' AS was, after ->> 'done' AS is FROM bemi.history('todo', '1')")
        .await;
    assert_eq!(
        history,
        json!([
            {"operation": "DELETE", "was": "true", "is": null},
            {"operation": "UPDATE", "was": "false", "is": "true"},
            {"operation": "CREATE", "was": null, "is": "false"},
        ])
    );
    // The last statement of three that were sent at once, in one transaction.
    let context =
        packed.json("SELECT context FROM bemi.history('todo', '1') OFFSET 1 LIMIT 1").await;
    assert_eq!(context, json!([{"context": {"user_id": 7}}]));
}

#[tokio::test]
async fn a_history_knows_how_a_row_came_to_its_key_and_how_it_lost_it() {
    let packed = Packed::new(TODO).await;
    packed.sql("INSERT INTO todo VALUES (1, 'Eat', false)").await;
    packed.sql("UPDATE todo SET id = 2").await;
    packed.sql("TRUNCATE todo").await;
    packed.store().await;
    let of = async |key: &str| {
        let sql = format!("SELECT operation FROM bemi.history('todo', '{key}')");
        packed.texts(&sql).await
    };
    assert_eq!(of("1").await, ["TRUNCATE", "UPDATE", "CREATE"]);
    assert_eq!(of("2").await, ["TRUNCATE", "UPDATE"]);
    // A key that there never was shares what became of all rows.
    assert_eq!(of("3").await, ["TRUNCATE"]);
}

#[tokio::test]
async fn a_history_is_found_by_a_key_of_several_columns_and_a_name_with_quotes() {
    let packed = Packed::new(
        r#"CREATE SCHEMA "My Schema";
           CREATE TABLE "My Schema"."T.x" (a int, b text, PRIMARY KEY (a, b))"#,
    )
    .await;
    packed.sql(r#"INSERT INTO "My Schema"."T.x" VALUES (1, 'it''s "b"')"#).await;
    packed.store().await;
    let found = packed
        .json(
            r#"SELECT operation, after ->> 'b' AS b
               FROM bemi.history('"My Schema"."T.x"', '["1","it''s \"b\""]')"#,
        )
        .await;
    assert_eq!(found, json!([{"operation": "CREATE", "b": "it's \"b\""}]));
}

#[tokio::test]
async fn each_field_that_changed_has_a_row() {
    let packed = Packed::new(TODO).await;
    packed.sql("INSERT INTO todo VALUES (1, 'Eat', NULL)").await;
    packed.sql("UPDATE todo SET task = 'Sleep'").await;
    packed.store().await;
    let fields = packed
        .json(r#"SELECT operation, "column", old, new FROM bemi.field_changes('todo', '1')"#)
        .await;
    assert_eq!(
        fields,
        json!([
            {"operation": "UPDATE", "column": "task", "old": "Eat", "new": "Sleep"},
            {"operation": "CREATE", "column": "done", "old": null, "new": null},
            {"operation": "CREATE", "column": "id", "old": null, "new": 1},
            {"operation": "CREATE", "column": "task", "old": null, "new": "Eat"},
        ])
    );
    // A NULL in the row is not the same as no row.
    let nulls = "SELECT (old IS NULL)::text || (new IS NULL)::text || (new = 'null')::text \
                 FROM bemi.field_changes('todo', '1') WHERE \"column\" = 'done'";
    assert_eq!(packed.texts(nulls).await, ["truefalsetrue"]);
}

#[tokio::test]
async fn the_fields_are_those_that_the_rust_api_tells() {
    let packed = Packed::new(
        "CREATE TABLE t (id int PRIMARY KEY, n numeric, j jsonb, big text);
         CREATE TABLE k (id int PRIMARY KEY, n numeric, big text)",
    )
    .await;
    packed.setup(&["--replica-identity", "keep"]).await;
    packed
        .sql("ALTER TABLE k REPLICA IDENTITY DEFAULT; ALTER TABLE k ALTER big SET STORAGE EXTERNAL")
        .await;
    for table in ["t", "k"] {
        packed
            .sql(&format!(
                "INSERT INTO {table} (id, n, big) VALUES (1, 1.0, repeat('x', 10000)), (2, 2, '');
                 UPDATE {table} SET n = 1.00 WHERE id = 1;
                 UPDATE {table} SET id = 3, big = 'y' WHERE id = 1;
                 UPDATE {table} SET n = NULL WHERE id = 3;
                 DELETE FROM {table} WHERE id = 3;
                 TRUNCATE {table}"
            ))
            .await;
    }
    packed.sql("INSERT INTO t VALUES (3, 1, '{\"a\": [1, null]}', NULL)").await;
    packed.store().await;
    for (table, key) in [("t", "1"), ("t", "3"), ("k", "1"), ("k", "3")] {
        let rows = packed
            .rows(&format!(
                "SELECT to_jsonb(c)::text FROM changes c WHERE \"table\" = '{table}'
                 AND ('{key}' IN (primary_key, previous_key) OR operation = 'TRUNCATE')
                 ORDER BY commit_position DESC, sequence DESC"
            ))
            .await;
        let changes: Vec<Change> =
            rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect();
        let expected: Vec<[Option<String>; 4]> = changes
            .iter()
            .flat_map(|change| {
                change.fields().into_iter().map(|field| {
                    [
                        Some(change.operation.to_string()),
                        Some(field.column.to_owned()),
                        field.before.map(str::to_owned),
                        field.after.map(str::to_owned),
                    ]
                })
            })
            .collect();
        let told = packed
            .rows(&format!(
                "SELECT operation, \"column\", old::text, new::text
                 FROM bemi.field_changes('{table}', '{key}')"
            ))
            .await;
        let told: Vec<[Option<String>; 4]> =
            told.iter().map(|row| [row.get(0), row.get(1), row.get(2), row.get(3)]).collect();
        assert!(!told.is_empty());
        assert_eq!(told, expected, "{table} {key}");
    }
}

#[tokio::test]
async fn activity_counts_who_changed_what_over_time() {
    let packed = Packed::new(TODO).await;
    for user in ["{\"user_id\": 7}", "{\"user_id\": 7}", "{\"actor\": {\"name\": \"ops\"}}"] {
        packed
            .sql(&format!(
                "BEGIN; SELECT bemi.set_context('{user}');
                 INSERT INTO todo SELECT coalesce(max(id), 0) + 1 FROM todo;
                 INSERT INTO todo SELECT max(id) + 1 FROM todo; COMMIT"
            ))
            .await;
    }
    packed.store().await;
    let counts = |rows: Value| {
        let rows = rows.as_array().unwrap().clone();
        rows.into_iter()
            .map(|row| (row["who"].clone(), row["changes"].clone(), row["transactions"].clone()))
            .collect::<Vec<_>>()
    };
    let by_user = packed.json("SELECT who, changes, transactions FROM bemi.activity").await;
    assert_eq!(
        counts(by_user),
        [(json!("7"), json!(4), json!(2)), (Value::Null, json!(2), json!(1))]
    );
    let by_name = packed
        .json(
            "SELECT who, changes, transactions FROM bemi.activity(by => 'actor.name', per => 'hour')
             WHERE who IS NOT NULL",
        )
        .await;
    assert_eq!(counts(by_name), [(json!("ops"), json!(2), json!(1))]);
    let past =
        "SELECT who, changes, transactions FROM bemi.activity(until => now() - interval '1 h')";
    assert_eq!(counts(packed.json(past).await), []);
}

#[tokio::test]
async fn a_table_that_the_record_does_not_know_is_an_error_and_never_an_empty_answer() {
    let packed = Packed::new(
        "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY);
         CREATE TABLE todo (id int PRIMARY KEY)",
    )
    .await;
    packed.sql("INSERT INTO sales.orders VALUES (1); INSERT INTO todo VALUES (1)").await;
    packed.store().await;
    let (state, message, hint) = packed.refused("SELECT * FROM bemi.history('orders', '1')").await;
    assert_eq!(state, "42P01");
    assert_eq!(message, "bemi: the record has no table public.orders");
    assert_eq!(hint, "Do you mean sales.orders?");
    for name in ["", "a.b.c", "todo; DROP TABLE todo", "todo' OR true --", "\"todo", "to do"] {
        let quoted = name.replace('\'', "''");
        let (state, message, _) =
            packed.refused(&format!("SELECT * FROM bemi.history('{quoted}', '1')")).await;
        assert_eq!(state, "22023", "{message}");
        assert_eq!(message, format!("bemi: '{name}' is not the name of a table"));
    }
}

#[tokio::test]
async fn the_past_of_another_database_has_a_history_too() {
    let packed = Packed::in_two_databases(TODO).await;
    packed.sql("INSERT INTO todo VALUES (1, 'Eat', false); UPDATE todo SET done = true").await;
    packed.store().await;
    let history = packed.texts("SELECT operation FROM bemi.history('todo', '1')").await;
    assert_eq!(history, ["UPDATE", "CREATE"]);
}
