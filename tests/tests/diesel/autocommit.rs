//! Single writes outside any transaction.

use bemi_diesel::{
    MissingContext, MissingContextError, Settings, add_context, with_context_sync, write_sync,
};
use bemi_tests::journal::{Event, by, by_nobody, inserted, user};
use bemi_tests::merge_into_todo;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Integer, Nullable, Text};
use serde_json::json;

use crate::app::{App, Todo, a_todo, insert, todo};

#[tokio::test]
async fn each_write_in_a_scope_has_its_context_before_it_in_its_own_transaction() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        diesel::insert_into(todo::table).values(a_todo(1, "Sleep")).execute(connection)?;
        diesel::update(todo::table).set(todo::task.eq("Eat")).execute(connection)?;
        diesel::delete(todo::table.find(1)).execute(connection)
    })
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
async fn counts_and_returned_rows_are_those_of_plain_diesel() {
    fn seen(
        connection: &mut impl diesel::connection::LoadConnection<Backend = diesel::pg::Pg>,
    ) -> Vec<String> {
        let batch = vec![a_todo(1, "a"), a_todo(2, "b"), a_todo(3, "c")];
        let counted = diesel::insert_into(todo::table).values(&batch).execute(connection);
        let updated = diesel::update(todo::table.filter(todo::id.gt(1)))
            .set(todo::task.eq("y"))
            .returning(Todo::as_returning())
            .get_results(connection);
        let upserted = diesel::insert_into(todo::table)
            .values(a_todo(1, "z"))
            .on_conflict(todo::id)
            .do_update()
            .set(todo::task.eq("z"))
            .returning(todo::task)
            .get_result::<Option<String>>(connection);
        let not_upserted = diesel::insert_into(todo::table)
            .values(a_todo(1, "z"))
            .on_conflict_do_nothing()
            .execute(connection);
        let gone =
            diesel::delete(todo::table.find(9)).returning(todo::id).get_result::<i32>(connection);
        let deleted = diesel::delete(todo::table).execute(connection);
        let nothing =
            diesel::insert_into(todo::table).values(Vec::<Todo>::new()).execute(connection);
        vec![
            format!("{counted:?}"),
            format!("{updated:?}"),
            format!("{upserted:?}"),
            format!("{not_upserted:?}"),
            format!("{gone:?}"),
            format!("{deleted:?}"),
            format!("{nothing:?}"),
        ]
    }
    let app = App::new().await;
    let plain = seen(&mut app.plain());
    assert_eq!(plain[0], "Ok(3)");
    assert_eq!(with_context_sync(user(1), || seen(&mut app.connection())), plain);
    let inline = app.connection().with_settings(Settings::new().inline_messages());
    assert_eq!(with_context_sync(user(1), || seen(&mut { inline })), plain);
}

#[tokio::test]
async fn outside_a_scope_there_is_no_message() {
    let app = App::new().await;
    let connection = &mut app.connection();
    insert(connection, 1).unwrap();
    connection.batch_execute("INSERT INTO todo VALUES (2, 'Eat')").unwrap();
    assert_eq!(
        app.journal().await,
        [[Event::Change(inserted(1, "x"))], [Event::Change(inserted(2, "Eat"))]]
    );
}

#[tokio::test]
async fn a_read_in_a_scope_has_no_transaction_id() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        let xid = diesel::select(sql::<Nullable<Text>>("pg_current_xact_id_if_assigned()::text"));
        assert_eq!(xid.get_result::<Option<String>>(connection).unwrap(), None);
        todo::table.for_update().load::<Todo>(connection).unwrap();
    });
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn every_kind_of_write_has_its_context() {
    let app = App::new().await;
    let connection = &mut app.connection();
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
        with_context_sync(user(number), || diesel::sql_query(write).execute(connection)).unwrap();
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
async fn save_changes_carries_the_context() {
    #[derive(Clone, Copy, Debug, PartialEq, Queryable, Identifiable, AsChangeset)]
    #[diesel(table_name = todo)]
    struct Changed {
        id: i32,
        task: Option<&'static str>,
    }

    let app = App::new().await;
    let connection = &mut app.connection();
    insert(connection, 1).unwrap();
    let changed = Changed { id: 1, task: Some("saved") };
    let saved: Todo = with_context_sync(user(1), || changed.save_changes(connection)).unwrap();
    assert_eq!(saved, a_todo(1, "saved"));
    assert_eq!(app.changes().await[1], [by(1, "todo: UPDATE: id:1 task:'saved'")]);
}

#[tokio::test]
async fn a_select_that_writes_is_named_by_its_function_or_declared() {
    diesel::define_sql_function! { fn add_todo(id: Integer) -> Integer; }

    let app = App::new().await;
    app.run("CREATE FUNCTION add_todo(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO todo VALUES ($1, ''f'') RETURNING id'")
        .await;
    let add = |connection: &mut _, id: i32| {
        diesel::select(add_todo(id)).get_result::<i32>(connection).unwrap()
    };
    with_context_sync(user(1), || {
        let named = Settings::new().write_functions(["add_todo"]).unwrap();
        assert_eq!(add(&mut app.connection().with_settings(named), 1), 1);
        let connection = &mut app.connection();
        add(connection, 2);
        write_sync(|| add(connection, 3));
        add(connection, 4);
    });
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "f"))],
            [by_nobody(inserted(2, "f"))],
            [by(1, inserted(3, "f"))],
            [by_nobody(inserted(4, "f"))],
        ]
    );
}

#[tokio::test]
async fn the_statements_text_goes_along_without_its_literals() {
    let app = App::new().await;
    let connection = &mut app.with_sql();
    with_context_sync(user(1), || {
        diesel::sql_query("INSERT INTO todo VALUES (1, $1)")
            .bind::<Text, _>("secret")
            .execute(connection)
            .unwrap();
        connection.set_settings(Settings::new().raw_sql_with_literals());
        diesel::sql_query("UPDATE todo SET task = 'it''s'").execute(connection).unwrap();
        diesel::delete(todo::table.find(1)).execute(connection).unwrap();
    });
    let journal = app.journal().await;
    let message = |sql: &str| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    assert_eq!(journal[0][0], message("INSERT INTO todo VALUES (?, $1)"));
    assert_eq!(journal[1][0], message("UPDATE todo SET task = 'it''s'"));
    assert_eq!(journal[2][0], message(r#"DELETE FROM "todo" WHERE ("todo"."id" = $1)"#));
}

#[tokio::test]
async fn what_is_added_to_the_scope_later_is_in_the_next_write() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync([("endpoint", "/todos")], || {
        insert(connection, 1).unwrap();
        assert!(add_context([("user_id", 7)]));
        insert(connection, 2).unwrap();
    });
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))], [by(7, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_write_outside_any_scope_can_be_refused() {
    let app = App::new().await;
    let deny = Settings::new().missing_context(MissingContext::Deny);
    let connection = &mut app.connection().with_settings(deny);
    let Err(Error::QueryBuilderError(error)) = insert(connection, 1) else { panic!() };
    let error = error.downcast::<MissingContextError>().unwrap();
    assert!(error.to_string().contains(r#"INSERT INTO "todo""#), "{error}");
    let text = connection.batch_execute("SELECT 1; DELETE FROM todo");
    assert!(matches!(text, Err(Error::QueryBuilderError(_))), "{text:?}");
    assert!(connection.transaction(|connection| insert(connection, 1)).is_err());
    assert_eq!(todo::table.count().get_result(connection), Ok(0_i64));
    assert_eq!(with_context_sync(user(1), || insert(connection, 1)), Ok(1));
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}
