//! Failed writes: the error is that of plain sea-orm, and nothing is left behind.

use std::error::Error;

use bemi_seaorm::{
    BemiDatabaseConnection, MissingContext, MissingContextError, Settings, with_context,
};
use bemi_tests::journal::{by, inserted, user};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, IsolationLevel, RuntimeErr, SqlErr, StreamTrait,
    TransactionTrait,
};
use sqlx::postgres::PgPoolOptions;

use crate::app::{App, insert, ours, statement, try_insert};

#[tokio::test]
async fn a_failed_write_gives_the_error_of_plain_sea_orm_and_leaves_nothing() {
    let app = App::with_connections(1).await;
    app.run(
        "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE child (id int REFERENCES todo DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO todo VALUES (1, 'x')",
    )
    .await;
    app.journal().await;
    for sql in [
        "INSERT INTO todo VALUES (2, 'x'), (1, 'x')",
        "INSERT INTO late VALUES (1), (1)",
        "INSERT INTO child VALUES (2)",
        "INSERT INTO todo VALUES (NULL)",
        "INSERT INTO nowhere VALUES (1)",
        "INSERT INTO todo VALUES (1",
        "UPDATE todo SET id = 1 / (id - 1)",
    ] {
        let plain = failures(&app.plain, sql).await;
        let ours = with_context(user(1), failures(&app.db, sql)).await;
        assert_eq!(ours.map(|error| format!("{error:?}")), plain.map(|error| format!("{error:?}")));
        assert_eq!(app.idle_in_transaction().await, 0, "{sql}");
    }
    assert!(app.journal().await.is_empty());
    with_context(user(1), insert(&app.db, 2)).await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

/// The errors of all ways to run a text, without what differs by where the message stands in it.
async fn failures(db: &impl ConnectionTrait, sql: &str) -> [(DbErr, Option<SqlErr>); 4] {
    let seen = |error: DbErr| {
        let sql_err = error.sql_err();
        (error, sql_err)
    };
    [
        seen(db.execute_raw(statement(sql, [])).await.unwrap_err()),
        seen(db.query_one_raw(statement(sql, [])).await.unwrap_err()),
        seen(db.query_all_raw(statement(sql, [])).await.unwrap_err()),
        seen(db.execute_unprepared(sql).await.unwrap_err()),
    ]
    .map(|(error, sql_err)| (without_position(error), sql_err))
}

fn without_position(error: DbErr) -> DbErr {
    DbErr::Custom(error.to_string())
}

#[tokio::test]
async fn constraints_are_told_apart_as_with_plain_sea_orm() {
    let app = App::new().await;
    app.run("CREATE TABLE child (id int REFERENCES todo)").await;
    with_context(user(1), async {
        insert(&app.db, 1).await;
        let tx = app.db.begin().await.unwrap();
        let again = [
            try_insert(&app.db, 1, "x").await.unwrap_err(),
            try_insert(&tx, 1, "x").await.unwrap_err(),
        ];
        for error in again {
            assert!(matches!(error, DbErr::Query(RuntimeErr::SqlxError(_))), "{error:?}");
            assert!(matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))));
        }
        let orphan = statement("INSERT INTO child VALUES ($1)", [9.into()]);
        let error = app.db.execute_raw(orphan).await.unwrap_err();
        assert!(matches!(error, DbErr::Exec(RuntimeErr::SqlxError(_))), "{error:?}");
        assert!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))));
    })
    .await;
}

#[tokio::test]
async fn a_deferred_constraint_speaks_at_commit_as_with_plain_sea_orm() {
    let app = App::with_connections(1).await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    with_context(user(1), async {
        let sql = "INSERT INTO late VALUES (1), (1)";
        let plain = app.plain.begin().await.unwrap();
        plain.execute_unprepared(sql).await.unwrap();
        let plain = plain.commit().await.unwrap_err();
        let ours = app.db.begin().await.unwrap();
        ours.execute_unprepared(sql).await.unwrap();
        let error = ours.commit().await.unwrap_err();
        assert_eq!(error, plain);
        assert!(matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))));
        app.db.execute_unprepared("INSERT INTO late VALUES (2)").await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, "late: INSERT: id:2")]]);
}

#[tokio::test]
async fn a_failed_write_in_a_transaction_is_undone_to_its_savepoint() {
    let app = App::new().await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        insert(&tx, 1).await;
        let nested = tx.begin().await.unwrap();
        try_insert(&nested, 1, "x").await.unwrap_err();
        let aborted = try_insert(&nested, 2, "x").await.unwrap_err();
        assert!(aborted.to_string().contains("current transaction is aborted"), "{aborted}");
        nested.rollback().await.unwrap();
        insert(&tx, 3).await;
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn a_serialization_failure_is_that_of_plain_sea_orm() {
    async fn write_skew<C: TransactionTrait>(db: &C) -> DbErr {
        let serializable = Some(IsolationLevel::Serializable);
        let one = db.begin_with_config(serializable, None).await.unwrap();
        let two = db.begin_with_config(serializable, None).await.unwrap();
        let count = || statement("SELECT count(*) FROM todo WHERE task = 'x'", []);
        one.query_one_raw(count()).await.unwrap();
        two.query_one_raw(count()).await.unwrap();
        one.execute_unprepared("UPDATE todo SET task = 'y' WHERE id = 1").await.unwrap();
        two.execute_unprepared("UPDATE todo SET task = 'y' WHERE id = 2").await.unwrap();
        sea_orm::TransactionSession::commit(one).await.unwrap();
        sea_orm::TransactionSession::commit(two).await.unwrap_err()
    }
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x'), (2, 'x')").await;
    let plain = write_skew(&app.plain).await;
    app.run("UPDATE todo SET task = 'x'").await;
    let ours = with_context(user(1), write_skew(&app.db)).await;
    assert!(ours.to_string().contains("could not serialize access"), "{ours}");
    assert_eq!(ours, plain);
}

#[tokio::test]
async fn a_write_outside_any_scope_can_be_refused() {
    let app = App::new().await;
    let settings = Settings::new().missing_context(MissingContext::Deny);
    let db = app.db.clone().with_settings(settings);
    let tx = db.begin().await.unwrap();
    let refused = [
        try_insert(&db, 1, "x").await.unwrap_err(),
        db.execute_unprepared("DELETE FROM todo").await.unwrap_err(),
        db.stream_raw(statement("DELETE FROM todo RETURNING id", [])).await.map(drop).unwrap_err(),
        db.begin_with_context().await.map(drop).unwrap_err(),
        try_insert(&tx, 1, "x").await.unwrap_err(),
        tx.stream_raw(statement("DELETE FROM todo RETURNING id", [])).await.map(drop).unwrap_err(),
    ];
    for error in refused {
        let (DbErr::Exec(RuntimeErr::SqlxError(sqlx)) | DbErr::Query(RuntimeErr::SqlxError(sqlx))) =
            &error
        else {
            panic!("{error:?}")
        };
        assert!(sqlx.source().is_some_and(<dyn Error>::is::<MissingContextError>), "{error:?}");
    }
    tx.query_all_raw(statement("SELECT * FROM todo", [])).await.unwrap();
    drop(tx);
    with_context(user(1), insert(&db, 1)).await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_write_does_not_run_when_its_context_cannot_be_emitted() {
    let app = App::with_connections(1).await;
    let role = app.database.unique_name("mute");
    app.refuse_messages().await;
    app.run(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON todo TO {role}")).await;
    let options = app.db.untracked().get_postgres_connection_pool().connect_options();
    let options = options.as_ref().clone().username(&role);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let db = ours(pool).with_settings(Settings::new().without_sql());
    with_context(user(1), async {
        let insert = "INSERT INTO todo VALUES (1, 'x')";
        for refused in [
            db.execute_unprepared(insert).await.unwrap_err(),
            db.execute_raw(statement(insert, [])).await.unwrap_err(),
        ] {
            assert!(refused.to_string().contains("pg_logical_emit_message"), "{refused:?}");
        }
    })
    .await;
    insert(&db, 2).await;
    db.close().await.unwrap();
    app.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(app.journal().await.len(), 1);
}

#[tokio::test]
async fn only_postgresql_over_sqlx_is_wrapped() {
    let refused = BemiDatabaseConnection::new(DatabaseConnection::default()).unwrap_err();
    assert!(refused.to_string().contains("`Disconnected`"), "{refused}");
    assert!(matches!(DbErr::from(refused), DbErr::Conn(_)));
}
