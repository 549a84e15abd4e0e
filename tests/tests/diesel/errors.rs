//! Failed writes: the error is that of plain diesel, and nothing is left behind.

use bemi_diesel::{BemiPgConnection, Settings, with_context_sync};
use bemi_tests::journal::{by, inserted, user};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use diesel::result::Error;

use crate::app::{App, Todo, insert, todo};

/// What of an error the caller may look at.
#[derive(Debug, PartialEq)]
struct Seen {
    kind: String,
    message: String,
    details: Option<String>,
    table: Option<String>,
    constraint: Option<String>,
}

fn seen(error: Error) -> Seen {
    let Error::DatabaseError(kind, info) = error else { panic!("not from the server: {error:?}") };
    Seen {
        kind: format!("{kind:?}"),
        message: info.message().to_owned(),
        details: info.details().map(str::to_owned),
        table: info.table_name().map(str::to_owned),
        constraint: info.constraint_name().map(str::to_owned),
    }
}

fn error_of(connection: &mut impl Connection<Backend = Pg>, sql: &str, text: bool) -> Seen {
    seen(match text {
        true => connection.batch_execute(sql).unwrap_err(),
        false => diesel::sql_query(sql).execute(connection).unwrap_err(),
    })
}

#[tokio::test]
async fn a_failed_write_gives_the_error_of_plain_diesel_and_leaves_nothing() {
    let app = App::new().await;
    app.run(
        "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE child (id int REFERENCES todo DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO todo VALUES (1, 'x')",
    )
    .await;
    app.journal().await;
    let (connection, plain) = (&mut app.connection(), &mut app.plain());
    let writes = [
        ("UniqueViolation", "INSERT INTO todo VALUES (2, 'x'), (1, 'x')"),
        ("UniqueViolation", "INSERT INTO late VALUES (1), (1)"),
        ("ForeignKeyViolation", "INSERT INTO child VALUES (2)"),
        ("NotNullViolation", "INSERT INTO todo VALUES (NULL)"),
        ("Unknown", "INSERT INTO nowhere VALUES (1)"),
        ("Unknown", "INSERT INTO todo VALUES (1"),
        ("Unknown", "UPDATE todo SET id = 1 / (id - 1)"),
    ];
    for (kind, sql) in writes {
        for text in [false, true] {
            let ours = with_context_sync(user(1), || error_of(connection, sql, text));
            assert_eq!(ours, error_of(plain, sql, text), "{sql}");
            assert_eq!(ours.kind, kind, "{sql}");
            assert!(!connection.is_broken());
        }
        assert_eq!(app.idle_in_transaction().await, 0, "{sql}");
    }
    assert!(app.journal().await.is_empty());
    with_context_sync(user(1), || insert(connection, 2)).unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_deferred_constraint_speaks_at_commit_as_with_plain_diesel() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let sql = "INSERT INTO late VALUES (1), (1)";
    let connection = &mut app.connection();
    let plain = app.plain().transaction(|plain| diesel::sql_query(sql).execute(plain));
    with_context_sync(user(1), || {
        let ours = connection.transaction(|ours| diesel::sql_query(sql).execute(ours));
        assert_eq!(seen(ours.unwrap_err()), seen(plain.unwrap_err()));

        // As text, too.
        connection.batch_execute("BEGIN").unwrap();
        diesel::sql_query(sql).execute(connection).unwrap();
        connection.batch_execute("COMMIT").unwrap_err();
        assert!(!connection.is_in_transaction());
        diesel::sql_query("INSERT INTO late VALUES (2)").execute(connection).unwrap();
    });
    assert_eq!(app.changes().await, [[by(1, "late: INSERT: id:2")]]);
}

#[tokio::test]
async fn a_failed_write_in_a_transaction_is_undone_to_its_savepoint() {
    let app = App::new().await;
    with_context_sync(user(1), || {
        app.connection().transaction(|outer| {
            insert(outer, 1)?;
            let nested = outer.transaction(|nested| {
                assert_eq!(seen(insert(nested, 1).unwrap_err()).kind, "UniqueViolation");
                let aborted = insert(nested, 2);
                assert!(seen(aborted.unwrap_err()).message.contains("aborted"));
                Err::<(), _>(Error::RollbackTransaction)
            });
            assert_eq!(nested, Err(Error::RollbackTransaction));
            insert(outer, 3)
        })
    })
    .unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn a_serialization_failure_is_that_of_plain_diesel() {
    fn write_skew<C>(one: &mut C, two: &mut C) -> Seen
    where
        C: diesel::connection::LoadConnection<Backend = Pg>,
    {
        let count = |connection: &mut C| {
            todo::table.filter(todo::task.eq("x")).count().get_result::<i64>(connection).unwrap()
        };
        let update = |connection: &mut C, id: i32| {
            diesel::update(todo::table.find(id))
                .set(todo::task.eq("y"))
                .execute(connection)
                .unwrap()
        };
        let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
        one.batch_execute(begin).unwrap();
        two.batch_execute(begin).unwrap();
        count(one);
        count(two);
        update(one, 1);
        update(two, 2);
        one.batch_execute("COMMIT").unwrap();
        seen(two.batch_execute("COMMIT").unwrap_err())
    }
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x'), (2, 'x')").await;
    let plain = write_skew(&mut app.plain(), &mut app.plain());
    app.run("UPDATE todo SET task = 'x'").await;
    let (one, two) = (&mut app.connection(), &mut app.connection());
    let ours = with_context_sync(user(1), || write_skew(one, two));
    assert_eq!(ours.kind, "SerializationFailure");
    assert_eq!(ours, plain);
    assert!(!two.is_in_transaction());
}

#[tokio::test]
async fn a_write_does_not_run_when_its_context_cannot_be_emitted() {
    let app = App::new().await;
    let role = app.database.unique_name("mute");
    app.refuse_messages().await;
    app.run(&format!("CREATE ROLE {role}; GRANT ALL ON todo TO {role}")).await;
    let mut connection = app.connection();
    connection.batch_execute(&format!("SET ROLE {role}")).unwrap();
    with_context_sync(user(1), || {
        for text in [true, false] {
            let refused = error_of(&mut connection, "INSERT INTO todo VALUES (1, 'x')", text);
            assert!(refused.message.contains("pg_logical_emit_message"), "{refused:?}");
            assert!(!connection.is_broken());
        }
    });
    insert(&mut connection, 2).unwrap();
    drop(connection);
    app.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    let journal = app.journal().await;
    assert_eq!(journal.len(), 1, "{journal:?}");
}

#[tokio::test]
async fn a_query_that_cannot_be_rendered_or_bound_fails_as_with_plain_diesel() {
    fn failures(connection: &mut impl Connection<Backend = Pg>) -> [String; 2] {
        #[derive(AsChangeset)]
        #[diesel(table_name = todo)]
        struct Nothing {
            task: Option<String>,
        }
        let nothing = Nothing { task: None };
        let no_changes = diesel::update(todo::table).set(&nothing).execute(connection);
        let too_late = diesel::sql_query("INSERT INTO todo SELECT extract(year FROM $1)::int")
            .bind::<diesel::sql_types::Text, _>("x")
            .execute(connection);
        [no_changes, too_late].map(|outcome| format!("{outcome:?}"))
    }
    let app = App::new().await;
    let connection = &mut app.connection();
    let ours = with_context_sync(user(1), || failures(connection));
    assert_eq!(ours, failures(&mut app.plain()));
    assert!(!connection.is_broken());
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn a_killed_backend_is_an_error_and_the_connection_is_broken() {
    let app = App::new().await;
    let kill = async |connection: &mut BemiPgConnection| {
        let pid: i32 =
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
                .get_result(connection)
                .unwrap();
        // Waits until it is gone.
        app.client.execute("SELECT pg_terminate_backend($1, 10000)", &[&pid]).await.unwrap();
    };
    let outside = &mut app.connection();
    kill(outside).await;
    with_context_sync(user(1), || insert(outside, 1)).unwrap_err();
    assert!(outside.is_broken());
    with_context_sync(user(1), || outside.batch_execute("DELETE FROM todo")).unwrap_err();

    let inside = &mut app.connection();
    inside.batch_execute("BEGIN").unwrap();
    with_context_sync(user(1), || insert(inside, 1)).unwrap();
    kill(inside).await;
    with_context_sync(user(2), || insert(inside, 2)).unwrap_err();
    assert!(inside.is_broken());
    let none: Vec<Todo> = todo::table.load(&mut app.connection()).unwrap();
    assert!(none.is_empty());
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn with_inlined_messages_errors_are_those_of_plain_diesel() {
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    app.journal().await;
    let inline = Settings::new().inline_messages();
    let connection = &mut app.connection().with_settings(inline);
    let again = |connection: &mut _| {
        seen(
            diesel::insert_into(todo::table)
                .values((todo::id.eq(1), todo::task.eq("x")))
                .execute(connection)
                .unwrap_err(),
        )
    };
    let ours = with_context_sync(user(1), || again(connection));
    assert_eq!(ours.kind, "UniqueViolation");
    assert!(app.journal().await.is_empty());
    assert_eq!(with_context_sync(user(1), || insert(connection, 2)), Ok(1));
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}
