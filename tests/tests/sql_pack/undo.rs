//! `bemi.undo_sql`: statements that take changes back, to be looked at and run in the source.

use serde_json::{Value, json};

use super::packed::{Packed, refused_by};

/// The rows of a table of the source now, as JSON.
async fn now(packed: &Packed, table: &str) -> Value {
    let sql = format!(
        "SELECT coalesce(jsonb_agg(to_jsonb(q.*) ORDER BY to_jsonb(q.*)), '[]') FROM {table} q"
    );
    packed.tracked.value(&sql).await
}

/// Runs what `bemi.undo_sql` says, in the source, as psql's `\gexec` does.
async fn undo(packed: &Packed, arguments: &str) -> Result<Vec<String>, String> {
    let statements = packed.texts(&format!("SELECT * FROM bemi.undo_sql({arguments})")).await;
    for sql in &statements {
        if let Err(error) = packed.tracked.client.batch_execute(sql).await {
            packed.sql("ROLLBACK").await;
            return Err(format!("{sql}\n{}", error.as_db_error().unwrap().message()));
        }
    }
    Ok(statements)
}

/// The id of the last change of an operation.
async fn last(packed: &Packed, operation: &str) -> String {
    let sql = format!(
        "SELECT quote_literal(id) FROM changes WHERE operation = '{operation}'
         ORDER BY commit_position DESC, sequence DESC LIMIT 1"
    );
    packed.texts(&sql).await.remove(0)
}

const TODO: &str =
    "CREATE TABLE todo (id int PRIMARY KEY, task text, done bool, n numeric, doc jsonb)";

#[tokio::test]
async fn each_kind_of_change_is_taken_back_in_one_database_and_in_two() {
    for packed in [Packed::new(TODO).await, Packed::in_two_databases(TODO).await] {
        packed
            .sql(
                r#"INSERT INTO todo VALUES (1, 'it''s "x" \ y', NULL, 1.10, '{"a": [1.0, null]}')"#,
            )
            .await;
        let first = now(&packed, "todo").await;
        packed.sql("UPDATE todo SET task = NULL, n = 'NaN', id = 7, doc = '[]'").await;
        let second = now(&packed, "todo").await;
        packed.sql("DELETE FROM todo").await;
        packed.store().await;
        undo(&packed, &last(&packed, "DELETE").await).await.unwrap();
        assert_eq!(now(&packed, "todo").await, second);
        undo(&packed, &last(&packed, "UPDATE").await).await.unwrap();
        assert_eq!(now(&packed, "todo").await, first);
        packed.store().await;
        // It is in the record itself, and says what it was; and can be undone.
        let context = packed
            .json(
                "SELECT context -> 'revert_of' ->> 'count' AS count FROM changes
                                   ORDER BY commit_position DESC LIMIT 1",
            )
            .await;
        assert_eq!(context, json!([{"count": "1"}]));
        undo(&packed, &last(&packed, "UPDATE").await).await.unwrap();
        assert_eq!(now(&packed, "todo").await, second);
        packed.sql("UPDATE todo SET task = 'other'").await;
        packed.sql("UPDATE todo SET id = 1").await;
        packed.sql("INSERT INTO todo VALUES (8)").await;
        packed.store().await;
        undo(&packed, &last(&packed, "CREATE").await).await.unwrap();
        assert_eq!(now(&packed, "todo").await.as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn only_what_the_change_touched_is_touched_and_it_must_be_what_the_change_left() {
    let packed = Packed::new(TODO).await;
    packed.sql("INSERT INTO todo VALUES (1, 'Eat', false, 1, NULL)").await;
    packed.sql("UPDATE todo SET done = true").await;
    packed.store().await;
    let change = last(&packed, "UPDATE").await;
    packed.sql("UPDATE todo SET task = 'Sleep'").await;
    undo(&packed, &change).await.unwrap();
    let rows = json!([{"id": 1, "task": "Sleep", "done": false, "n": 1, "doc": null}]);
    assert_eq!(now(&packed, "todo").await, rows);
    // It is gone already.
    let error = undo(&packed, &change).await.unwrap_err();
    assert!(error.ends_with("division by zero"), "{error}");
    assert_eq!(now(&packed, "todo").await, rows);
    let created = last(&packed, "CREATE").await;
    assert!(undo(&packed, &created).await.is_err());
    assert_eq!(now(&packed, "todo").await, rows);
}

#[tokio::test]
async fn a_transaction_and_what_a_context_did_go_back_as_a_whole_with_what_cascaded() {
    let packed = Packed::new(
        "CREATE TABLE author (id int PRIMARY KEY, name text UNIQUE);
         CREATE TABLE book (id int, part int, author_id int REFERENCES author ON DELETE CASCADE ON UPDATE CASCADE,
                            PRIMARY KEY (id, part));
         CREATE TABLE prize (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                             author_id int REFERENCES author ON DELETE SET NULL)",
    )
    .await;
    packed
        .sql("INSERT INTO author VALUES (1, 'Ada'), (2, 'Bo'); INSERT INTO book SELECT i, 1, 1 + i % 2
              FROM generate_series(1, 50) AS i; INSERT INTO prize (author_id) VALUES (1), (2)")
        .await;
    let tables = ["author", "book", "prize"];
    let mut before = Vec::new();
    for table in tables {
        before.push(now(&packed, table).await);
    }
    packed
        .sql(
            "BEGIN; SELECT bemi.set_context('{\"request_id\": \"it''s\"}');
             UPDATE author SET name = 'Cy' WHERE id = 1; INSERT INTO author VALUES (3, 'Ada');
             INSERT INTO book VALUES (100, 1, 3), (100, 2, 3); UPDATE book SET id = 101 WHERE id = 100;
             DELETE FROM author WHERE id = 2; DELETE FROM book WHERE id = 1; COMMIT",
        )
        .await;
    packed.sql("BEGIN; SELECT bemi.set_context('{\"request_id\": \"it''s\"}'); DELETE FROM author WHERE id = 1; COMMIT").await;
    packed.store().await;
    let filter = "context => '{\"request_id\": \"it''s\"}', reason => 'ticket 7'";
    undo(&packed, filter).await.unwrap();
    for (table, rows) in tables.iter().zip(&before) {
        assert_eq!(now(&packed, table).await, *rows, "{table}");
    }
}

#[tokio::test]
async fn what_others_have_come_to_refer_to_is_not_deleted_under_them() {
    let packed = Packed::new(
        "CREATE TABLE author (id int PRIMARY KEY);
         CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author ON DELETE CASCADE)",
    )
    .await;
    packed.sql("INSERT INTO author VALUES (1)").await;
    packed.store().await;
    packed.sql("INSERT INTO book VALUES (1, 1)").await;
    let error = undo(&packed, &last(&packed, "CREATE").await).await.unwrap_err();
    assert!(error.contains("rows of public.book refer to what is to be deleted"), "{error}");
    assert_eq!(now(&packed, "book").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn names_keys_and_values_never_become_sql() {
    let packed = Packed::new(
        r#"CREATE SCHEMA "a'; DROP TABLE canary --"; CREATE TABLE canary (id int PRIMARY KEY);
           CREATE TABLE "a'; DROP TABLE canary --"."b""c.$x$%s%1$I" ("x" text PRIMARY KEY, "t" text, "k'%L" text, "w" int)"#,
    )
    .await;
    let table = r#""a'; DROP TABLE canary --"."b""c.$x$%s%1$I""#;
    let hostile = "'''; DROP TABLE canary; -- $$ $do$ %s \\";
    let literal = format!("'{}'", hostile.replace('\'', "''"));
    packed.sql(&format!("INSERT INTO {table} VALUES ({literal}, {literal}, {literal}, 1)")).await;
    let first = now(&packed, table).await;
    packed.sql(&format!("UPDATE {table} SET t = 'x', \"k'%L\" = NULL")).await;
    packed.sql(&format!("DELETE FROM {table}")).await;
    packed.store().await;
    undo(&packed, &last(&packed, "DELETE").await).await.unwrap();
    undo(&packed, &last(&packed, "UPDATE").await).await.unwrap();
    assert_eq!(now(&packed, table).await, first);
    undo(&packed, &last(&packed, "CREATE").await).await.unwrap();
    assert_eq!(now(&packed, table).await, json!([]));
    assert_eq!(now(&packed, "canary").await, json!([]));
}

#[tokio::test]
async fn what_cannot_be_undone_by_sql_is_an_error_that_says_so() {
    let packed = Packed::new(&format!("{TODO}; CREATE TABLE k (id int PRIMARY KEY, a text)")).await;
    packed.setup(&["--replica-identity", "keep"]).await;
    packed
        .sql("ALTER TABLE k REPLICA IDENTITY DEFAULT; INSERT INTO k VALUES (1); DELETE FROM k")
        .await;
    packed.store().await;
    let ask = async |arguments: &str| {
        refused_by(packed.client(), &format!("SELECT * FROM bemi.undo_sql({arguments})")).await
    };
    let (state, message, _) = ask(&last(&packed, "DELETE").await).await;
    assert_eq!(state, "ZB001");
    assert!(
        message.ends_with("the table's replica identity does not tell what the row was before"),
        "{message}"
    );
    packed.sql("INSERT INTO todo VALUES (1); TRUNCATE todo").await;
    packed.store().await;
    assert_eq!(ask(&last(&packed, "TRUNCATE").await).await.0, "ZB001");
    assert_eq!(ask("").await.0, "22023");
    assert_eq!(ask("context => '{}'").await.0, "22023");
    assert_eq!(ask("transaction => 1").await.0, "ZB003");
    assert_eq!(ask("'01890a5d-ac96-874b-bcce-b302099a8057'").await.0, "ZB003");
    let none = "SELECT * FROM bemi.undo_sql(context => '{\"nobody\": 1}')";
    assert_eq!(packed.texts(none).await, [""; 0]);
    // A deleted row may lack what was masked.
    packed.setup(&["--mask", "todo.task=drop"]).await;
    packed.sql("INSERT INTO todo VALUES (2, 'x')").await;
    packed.sql("DELETE FROM todo WHERE id = 2").await;
    packed.store().await;
    let error = undo(&packed, &last(&packed, "DELETE").await).await.unwrap_err();
    assert!(error.contains("columns are masked"), "{error}");
}
