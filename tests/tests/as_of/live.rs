//! Rows that have not changed since, from the source as it is now.

use bemi_core::record::{Key, RowAt};
use bemi_tests::{STORED_WITHIN, Tracked, shared_cluster};

use super::asked::{TODO, now, record, session, short, todo, told};

async fn filled_before(identity: &str) -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    tracked.setup(&["--all-tables", "--replica-identity", identity]).await;
    tracked
}

#[tokio::test]
async fn a_row_without_a_change_since_is_the_row_that_is_there_now() {
    let tracked = filled_before("full").await;
    let worker = tracked.run().await;
    let then = now(&tracked).await;
    tracked.sql("UPDATE todo SET task = 'x' WHERE id = 1; INSERT INTO todo VALUES (4, 'd')").await;

    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    assert_eq!(told(&mut record.as_of(then), "2").await, "before_record");
    let mut here = record.as_of(then).with_live_here();
    assert_eq!(told(&mut here, "2").await, r#"{"done":false,"id":2,"task":"b"}"#);
    assert_eq!(told(&mut here, "5").await, "absent");
    assert_eq!(told(&mut here, "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut here, "4").await, "absent");
    let mut source = session(&tracked).await;
    let mut there = record.as_of(then).with_live(&mut source);
    let row = there.row(&todo(), &Key::from(3)).await.unwrap();
    assert_eq!(short(row), r#"{"done":false,"id":3,"task":"c"}"#);
    worker.stop().await;
}

/// The identity does not tell what the row was before its change.
#[tokio::test]
async fn a_row_with_a_change_since_is_not() {
    let tracked = filled_before("keep").await;
    let worker = tracked.run().await;
    let then = now(&tracked).await;
    tracked.sql("UPDATE todo SET task = 'x' WHERE id = 1").await;

    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let mut then = record.as_of(then).with_live_here();
    assert_eq!(told(&mut then, "1").await, "incomplete");
    assert_eq!(told(&mut then, "2").await, r#"{"done":false,"id":2,"task":"b"}"#);
    worker.stop().await;
}

#[tokio::test]
async fn it_has_the_columns_of_that_time() {
    let tracked = filled_before("full").await;
    let worker = tracked.run().await;
    let then = now(&tracked).await;
    tracked
        .sql("ALTER TABLE todo RENAME task TO title; ALTER TABLE todo ADD n int DEFAULT 1")
        .await;
    let renamed = now(&tracked).await;
    tracked.sql("ALTER TABLE todo DROP done").await;

    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let mut then = record.as_of(then).with_live_here();
    assert_eq!(told(&mut then, "2").await, "incomplete done");
    let mut renamed = record.as_of(renamed).with_live_here();
    assert_eq!(told(&mut renamed, "2").await, "incomplete done");
    let now = now(&tracked).await;
    let mut now = record.as_of(now).with_live_here();
    assert_eq!(told(&mut now, "2").await, r#"{"id":2,"n":1,"title":"b"}"#);
    worker.stop().await;
}

#[tokio::test]
async fn a_whole_table_has_the_rows_that_the_record_never_saw() {
    let tracked = filled_before("full").await;
    let worker = tracked.run().await;
    tracked.sql("DELETE FROM todo WHERE id = 1").await;
    let then = now(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (4, 'd')").await;

    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let table = record.as_of(then).with_live_here().table(&todo()).await.unwrap();
    assert!(table.is_complete, "{table:?}");
    let rows: Vec<String> = table.rows.into_iter().map(|row| short(row.row)).collect();
    assert_eq!(
        rows,
        [r#"{"done":false,"id":2,"task":"b"}"#, r#"{"done":false,"id":3,"task":"c"}"#]
    );
    worker.stop().await;
}

/// A transaction that has begun before, and commits behind the reading, is no part of what was read.
#[tokio::test]
async fn what_is_read_and_what_is_undone_are_the_same_transactions() {
    let tracked = filled_before("keep").await;
    let worker = tracked.run().await;
    let then = now(&tracked).await;
    let writer = tracked.database.connect().await.unwrap();
    writer.batch_execute("BEGIN; UPDATE todo SET task = 'late' WHERE id = 2").await.unwrap();

    let reader = tracked.database.connect().await.unwrap();
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM todo")
        .await
        .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    let mut source = bemi_worker::connect::Session::new(reader);
    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let mut then = record.as_of(then).with_live(&mut source);
    let row = then.row(&todo(), &Key::from(2)).await.unwrap();
    assert_eq!(short(row), r#"{"done":false,"id":2,"task":"b"}"#);
    worker.stop().await;
}

#[tokio::test]
async fn the_session_keeps_its_settings() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY, at timestamptz); INSERT INTO todo VALUES (1, '2026-01-01 12:00+00')",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let worker = tracked.run().await;
    let then = now(&tracked).await;
    let client = tracked.database.connect().await.unwrap();
    client.batch_execute("SET timezone = 'Asia/Kolkata'; BEGIN").await.unwrap();

    let mut source = bemi_worker::connect::Session::new(client);
    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let mut as_of = record.as_of(then).with_live(&mut source);
    let row: RowAt = as_of.row(&todo(), &Key::from(1)).await.unwrap();
    assert_eq!(short(row), r#"{"at":"2026-01-01T12:00:00+00:00","id":1}"#);
    let zone: String = source.client().query_one("SHOW timezone", &[]).await.unwrap().get(0);
    assert_eq!(zone, "Asia/Kolkata");
    worker.stop().await;
}

#[tokio::test]
async fn a_column_may_be_called_as_the_statement_calls_the_table() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY, t text, w text); INSERT INTO todo VALUES (1, 'a', 'b')",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let worker = tracked.run().await;
    let then = now(&tracked).await;

    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let mut here = record.as_of(then).with_live_here();
    assert_eq!(told(&mut here, "1").await, r#"{"id":1,"t":"a","w":"b"}"#);
    worker.stop().await;
}
