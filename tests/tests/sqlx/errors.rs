//! Failed writes: the error is that of plain sqlx, and nothing is left behind.

use bemi_sqlx::{BemiPool, Settings, with_context};
use bemi_tests::journal::{by, inserted, user};
use sqlx::postgres::PgDatabaseError;
use sqlx::{Error, Executor, PgPool, Postgres};

use crate::app::App;

/// What of an error the caller may look at.
#[derive(Debug, PartialEq)]
struct Seen {
    code: String,
    message: String,
    detail: Option<String>,
    constraint: Option<String>,
}

fn seen(error: Error) -> Seen {
    let Error::Database(error) = error else { panic!("not from the server: {error:?}") };
    let error = error.downcast::<PgDatabaseError>();
    Seen {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        constraint: error.constraint().map(str::to_owned),
    }
}

async fn error_of<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    sql: &'static str,
    simple: bool,
) -> Seen {
    let outcome = if simple {
        sqlx::raw_sql(sql).execute(executor).await
    } else {
        sqlx::query(sql).execute(executor).await
    };
    seen(outcome.unwrap_err())
}

#[tokio::test]
async fn a_failed_write_gives_the_error_of_plain_sqlx_and_leaves_nothing() {
    let app = App::with_connections(1).await;
    app.run(
        "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE child (id int REFERENCES todo DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO todo VALUES (1, 'x')",
    )
    .await;
    app.journal().await;
    let writes = [
        ("23505", "INSERT INTO todo VALUES (2, 'x'), (1, 'x')"),
        ("23505", "INSERT INTO late VALUES (1), (1)"),
        ("23503", "INSERT INTO child VALUES (2)"),
        ("23502", "INSERT INTO todo VALUES (NULL)"),
        ("42P01", "INSERT INTO nowhere VALUES (1)"),
        ("42601", "INSERT INTO todo VALUES (1"),
        ("22012", "UPDATE todo SET id = 1 / (id - 1)"),
    ];
    for (code, sql) in writes {
        for simple in [false, true] {
            let plain = error_of(&app.plain, sql, simple).await;
            let ours = with_context(user(1), error_of(&app.pool, sql, simple)).await;
            assert_eq!(ours, plain, "{sql}");
            assert_eq!(ours.code, code, "{sql}");
        }
        assert_eq!(app.idle_in_transaction().await, 0, "{sql}");
    }
    assert!(app.journal().await.is_empty());
    with_context(user(1), sqlx::query("INSERT INTO todo VALUES (2, 'y')").execute(&app.pool))
        .await
        .unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
}

#[tokio::test]
async fn a_deferred_constraint_speaks_at_commit_as_with_plain_sqlx() {
    let app = App::with_connections(1).await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    with_context(user(1), async {
        let sql = "INSERT INTO late VALUES (1), (1)";
        let mut plain = app.plain.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *plain).await.unwrap();
        let plain = seen(plain.commit().await.unwrap_err());
        let mut ours = app.pool.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *ours).await.unwrap();
        assert_eq!(seen(ours.commit().await.unwrap_err()), plain);

        // As text, too.
        let mut connection = app.pool.acquire().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        sqlx::query(sql).execute(&mut *connection).await.unwrap();
        assert_eq!(seen(connection.execute("COMMIT").await.unwrap_err()).code, "23505");
        assert!(!connection.is_in_transaction());
        sqlx::query("INSERT INTO late VALUES (2)").execute(&mut *connection).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, "late: INSERT: id:2")]]);
}

#[tokio::test]
async fn a_failed_write_in_a_transaction_is_undone_to_its_savepoint() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.pool.begin().await.unwrap();
        sqlx::query("INSERT INTO todo VALUES (1, 'x')").execute(&mut *tx).await.unwrap();
        let mut nested = tx.begin().await.unwrap();
        let again = sqlx::query("INSERT INTO todo VALUES (1, 'x')").execute(&mut *nested).await;
        assert_eq!(seen(again.unwrap_err()).code, "23505");
        let aborted = sqlx::query("INSERT INTO todo VALUES (2, 'x')").execute(&mut *nested).await;
        assert_eq!(seen(aborted.unwrap_err()).code, "25P02");
        nested.rollback().await.unwrap();
        sqlx::query("INSERT INTO todo VALUES (3, 'x')").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn a_serialization_failure_is_that_of_plain_sqlx() {
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x'), (2, 'x')").await;
    let plain = write_skew_plain(&app.plain).await;
    app.run("UPDATE todo SET task = 'x'").await;
    let ours = with_context(user(1), write_skew_ours(&app.pool)).await;
    assert_eq!(ours.code, "40001");
    assert_eq!(ours, plain);
}

const SERIALIZABLE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
const COUNT: &str = "SELECT count(*) FROM todo WHERE task = 'x'";

async fn write_skew_plain(pool: &PgPool) -> Seen {
    let mut one = pool.begin_with(SERIALIZABLE).await.unwrap();
    let mut two = pool.begin_with(SERIALIZABLE).await.unwrap();
    sqlx::query(COUNT).execute(&mut *one).await.unwrap();
    sqlx::query(COUNT).execute(&mut *two).await.unwrap();
    sqlx::query("UPDATE todo SET task = 'y' WHERE id = 1").execute(&mut *one).await.unwrap();
    sqlx::query("UPDATE todo SET task = 'y' WHERE id = 2").execute(&mut *two).await.unwrap();
    one.commit().await.unwrap();
    seen(two.commit().await.unwrap_err())
}

async fn write_skew_ours(pool: &BemiPool) -> Seen {
    let mut one = pool.begin_with(SERIALIZABLE).await.unwrap();
    let mut two = pool.begin_with(SERIALIZABLE).await.unwrap();
    sqlx::query(COUNT).execute(&mut *one).await.unwrap();
    sqlx::query(COUNT).execute(&mut *two).await.unwrap();
    sqlx::query("UPDATE todo SET task = 'y' WHERE id = 1").execute(&mut *one).await.unwrap();
    sqlx::query("UPDATE todo SET task = 'y' WHERE id = 2").execute(&mut *two).await.unwrap();
    one.commit().await.unwrap();
    seen(two.commit().await.unwrap_err())
}

#[tokio::test]
async fn an_argument_that_cannot_be_encoded_is_an_error_before_anything_is_sent() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let query = || sqlx::query("INSERT INTO todo VALUES ($1, $2)").bind(1).bind(NotEncodable);
        let ours = query().execute(&app.pool).await.unwrap_err();
        let plain = query().execute(&app.plain).await.unwrap_err();
        assert_eq!(ours.to_string(), plain.to_string());
        assert!(matches!(ours, Error::Encode(_)));
    })
    .await;
    assert!(app.journal().await.is_empty());
}

struct NotEncodable;

impl sqlx::Type<Postgres> for NotEncodable {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <String as sqlx::Type<Postgres>>::type_info()
    }
}

impl sqlx::Encode<'_, Postgres> for NotEncodable {
    fn encode_by_ref(
        &self,
        _: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        Err("on purpose".into())
    }
}

#[tokio::test]
async fn a_write_does_not_run_when_its_context_cannot_be_emitted() {
    let app = App::with_connections(1).await;
    let role = app.database.unique_name("mute");
    app.refuse_messages().await;
    app.run(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON todo TO {role}")).await;
    let options = app.pool.connect_options().as_ref().clone().username(&role);
    let pool =
        BemiPool::connect_with(options).await.unwrap().with_settings(Settings::new().without_sql());
    with_context(user(1), async {
        for simple in [true, false] {
            let refused = error_of(&pool, "INSERT INTO todo VALUES (1, 'x')", simple).await;
            assert_eq!(refused.code, "42501");
            assert!(refused.message.contains("pg_logical_emit_message"), "{refused:?}");
        }
    })
    .await;
    sqlx::query("INSERT INTO todo VALUES (2, 'x')").execute(&pool).await.unwrap();
    pool.close().await;
    app.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    let journal = app.journal().await;
    assert_eq!(journal.len(), 1, "{journal:?}");
}
