//! Failed writes: the error is that of the plain client, and nothing is left behind.

use bemi_tests::journal::{by, inserted, user};
use bemi_tests::shared_cluster;
use bemi_tokio_postgres::{BemiClient, Settings, with_context};
use tokio_postgres::{Client, Error, IsolationLevel, NoTls};

use crate::app::{App, INSERT};

/// What of an error the caller may look at.
#[derive(Debug, PartialEq)]
struct Seen {
    code: String,
    message: String,
    detail: Option<String>,
    constraint: Option<String>,
}

fn seen(error: &Error) -> Seen {
    let error = error.as_db_error().unwrap_or_else(|| panic!("not from the server: {error:?}"));
    Seen {
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        constraint: error.constraint().map(str::to_owned),
    }
}

const WRITES: [(&str, &str); 7] = [
    ("23505", "INSERT INTO todo VALUES (2, 'x'), (1, 'x')"),
    ("23505", "INSERT INTO late VALUES (1), (1)"),
    ("23503", "INSERT INTO child VALUES (2)"),
    ("23502", "INSERT INTO todo VALUES (NULL)"),
    ("42P01", "INSERT INTO nowhere VALUES (1)"),
    ("42601", "INSERT INTO todo VALUES (1"),
    ("22012", "UPDATE todo SET id = 1 / (id - 1)"),
];

#[tokio::test]
async fn a_failed_write_gives_the_error_of_the_plain_client_and_leaves_nothing() {
    let app = App::new().await;
    app.run(
        "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE child (id int REFERENCES todo DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO todo VALUES (1, 'x')",
    )
    .await;
    app.journal().await;
    for (code, sql) in WRITES {
        let plain = [
            app.plain.execute(sql, &[]).await.map(drop),
            app.plain.query(sql, &[]).await.map(drop),
            app.plain.execute_typed(sql, &[]).await.map(drop),
            app.plain.batch_execute(sql).await,
        ];
        let ours = with_context(user(1), async {
            [
                app.client.execute(sql, &[]).await.map(drop),
                app.client.query(sql, &[]).await.map(drop),
                app.client.execute_typed(sql, &[]).await.map(drop),
                app.client.batch_execute(sql).await,
            ]
        })
        .await;
        for (ours, plain) in ours.into_iter().zip(plain) {
            let ours = seen(&ours.unwrap_err());
            assert_eq!(ours, seen(&plain.unwrap_err()), "{sql}");
            assert_eq!(ours.code, code, "{sql}");
        }
        assert_eq!(app.idle_in_transaction().await, 0, "{sql}");
    }
    assert!(app.journal().await.is_empty());
    with_context(user(1), app.client.execute(INSERT, &[&2, &"y"])).await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
}

#[tokio::test]
async fn a_deferred_constraint_speaks_at_commit() {
    let mut app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let sql = "INSERT INTO late VALUES (1), (1)";
    with_context(user(1), async {
        let tx = app.client.transaction().await.unwrap();
        tx.execute(sql, &[]).await.unwrap();
        assert_eq!(seen(&tx.commit().await.unwrap_err()).code, "23505");

        // As text, too.
        for simple in [true, false] {
            app.client.batch_execute("BEGIN").await.unwrap();
            app.client.execute(sql, &[]).await.unwrap();
            let refused = match simple {
                true => app.client.batch_execute("COMMIT").await,
                false => app.client.execute("COMMIT", &[]).await.map(drop),
            };
            assert_eq!(seen(&refused.unwrap_err()).code, "23505");
            assert!(!app.client.is_in_transaction());
        }
        app.client.execute("INSERT INTO late VALUES (2)", &[]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, "late: INSERT: id:2")]]);
}

#[tokio::test]
async fn a_failed_write_in_a_transaction_is_undone_to_its_savepoint() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let mut tx = app.client.transaction().await.unwrap();
        tx.execute(INSERT, &[&1, &"x"]).await.unwrap();
        let nested = tx.transaction().await.unwrap();
        let again = nested.execute(INSERT, &[&1, &"x"]).await;
        assert_eq!(seen(&again.unwrap_err()).code, "23505");
        let aborted = nested.execute_typed("INSERT INTO todo VALUES (2, 'x')", &[]).await;
        assert_eq!(seen(&aborted.unwrap_err()).code, "25P02");
        nested.rollback().await.unwrap();
        tx.execute(INSERT, &[&3, &"x"]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn a_serialization_failure_in_autocommit_is_that_of_the_plain_client() {
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x'), (2, 'x')").await;
    app.run(&format!(
        "ALTER DATABASE {} SET default_transaction_isolation = 'serializable'",
        app.database.name()
    ))
    .await;
    let (mut other, ours) = (app.database.connect().await.unwrap(), app.another().await);
    let plain = app.database.connect().await.unwrap();
    let update = "UPDATE todo SET task = 'y' WHERE id = 2 AND (SELECT count(*) FROM todo) > 0";
    let plain = conflict(&mut other, plain.execute(update, &[])).await;
    let ours = with_context(user(1), conflict(&mut other, ours.execute(update, &[]))).await;
    assert_eq!(ours.code, "40001");
    assert_eq!(ours.code, plain.code);
}

/// Runs `write` while another transaction has changed the row that it waits for.
async fn conflict(other: &mut Client, write: impl Future<Output = Result<u64, Error>>) -> Seen {
    let tx = other
        .build_transaction()
        .isolation_level(IsolationLevel::Serializable)
        .start()
        .await
        .unwrap();
    tx.execute("UPDATE todo SET task = 'z' WHERE id = 2", &[]).await.unwrap();
    let commit = async {
        // Once the write waits for the lock.
        let waiting =
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
        while tx.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        tx.commit().await.unwrap();
    };
    let (written, ()) = tokio::join!(biased; write, commit);
    seen(&written.unwrap_err())
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_an_error_and_leave_nothing() {
    let app = App::new().await;
    with_context(user(1), async {
        for params in [&[&1 as &(dyn tokio_postgres::types::ToSql + Sync)][..], &[&"1", &"x"]] {
            let ours = app.client.execute(INSERT, params).await.unwrap_err();
            let plain = app.plain.execute(INSERT, params).await.unwrap_err();
            assert_eq!(ours.to_string(), plain.to_string());
        }
    })
    .await;
    assert_eq!(app.count("todo").await, 0);
    assert_eq!(app.idle_in_transaction().await, 0);
    with_context(user(1), app.client.execute(INSERT, &[&1, &"x"])).await.unwrap();
}

#[tokio::test]
async fn a_write_does_not_run_when_its_context_cannot_be_emitted() {
    let app = App::new().await;
    let role = app.database.unique_name("mute");
    app.refuse_messages().await;
    app.run(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON todo TO {role}")).await;
    {
        let mut config: tokio_postgres::Config =
            shared_cluster().url(app.database.name()).parse().unwrap();
        let (client, connection) = config.user(&role).connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut client = BemiClient::new(client).with_settings(Settings::new().without_sql());
        with_context(user(1), async {
            let sql = "INSERT INTO todo VALUES (1, 'x')";
            let errors = [
                client.execute(sql, &[]).await.unwrap_err(),
                client.batch_execute(sql).await.unwrap_err(),
                client.transaction().await.unwrap().execute(sql, &[]).await.unwrap_err(),
            ];
            for refused in errors.iter().map(seen) {
                assert_eq!(refused.code, "42501");
                assert!(refused.message.contains("pg_logical_emit_message"), "{refused:?}");
            }
        })
        .await;
        client.execute("INSERT INTO todo VALUES (2, 'x')", &[]).await.unwrap();
    }
    app.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(app.journal().await.len(), 1);
}
