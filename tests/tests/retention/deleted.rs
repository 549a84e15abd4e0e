//! Without partitions, old rows are deleted.

use bemi_core::record::{Key, Record, RowAt, TableName, Unknown};
use bemi_tests::Tracked;
use bemi_worker::connect::Session;

use super::aged::{TODO, age, keep};

#[tokio::test]
async fn old_rows_of_a_plain_table_are_deleted_and_said_to_be_unknown() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo SELECT i FROM generate_series(1, 5000) AS i").await;
    tracked.store().await;
    age(&tracked, 100).await;
    tracked.sql("INSERT INTO todo VALUES (9000)").await;
    tracked.store().await;
    let preview = tracked
        .worker(&["retention", "--retention", "90d", "--dry-run"])
        .run_to_end()
        .await
        .assert_code(0)
        .stdout;
    assert!(preview.starts_with("would delete the rows of public.changes"), "{preview}");
    assert_eq!(tracked.count().await, 5001);
    let done = keep(&tracked, "90d").await.stdout;
    assert!(done.starts_with("delete 5000 rows of public.changes"), "{done}");
    assert_eq!(tracked.count().await, 1);
    let again = keep(&tracked, "90d").await.stdout;
    assert_eq!(again, "nothing to do\n");

    let session = Session::new(tracked.database.connect().await.unwrap());
    let mut record = Record::new(session);
    let mut then = record.as_of("-1h".parse().unwrap());
    let row = then.row(&TableName::new("public", "todo"), &Key::from("1")).await.unwrap();
    assert!(matches!(row, RowAt::Unknown(Unknown::Expired { .. })), "{row:?}");
}

#[tokio::test]
async fn who_does_not_own_the_table_is_told() {
    let tracked = Tracked::new(TODO).await;
    let output = tracked
        .worker(&["retention", "--retention", "90d"])
        .env("DATABASE_URL", tracked.worker_url())
        .run_to_end()
        .await
        .assert_code(6);
    assert!(output.stderr.contains("does not own public.changes"), "{output}");
}
