//! COPY, in and out.

use std::pin::pin;

use bemi_tests::journal::{by, by_nobody, inserted, user};
use bemi_tokio_postgres::{BemiClient, ContextFutureExt, with_context};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use tokio::task::JoinHandle;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, NoTls};

use crate::app::{App, INSERT};

const COPY: &str = "COPY todo FROM STDIN";

async fn copy(client: &BemiClient, sql: &str, data: &'static str) -> Result<u64, Error> {
    let mut sink = pin!(client.copy_in(sql).await?);
    sink.send(Bytes::from_static(data.as_bytes())).await?;
    sink.finish().await
}

#[tokio::test]
async fn a_copy_in_a_scope_has_its_context_and_is_committed_when_it_is_finished() {
    let app = App::new().await;
    let rows = copy(&app.client, COPY, "1\tx\n2\ty\n").with_context(user(1)).await.unwrap();
    assert_eq!((rows, app.count("todo").await), (2, 2));
    copy(&app.client, COPY, "3\tz\n").await.unwrap();
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "x")), by(1, inserted(2, "y"))], vec![by_nobody(inserted(3, "z"))]]
    );
}

#[tokio::test]
async fn a_copy_that_is_closed_as_a_sink_is_committed_too() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut sink = pin!(app.client.copy_in(COPY).await.unwrap());
        sink.send(Bytes::from_static(b"1\tx\n")).await.unwrap();
        sink.close().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_copy_that_is_dropped_stores_nothing_and_the_client_goes_on() {
    let app = App::new().await;
    with_context(user(1), async {
        {
            let mut sink = pin!(app.client.copy_in(COPY).await.unwrap());
            sink.send(Bytes::from_static(b"1\tx\n")).await.unwrap();
            sink.flush().await.unwrap();
        }
        app.client.execute(INSERT, &[&2, &"y"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn data_that_is_refused_is_an_error_stores_nothing_and_the_client_goes_on() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    with_context(user(1), async {
        let refused = [
            ("22P02", COPY, "one\tx\n"),
            ("23505", COPY, "1\tx\n1\ty\n"),
            // The COMMIT speaks: nothing was in the way of the data.
            ("23505", "COPY late FROM STDIN", "1\n1\n"),
        ];
        for (code, sql, data) in refused {
            let error = copy(&app.client, sql, data).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), code, "{sql} {data}");
        }
        app.client.execute(INSERT, &[&2, &"y"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
}

/// The library asks the server for one answer more than it expects then, and what comes next may be taken for the answer to
/// something else before it notices. Its connection ends in any case; ours ends before the next answer.
#[tokio::test]
async fn where_a_copy_is_refused_at_once_nothing_that_follows_gets_the_wrong_answer() {
    let app = App::new().await;
    let sql = "COPY nowhere FROM STDIN";
    let (plain, its_end) = connect(&app).await;
    assert!(plain.copy_in::<_, Bytes>(sql).await.is_err());
    its_end.await.unwrap().unwrap_err();

    let (client, its_end) = connect(&app).await;
    let client = BemiClient::new(client);
    let error = copy(&client, sql, "1\n").with_context(user(1)).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42P01");
    for _ in 0..10 {
        assert!(client.batch_execute("SELECT 1").await.is_err());
        assert!(client.query_one("SELECT 1", &[]).await.is_err());
    }
    its_end.await.unwrap().unwrap_err();
    assert!(client.is_closed());
}

/// A client, and how its connection ends.
async fn connect(app: &App) -> (Client, JoinHandle<Result<(), Error>>) {
    let (client, connection) = tokio_postgres::connect(&app.database.url(), NoTls).await.unwrap();
    (client, tokio::spawn(connection))
}

#[tokio::test]
async fn in_a_transaction_the_sink_is_the_librarys_and_takes_binary_data() {
    let mut app = App::new().await;
    with_context(user(1), async {
        let tx = app.client.transaction().await.unwrap();
        let sink = tx.copy_in("COPY todo FROM STDIN (FORMAT binary)").await.unwrap();
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]));
        writer.as_mut().write(&[&1, &"x"]).await.unwrap();
        assert_eq!(writer.finish().await.unwrap(), 1);
        tx.execute(INSERT, &[&2, &"y"]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x")), by(1, inserted(2, "y"))]]);
}

#[tokio::test]
async fn what_is_copied_out_is_that_of_the_plain_client_and_a_delete_on_the_way_has_its_context() {
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x'), (2, 'y')").await;
    app.journal().await;
    with_context(user(1), async {
        let mut copied = Vec::new();
        for sql in ["COPY todo TO STDOUT", "COPY (DELETE FROM todo RETURNING *) TO STDOUT"] {
            let data: Vec<Bytes> =
                app.client.copy_out(sql).await.unwrap().try_collect().await.unwrap();
            copied.push(data.concat());
        }
        assert_eq!(copied, [b"1\tx\n2\ty\n", b"1\tx\n2\ty\n"]);
        app.client.check_connection().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, "todo: DELETE: id:1"), by(1, "todo: DELETE: id:2")]]);
}
