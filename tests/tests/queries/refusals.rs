//! Where there is no record, the error says so, and what to do.

use bemi_core::record::{Changes, RecordError};
use bemi_tests::{Tracked, shared_cluster};

use crate::asked::record;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_set_up() {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    let mut here = record(&tracked).await;
    let error = here.changes(&Changes::new()).await.unwrap_err();
    assert!(matches!(error, RecordError::NotSetUp { .. }), "{error}");
    let error = here.end().await.unwrap_err();
    assert!(matches!(error, RecordError::NotSetUp { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_another_schema() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE SCHEMA \"the record\"; CREATE TABLE todo (id int PRIMARY KEY)",
    )
    .await;
    tracked.setup(&["--all-tables", "--changes-schema", "the record"]).await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked
        .worker(&["run", "--once", "--changes-schema", "the record"])
        .run_to_end()
        .await
        .assert_code(0);
    let error = record(&tracked).await.changes(&Changes::new()).await.unwrap_err();
    assert!(matches!(error, RecordError::NotSetUp { .. }), "{error}");
    let mut there = record(&tracked).await.in_schema("the record");
    assert_eq!(there.changes(&Changes::new()).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    let role = tracked.database.unique_name("stranger");
    tracked.sql(&format!("CREATE ROLE {role}; SET ROLE {role}")).await;
    let client = tracked.database.connect().await.unwrap();
    client.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
    let mut stranger = bemi_core::record::Record::new(bemi_worker::connect::Session::new(client));
    let error = stranger.changes(&Changes::new()).await.unwrap_err();
    let RecordError::Database { doing: "read changes", source } = &error else { panic!("{error}") };
    assert_eq!(source.as_db_error().unwrap().message(), "permission denied for table changes");
    drop(stranger);
    tracked.sql(&format!("RESET ROLE; DROP ROLE {role}")).await;
}
