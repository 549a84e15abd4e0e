//! Failed writes: the error is that of plain diesel-async, and nothing is left behind.

use bemi_diesel::{BemiAsyncPgConnection, with_context};
use bemi_tests::journal::{by, by_nobody, inserted, user};
use bemi_tests::{Relay, shared_cluster};
use diesel::prelude::*;
use diesel::result::Error;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::app::{App, insert, todo};

/// What of an error the caller may look at.
#[derive(Debug, PartialEq)]
struct Seen {
    kind: String,
    message: String,
    details: Option<String>,
    constraint: Option<String>,
}

fn seen(error: Error) -> Seen {
    let Error::DatabaseError(kind, error) = error else { panic!("not from the server: {error:?}") };
    Seen {
        kind: format!("{kind:?}"),
        message: error.message().to_owned(),
        details: error.details().map(str::to_owned),
        constraint: error.constraint_name().map(str::to_owned),
    }
}

async fn error_of<C>(connection: &mut C, sql: &str, simple: bool) -> Seen
where
    C: AsyncConnection<Backend = diesel::pg::Pg>,
{
    let outcome = if simple {
        connection.batch_execute(sql).await
    } else {
        diesel::sql_query(sql).execute(connection).await.map(drop)
    };
    seen(outcome.unwrap_err())
}

#[tokio::test]
async fn a_failed_write_gives_the_error_of_plain_diesel_async_and_leaves_nothing() {
    let app = App::new().await;
    app.run(
        "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE child (id int REFERENCES todo DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO todo VALUES (1, 'x')",
    )
    .await;
    app.journal().await;
    let (mut ours, mut plain) = (app.connection().await, app.plain().await);
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
        for simple in [false, true] {
            let expected = error_of(&mut plain, sql, simple).await;
            let error = with_context(user(1), error_of(&mut ours, sql, simple)).await;
            assert_eq!(error, expected, "{sql}");
            assert_eq!(error.kind, kind, "{sql}");
        }
        assert_eq!(app.idle_in_transaction().await, 0, "{sql}");
    }
    assert!(app.journal().await.is_empty());
    with_context(user(1), insert(&mut ours, 2)).await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_deferred_constraint_speaks_at_commit_as_with_plain_diesel_async() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    async fn twice<C>(connection: &mut C) -> Seen
    where
        C: AsyncConnection<Backend = diesel::pg::Pg>,
    {
        AsyncConnection::begin_test_transaction(connection).await.unwrap();
        connection.batch_execute("INSERT INTO late VALUES (1), (1)").await.unwrap();
        seen(
            <C::TransactionManager as diesel_async::TransactionManager<C>>::commit_transaction(
                connection,
            )
            .await
            .unwrap_err(),
        )
    }
    let (mut ours, mut plain) = (app.connection().await, app.plain().await);
    with_context(user(1), async {
        assert_eq!(twice(&mut ours).await, twice(&mut plain).await);
        assert!(!ours.is_in_transaction());
        insert(&mut ours, 2).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_serialization_failure_rolls_back_and_can_be_tried_again() {
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x'), (2, 'x')").await;
    app.journal().await;
    let mut ours = app.connection().await;
    let mut other = app.plain().await;
    with_context(user(1), async {
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = ours
                .build_transaction()
                .serializable()
                .run(async |ours| {
                    let count: i64 = todo::table.count().get_result(ours).await?;
                    if tries == 1 {
                        write_skew(&mut other).await?;
                    }
                    let done = format!("{count} seen");
                    diesel::update(todo::table.find(1)).set(todo::task.eq(done)).execute(ours).await
                })
                .await;
            match outcome {
                Ok(_) => break,
                Err(error) => assert_eq!(seen(error).kind, "SerializationFailure"),
            }
        }
        assert_eq!(tries, 2);
    })
    .await;
    let last = app.changes().await.pop().unwrap();
    assert_eq!(last, [by(1, "todo: UPDATE: id:1 task:'2 seen'")]);
}

/// Reads what the other will write, and writes what the other has read.
async fn write_skew(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    connection
        .build_transaction()
        .serializable()
        .run(async |connection| {
            todo::table.count().get_result::<i64>(connection).await?;
            diesel::update(todo::table.find(2)).set(todo::task.eq("y")).execute(connection).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_write_does_not_run_when_its_context_cannot_be_emitted() {
    let app = App::new().await;
    let role = app.database.unique_name("mute");
    app.refuse_messages().await;
    app.run(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON todo TO {role}")).await;
    let mut ours = app.connection().await;
    let as_role = format!("SET SESSION AUTHORIZATION {role}");
    ours.batch_execute(&as_role).await.unwrap();
    with_context(user(1), async {
        for simple in [true, false] {
            let refused = error_of(&mut ours, "INSERT INTO todo VALUES (1, 'x')", simple).await;
            assert!(refused.message.contains("pg_logical_emit_message"), "{refused:?}");
        }
        let in_transaction = ours.transaction(async |ours| insert(ours, 1).await).await;
        assert!(seen(in_transaction.unwrap_err()).message.contains("pg_logical_emit_message"));
    })
    .await;
    insert(&mut ours, 2).await.unwrap();
    drop(ours);
    app.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(app.journal().await.len(), 1);
}

#[tokio::test]
async fn a_value_that_cannot_be_serialized_is_the_error_of_plain_diesel_async() {
    let app = App::new().await;
    let (mut ours, mut plain) = (app.connection().await, app.plain().await);
    let insert_it = || {
        let insert = diesel::sql_query("INSERT INTO todo VALUES ($1, 'x')");
        insert.bind::<diesel::sql_types::Integer, _>(NotSerializable)
    };
    let expected = insert_it().execute(&mut plain).await.unwrap_err();
    with_context(user(1), async {
        let error = insert_it().execute(&mut ours).await.unwrap_err();
        assert!(matches!(error, Error::SerializationError(_)));
        assert_eq!(error.to_string(), expected.to_string());
        insert(&mut ours, 2).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

#[derive(Debug)]
struct NotSerializable;

impl diesel::serialize::ToSql<diesel::sql_types::Integer, diesel::pg::Pg> for NotSerializable {
    fn to_sql<'b>(
        &'b self,
        _: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
    ) -> diesel::serialize::Result {
        Err("on purpose".into())
    }
}

/// The write is on its way by then, as a request to cancel may hit BEGIN alone. It has happened, and to say anything else would be wrong.
#[tokio::test]
async fn a_write_is_reported_as_done_where_only_its_begin_was_refused() {
    let app = App::new().await;
    let refused = |said: &mut [u8]| {
        for place in 0..said.len().saturating_sub(5) {
            if said[place..].starts_with(b"BEGIN") {
                said[place..place + 5].copy_from_slice(b"BEGUN");
            }
        }
    };
    let relay = Relay::changing(shared_cluster(), refused).await;
    let url = relay.url(&app.database.url());
    let mut ours = BemiAsyncPgConnection::establish(&url).await.unwrap();
    with_context(user(1), async {
        assert_eq!(insert(&mut ours, 1).await.unwrap(), 1);
        // An error of the write is the write's.
        assert_eq!(seen(insert(&mut ours, 1).await.unwrap_err()).kind, "UniqueViolation");
    })
    .await;
    assert!(!ours.is_in_transaction());
    assert_eq!(app.changes().await.concat(), [by_nobody(inserted(1, "x"))]);
    assert_eq!(app.in_transaction().await, 0);
}
