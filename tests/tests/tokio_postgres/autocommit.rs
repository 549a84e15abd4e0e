//! Writes without a transaction of the caller's own.

use bemi_tests::journal::{Event, by, by_nobody, inserted, messages, user};
use bemi_tests::merge_into_todo;
use bemi_tokio_postgres::{
    ContextFutureExt, MissingContext, MissingContextError, Settings, add_context, with_context,
    write,
};
use serde_json::json;
use tokio_postgres::types::Type;

use crate::app::{App, INSERT};

#[tokio::test]
async fn each_write_in_a_scope_has_its_context_before_it_in_its_own_transaction() {
    let app = App::new().await;
    with_context(user(1), async {
        app.client.execute(INSERT, &[&1, &"Sleep"]).await?;
        app.client.execute("UPDATE todo SET task = $1", &[&"Eat"]).await?;
        app.client.execute("DELETE FROM todo WHERE id = $1", &[&1]).await
    })
    .await
    .unwrap();
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "Sleep"))],
            [by(1, "todo: UPDATE: id:1 task:'Eat'")],
            [by(1, "todo: DELETE: id:1")]
        ]
    );
}

#[tokio::test]
async fn every_method_that_can_write_emits() {
    let app = App::new().await;
    let client = &app.client;
    let returning = "INSERT INTO todo VALUES ($1, 'x') RETURNING id";
    let prepared = client.prepare(returning).await.unwrap();
    let typed = client.prepare_typed(returning, &[Type::INT4]).await.unwrap();
    let owned = returning.to_owned();
    let int = |id| [(id, Type::INT4)];
    with_context(user(1), async {
        assert_eq!(client.query(&prepared, &[&1]).await.unwrap()[0].get::<_, i32>(0), 1);
        assert_eq!(client.query_scalar::<i32, _>(&typed, &[&2]).await.unwrap(), [2]);
        assert_eq!(client.query_one(&owned, &[&3]).await.unwrap().get::<_, i32>(0), 3);
        assert_eq!(client.query_one_scalar::<i32, _>(returning, &[&4]).await.unwrap(), 4);
        assert!(client.query_opt(returning, &[&5]).await.unwrap().is_some());
        assert_eq!(client.query_opt_scalar(returning, &[&6]).await.unwrap(), Some(6));
        drop(client.query_raw(returning, [7]).await.unwrap());
        assert_eq!(client.query_typed(returning, &[(&8, Type::INT4)]).await.unwrap().len(), 1);
        client.query_typed_one(returning, &[(&9, Type::INT4)]).await.unwrap();
        assert!(client.query_typed_opt(returning, &[(&10, Type::INT4)]).await.unwrap().is_some());
        drop(client.query_typed_raw(returning, int(11)).await.unwrap());
        assert_eq!(client.execute(&prepared, &[&12]).await.unwrap(), 1);
        assert_eq!(client.execute_raw(returning, [13]).await.unwrap(), 1);
        assert_eq!(client.execute_typed(returning, &[(&14, Type::INT4)]).await.unwrap(), 1);
        client.batch_execute("INSERT INTO todo VALUES (15, 'x')").await.unwrap();
        client.simple_query("INSERT INTO todo VALUES (16, 'x')").await.unwrap();
        drop(client.simple_query_raw("INSERT INTO todo VALUES (17, 'x')").await.unwrap());
    })
    .await;
    client.check_connection().await.unwrap();
    let expected: Vec<_> = (1..=17).map(|id| vec![by(1, inserted(id, "x"))]).collect();
    assert_eq!(app.changes().await, expected);
}

#[tokio::test]
async fn rows_affected_and_returned_rows_are_those_of_the_plain_client() {
    let app = App::new().await;
    let insert = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 3) n RETURNING id";
    let plain: Vec<i32> = app.plain.query_scalar(insert, &[]).await.unwrap();
    app.run("TRUNCATE todo").await;
    with_context(user(1), async {
        let ours: Vec<i32> = app.client.query_scalar(insert, &[]).await.unwrap();
        assert_eq!(ours, plain);
        let update = "UPDATE todo SET task = 'y' WHERE id > $1";
        assert_eq!(app.client.execute(update, &[&1]).await.unwrap(), 2);
        let delete = "DELETE FROM todo WHERE id = $1 RETURNING id";
        assert!(app.client.query_opt(delete, &[&9]).await.unwrap().is_none());
        assert_eq!(app.client.query_one_scalar::<i32, _>(delete, &[&1]).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_write_of_which_one_row_was_expected_and_several_came_has_happened_all_the_same() {
    let app = App::new().await;
    let insert = |from| {
        format!(
            "INSERT INTO todo SELECT n, 'x' FROM generate_series({from}, {from} + 1) n RETURNING id"
        )
    };
    let plain = app.plain.query_one(&insert(1), &[]).await.unwrap_err();
    let ours = app.client.query_one(&insert(3), &[]).with_context(user(1)).await.unwrap_err();
    assert_eq!(ours.to_string(), plain.to_string());
    assert_eq!(app.count("todo").await, 4);
}

#[tokio::test]
async fn outside_a_scope_there_is_no_message() {
    let app = App::new().await;
    app.client.execute(INSERT, &[&1, &"Sleep"]).await.unwrap();
    app.client.batch_execute("INSERT INTO todo VALUES (2, 'Eat')").await.unwrap();
    assert_eq!(
        app.journal().await,
        [[Event::Change(inserted(1, "Sleep"))], [Event::Change(inserted(2, "Eat"))]]
    );
}

#[tokio::test]
async fn a_read_in_a_scope_has_no_transaction_id() {
    let app = App::new().await;
    with_context(user(1), async {
        let xid = "SELECT pg_current_xact_id_if_assigned()::text";
        assert_eq!(app.client.query_one_scalar::<Option<String>, _>(xid, &[]).await.unwrap(), None);
        app.client.query("SELECT id FROM todo FOR UPDATE", &[]).await.unwrap();
    })
    .await;
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn every_kind_of_write_has_its_context() {
    let app = App::new().await;
    let writes = [
        "INSERT INTO todo VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET task = excluded.task",
        "INSERT INTO todo VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET task = excluded.task",
        "WITH gone AS (DELETE FROM todo RETURNING id) SELECT count(*) FROM gone",
        "WITH new (id) AS (VALUES (2)) INSERT INTO todo SELECT id, 'c' FROM new",
        merge_into_todo(),
        "EXPLAIN ANALYZE DELETE FROM todo WHERE id = 2",
        "CREATE TABLE copied AS SELECT id FROM todo",
        "SELECT id INTO copied_too FROM todo",
        "TRUNCATE todo",
    ];
    for (number, write) in (1..).zip(writes) {
        app.client.execute(write, &[]).with_context(user(number)).await.unwrap();
    }
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(1, "a"))],
            vec![by(2, "todo: UPDATE: id:1 task:'b'")],
            vec![by(3, "todo: DELETE: id:1")],
            vec![by(4, inserted(2, "c"))],
            vec![by(5, "todo: UPDATE: id:2 task:'d'"), by(5, inserted(3, "e"))],
            vec![by(6, "todo: DELETE: id:2")],
            vec![by(7, "copied: INSERT: id:3")],
            vec![by(8, "copied_too: INSERT: id:3")],
            vec![by(9, "todo: TRUNCATE: (no-flags)")],
        ]
    );
}

#[tokio::test]
async fn a_select_that_calls_a_function_is_a_write_if_that_is_said() {
    let app = App::new().await;
    app.run("CREATE FUNCTION add_todo(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO todo VALUES ($1, ''f'') RETURNING id'")
        .await;
    let settings = Settings::new().write_functions(["add_todo"]).unwrap();
    let named = app.another().await.with_settings(settings);
    let sql = "SELECT add_todo($1)";
    with_context(user(1), async {
        assert_eq!(named.query_one_scalar::<i32, _>(sql, &[&1]).await.unwrap(), 1);
        app.client.execute(sql, &[&2]).await.unwrap();
        write(app.client.execute(sql, &[&3])).await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [[by(1, inserted(1, "f"))], [by_nobody(inserted(2, "f"))], [by(1, inserted(3, "f"))]]
    );
}

#[tokio::test]
async fn the_statements_text_goes_along_without_its_literals() {
    let app = App::new().await;
    let redacted = app.with_sql().await;
    let raw = app.another().await.with_settings(Settings::new().raw_sql_with_literals());
    with_context(user(1), async {
        let statement = redacted.prepare("INSERT INTO todo VALUES (1, $1)").await.unwrap();
        redacted.execute(&statement, &[&"secret"]).await.unwrap();
        raw.execute("UPDATE todo SET task = 'it''s'", &[]).await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    let message = |sql: &str| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    assert_eq!(journal[0][0], message("INSERT INTO todo VALUES (?, $1)"));
    assert_eq!(journal[1][0], message("UPDATE todo SET task = 'it''s'"));
}

#[tokio::test]
async fn what_is_added_to_the_scope_later_is_in_the_next_write() {
    let app = App::new().await;
    with_context([("endpoint", "/todos")], async {
        app.client.execute(INSERT, &[&1, &"x"]).await.unwrap();
        assert!(add_context([("user_id", 7)]));
        app.client.execute(INSERT, &[&2, &"x"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))], [by(7, inserted(2, "x"))]]);
}

#[tokio::test]
async fn inlined_messages_travel_with_the_write_like_others() {
    let app = App::new().await;
    let settings = Settings::new().without_sql().inline_messages();
    let client = app.another().await.with_settings(settings);
    client.execute(INSERT, &[&1, &"x"]).with_context(user(1)).await.unwrap();
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (1, 2));
}

#[tokio::test]
async fn where_a_context_must_be_there_a_write_without_one_is_not_sent() {
    use std::error::Error;

    let app = App::new().await;
    let settings = Settings::new().missing_context(MissingContext::Deny);
    let client = app.another().await.with_settings(settings);
    let refused = [
        client.execute("INSERT INTO todo VALUES (1, 'secret')", &[]).await.unwrap_err(),
        client.batch_execute("INSERT INTO todo VALUES (1, 'secret')").await.unwrap_err(),
        client.query_typed("DELETE FROM todo", &[]).await.unwrap_err(),
    ];
    for error in refused {
        let source = error.source().unwrap();
        assert!(source.is::<MissingContextError>(), "{source}");
        assert!(!source.to_string().contains("secret"), "{source}");
        assert!(error.code().is_none());
    }
    client.query("SELECT * FROM todo", &[]).await.unwrap();
    client.execute(INSERT, &[&1, &"x"]).with_context(user(1)).await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}
