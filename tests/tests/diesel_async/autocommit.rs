//! Writes without a transaction of the caller's own.

use bemi_diesel::{
    BemiAsyncPgConnection, ContextFutureExt, MissingContext, MissingContextError, Settings,
    add_context, with_context, with_context_sync, write,
};
use bemi_tests::journal::{Event, by, by_nobody, inserted, messages, user};
use bemi_tests::merge_into_todo;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Integer, Text};
use diesel::upsert::excluded;
use diesel_async::{RunQueryDsl, SaveChangesDsl, SimpleAsyncConnection};
use serde_json::json;

use crate::app::{App, Todo, a_todo, insert, todo};

#[tokio::test]
async fn each_write_in_a_scope_has_its_context_before_it_in_its_own_transaction() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        insert(&mut ours, 1).await?;
        diesel::update(todo::table).set(todo::task.eq("Eat")).execute(&mut ours).await?;
        diesel::delete(todo::table.find(1)).execute(&mut ours).await
    })
    .await
    .unwrap();
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "x"))],
            [by(1, "todo: UPDATE: id:1 task:'Eat'")],
            [by(1, "todo: DELETE: id:1")]
        ]
    );
}

#[tokio::test]
async fn counts_and_rows_are_those_of_plain_diesel_async() {
    let app = App::new().await;
    let (mut ours, mut plain) = (app.connection().await, app.plain().await);
    let batch = [a_todo(1, "x"), a_todo(2, "x"), a_todo(3, "x")];
    let insert = || diesel::insert_into(todo::table).values(batch.to_vec()).returning(todo::id);
    with_context(user(1), async {
        let expected: Vec<i32> = insert().get_results(&mut plain).await.unwrap();
        app.run("TRUNCATE todo").await;
        assert_eq!(insert().get_results::<i32>(&mut ours).await.unwrap(), expected);

        let update = diesel::update(todo::table.filter(todo::id.gt(1))).set(todo::task.eq("y"));
        assert_eq!(update.execute(&mut ours).await.unwrap(), 2);
        let one: Todo = diesel::delete(todo::table.find(2)).get_result(&mut ours).await.unwrap();
        assert_eq!(one, a_todo(2, "y"));
        let none = diesel::delete(todo::table.find(9)).get_result::<Todo>(&mut ours).await;
        assert_eq!(none, Err(Error::NotFound));
        let several: Vec<Todo> = diesel::delete(todo::table).load(&mut ours).await.unwrap();
        assert_eq!(several.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn batches_upserts_and_save_changes_have_their_context() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        let batch = vec![a_todo(1, "a"), a_todo(2, "b")];
        diesel::insert_into(todo::table).values(batch).execute(&mut ours).await.unwrap();
        let upsert = diesel::insert_into(todo::table)
            .values(a_todo(1, "c"))
            .on_conflict(todo::id)
            .do_update()
            .set(todo::task.eq(excluded(todo::task)));
        assert_eq!(upsert.get_result::<Todo>(&mut ours).await.unwrap(), a_todo(1, "c"));
        let nothing =
            diesel::insert_into(todo::table).values(a_todo(1, "d")).on_conflict_do_nothing();
        assert_eq!(nothing.execute(&mut ours).await.unwrap(), 0);

        #[derive(Clone, Copy, Identifiable, AsChangeset)]
        #[diesel(table_name = todo)]
        struct Changes {
            id: i32,
            task: &'static str,
        }
        let saved: Todo = Changes { id: 2, task: "e" }.save_changes(&mut ours).await.unwrap();
        assert_eq!(saved, a_todo(2, "e"));
    })
    .await;
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(1, "a")), by(1, inserted(2, "b"))],
            vec![by(1, "todo: UPDATE: id:1 task:'c'")],
            // The upsert that did nothing leaves its message alone.
            vec![],
            vec![by(1, "todo: UPDATE: id:2 task:'e'")],
        ]
    );
}

#[tokio::test]
async fn outside_a_scope_there_is_no_message() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    insert(&mut ours, 1).await.unwrap();
    ours.batch_execute("INSERT INTO todo VALUES (2, 'Eat')").await.unwrap();
    assert_eq!(
        app.journal().await,
        [[Event::Change(inserted(1, "x"))], [Event::Change(inserted(2, "Eat"))]]
    );
}

#[tokio::test]
async fn a_read_in_a_scope_has_no_transaction_id() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        #[derive(QueryableByName)]
        struct Xid {
            #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
            xid: Option<String>,
        }
        let read = diesel::sql_query("SELECT pg_current_xact_id_if_assigned()::text AS xid");
        assert_eq!(read.get_result::<Xid>(&mut ours).await.unwrap().xid, None);
        let read = todo::table.select(todo::id).for_update();
        assert!(read.load::<i32>(&mut ours).await.unwrap().is_empty());
    })
    .await;
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn every_kind_of_write_has_its_context() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    let writes = [
        "INSERT INTO todo VALUES (1, 'a')",
        "WITH gone AS (DELETE FROM todo RETURNING id) SELECT count(*) FROM gone",
        "WITH new (id) AS (VALUES (2)) INSERT INTO todo SELECT id, 'c' FROM new",
        merge_into_todo(),
        "EXPLAIN ANALYZE DELETE FROM todo WHERE id = 2",
        "CREATE TABLE copied AS SELECT id FROM todo",
        "SELECT id INTO copied_too FROM todo",
        "TRUNCATE todo",
    ];
    for (number, write) in (1..).zip(writes) {
        diesel::sql_query(write).execute(&mut ours).with_context(user(number)).await.unwrap();
    }
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(1, "a"))],
            vec![by(2, "todo: DELETE: id:1")],
            vec![by(3, inserted(2, "c"))],
            vec![by(4, "todo: UPDATE: id:2 task:'d'"), by(4, inserted(3, "e"))],
            vec![by(5, "todo: DELETE: id:2")],
            vec![by(6, "copied: INSERT: id:3")],
            vec![by(7, "copied_too: INSERT: id:3")],
            vec![by(8, "todo: TRUNCATE: (no-flags)")],
        ]
    );
}

#[tokio::test]
async fn a_select_that_calls_a_function_is_a_write_where_that_was_said() {
    let app = App::new().await;
    app.run("CREATE FUNCTION add_todo(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO todo VALUES ($1, ''f'') RETURNING id'")
        .await;
    #[declare_sql_function]
    extern "SQL" {
        fn add_todo(id: Integer) -> Integer;
    }
    async fn add(connection: &mut BemiAsyncPgConnection, id: i32) -> i32 {
        diesel::select(add_todo(id)).get_result(connection).await.unwrap()
    }
    let named = Settings::new().write_functions(["add_todo"]).unwrap();
    let (mut named, mut ours) =
        (app.connection().await.with_settings(named), app.connection().await);
    with_context(user(1), async {
        assert_eq!(add(&mut named, 1).await, 1);
        assert_eq!(add(&mut ours, 2).await, 2);
        assert_eq!(write(add(&mut ours, 3)).await, 3);
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
    let mut ours = app.with_sql().await;
    with_context(user(1), async {
        let insert = diesel::sql_query("INSERT INTO todo VALUES (1, $1)");
        insert.bind::<Text, _>("secret").execute(&mut ours).await.unwrap();
        diesel::delete(todo::table.find(1)).execute(&mut ours).await.unwrap();
    })
    .await;
    let message = |sql: &str| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    let journal = app.journal().await;
    assert_eq!(journal[0][0], message("INSERT INTO todo VALUES (?, $1)"));
    assert_eq!(journal[1][0], message(r#"DELETE FROM "todo" WHERE ("todo"."id" = $1)"#));
}

#[tokio::test]
async fn what_is_added_to_the_scope_later_is_in_the_next_write() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context([("endpoint", "/todos")], async {
        insert(&mut ours, 1).await.unwrap();
        assert!(add_context([("user_id", 7)]));
        insert(&mut ours, 2).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))], [by(7, inserted(2, "x"))]]);
}

#[tokio::test]
async fn the_scope_that_a_query_runs_in_counts_before_the_one_that_it_was_made_in() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    let delete = || diesel::delete(todo::table);
    for id in 1..=3 {
        app.run(&format!("INSERT INTO todo VALUES ({id}, 'x')")).await;
    }
    app.journal().await;
    let of_nobody = delete().filter(todo::id.eq(1)).execute(&mut ours);
    with_context(user(1), of_nobody).await.unwrap();
    let of_another =
        with_context_sync(user(2), || delete().filter(todo::id.eq(2)).execute(&mut ours));
    of_another.with_context(user(3)).await.unwrap();
    let of_another =
        with_context_sync(user(4), || delete().filter(todo::id.eq(3)).execute(&mut ours));
    of_another.await.unwrap();
    assert_eq!(
        app.changes().await,
        [
            [by(1, "todo: DELETE: id:1")],
            [by(3, "todo: DELETE: id:2")],
            [by(4, "todo: DELETE: id:3")]
        ]
    );
}

#[tokio::test]
async fn without_a_scope_a_write_is_refused_where_that_was_asked_for() {
    let app = App::new().await;
    let deny = Settings::new().missing_context(MissingContext::Deny);
    let mut ours = app.connection().await.with_settings(deny);
    let refused = [
        insert(&mut ours, 1).await.unwrap_err(),
        ours.batch_execute("INSERT INTO todo VALUES (1, 'x')").await.unwrap_err(),
    ];
    for error in refused {
        let Error::QueryBuilderError(error) = error else { panic!("{error:?}") };
        assert!(error.is::<MissingContextError>());
    }
    assert!(todo::table.load::<Todo>(&mut ours).await.unwrap().is_empty());
    insert(&mut ours, 1).with_context(user(1)).await.unwrap();
    assert_eq!(messages(&app.journal().await[0]), 1);
}

/// Such a write asks the server twice before it can be sent: for the type, and to be prepared.
#[tokio::test]
async fn a_write_that_must_look_up_a_type_and_be_prepared_comes_after_its_context() {
    let app = App::new().await;
    app.run("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE diary (id int PRIMARY KEY, mood mood)").await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        for (id, mood) in [(1, "good"), (2, "bad")] {
            let insert = diesel::insert_into(diary::table)
                .values((diary::id.eq(id), diary::mood.eq(Mood(mood))));
            insert.execute(&mut ours).await.unwrap();
        }
    })
    .await;
    assert_eq!(
        app.changes().await,
        [
            [by(1, "diary: INSERT: id:1 mood[mood]:'good'")],
            [by(1, "diary: INSERT: id:2 mood[mood]:'bad'")]
        ]
    );
}

#[derive(diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(name = "mood"))]
pub struct MoodType;
#[derive(Debug, diesel::expression::AsExpression)]
#[diesel(sql_type = MoodType)]
struct Mood(&'static str);
impl diesel::serialize::ToSql<MoodType, diesel::pg::Pg> for Mood {
    fn to_sql<'b>(
        &'b self,
        out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
    ) -> diesel::serialize::Result {
        std::io::Write::write_all(out, self.0.as_bytes())?;
        Ok(diesel::serialize::IsNull::No)
    }
}
diesel::table! {
    use diesel::sql_types::*;
    use super::MoodType;
    diary (id) {
        id -> Integer,
        mood -> MoodType,
    }
}
