//! Points in time: what they resolve to, and when they cannot be told yet.

use std::time::Duration;

use bemi_core::record::{Point, Record, RecordError};
use bemi_core::{CommitPosition, Lsn, TransactionId};
use bemi_tests::{STORED_WITHIN, TestDatabase, Tracked, shared_cluster};
use bemi_worker::connect::Session;

use super::asked::{TODO, last_position, lsn, now, record, session, told};

#[tokio::test]
async fn an_instant_is_after_the_last_transaction_that_had_committed_then() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;
    let first = last_position(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let at: String = tracked
        .value(
            "SELECT to_json(committed_at) #>> '{}' FROM changes ORDER BY commit_position LIMIT 1",
        )
        .await;
    assert_eq!(record.resolve(at.parse().unwrap()).await.unwrap(), first);
    let just_before: String = tracked
        .value(
            "SELECT to_json(committed_at - interval '1 microsecond') #>> '{}' \
             FROM changes ORDER BY commit_position LIMIT 1",
        )
        .await;
    assert!(record.resolve(just_before.parse().unwrap()).await.unwrap() < first);
}

#[tokio::test]
async fn before_the_first_change_it_is_position_0() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let long_ago = record.resolve("2001-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(long_ago, CommitPosition::default());
    assert_eq!(
        told(&mut record.as_of("2001-01-01T00:00:00Z".parse().unwrap()), "1").await,
        "before_record"
    );
}

#[tokio::test]
async fn a_position_is_after_what_had_committed_there() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;
    let position = last_position(&tracked).await;

    let mut record = record(&tracked).await;
    let (at, before) = (Point::Lsn(position.0), Point::BeforeLsn(position.0));
    assert_eq!(told(&mut record.as_of(at), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut record.as_of(before), "1").await, "absent");
}

#[tokio::test]
async fn a_transaction_is_seen_whole_or_not_at_all() {
    let tracked = Tracked::new(TODO).await;
    tracked
        .sql("BEGIN; INSERT INTO todo VALUES (1, 'a'); UPDATE todo SET task = 'b'; COMMIT")
        .await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let id: i64 = tracked.value("SELECT max(transaction_id) FROM changes").await;
    let id = TransactionId(u32::try_from(id).unwrap());
    let first: String =
        tracked.value("SELECT id::text FROM changes ORDER BY sequence LIMIT 1").await;
    let first = first.parse().unwrap();
    for point in [Point::Transaction(id), Point::Change(first)] {
        assert_eq!(
            told(&mut record.as_of(point), "1").await,
            r#"{"done":false,"id":1,"task":"b"}"#
        );
    }
    for point in [Point::BeforeTransaction(id), Point::BeforeChange(first)] {
        assert_eq!(told(&mut record.as_of(point), "1").await, "absent");
    }
}

#[tokio::test]
async fn what_is_not_in_the_record_is_no_point() {
    let tracked = Tracked::new(TODO).await;
    let mut worker = tracked.run().await;
    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    for point in ["@tx:4294967295", "@change:01890a5d-ac96-874b-bcce-b302099a8057"] {
        let error = record.resolve(point.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, RecordError::NoSuchPoint { .. }), "{error}");
    }
    worker.terminate();
}

#[tokio::test]
async fn a_point_that_is_not_stored_yet_is_waited_for() {
    let tracked = Tracked::new(TODO).await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;

    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    let mut now = record.as_of("now".parse().unwrap());
    assert_eq!(told(&mut now, "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    worker.stop().await;
}

#[tokio::test]
async fn else_it_is_an_error_and_never_the_answer_of_an_older_point() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let lsn = lsn(&tracked).await;

    let mut record = record(&tracked).await.waiting(Duration::from_millis(50));
    for point in ["now".parse().unwrap(), Point::Lsn(lsn)] {
        let error = record.resolve(point).await.unwrap_err();
        assert!(matches!(error, RecordError::NotStoredYet { .. }), "{error}");
    }
    let future = record.resolve("2999-01-01T00:00:00Z".parse().unwrap()).await.unwrap_err();
    assert!(matches!(future, RecordError::NotStoredYet { .. }), "{future}");
}

#[tokio::test]
async fn an_instant_before_a_transaction_that_is_stored_needs_no_waiting() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let between: String = tracked.value("SELECT to_json(clock_timestamp()) #>> '{}'").await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut between = record.as_of(between.parse().unwrap());
    assert_eq!(told(&mut between, "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut between, "2").await, "absent");
}

#[tokio::test]
async fn a_read_only_session_waits_without_a_heartbeat() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;
    let client = tracked.database.connect().await.unwrap();
    client.batch_execute("SET default_transaction_read_only = on").await.unwrap();

    let mut record = Record::new(Session::new(client)).waiting(Duration::ZERO);
    let position = last_position(&tracked).await;
    assert_eq!(record.resolve(Point::Lsn(position.0)).await.unwrap(), position);
    // Whether anything has committed since, nobody tells.
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    let error = record.resolve("now".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RecordError::NotStoredYet { .. }), "{error}");
}

#[tokio::test]
async fn a_record_elsewhere_catches_up_with_its_source_when_told() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    let audit = TestDatabase::create(shared_cluster()).await.unwrap();
    let worker =
        |arguments: &[&str]| tracked.worker(arguments).env("DESTINATION_DATABASE_URL", audit.url());
    worker(&["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    let mut running = worker(&["run"]).spawn();
    running.wait_for_log("streaming").await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;

    let connection = Session::new(audit.connect().await.unwrap());
    let mut record = Record::new(connection).waiting(Duration::from_millis(50));
    // It cannot tell that nothing has committed in the source meanwhile.
    let error = record.resolve("now".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, RecordError::NotStoredYet { .. }), "{error}");
    let mut record = record.waiting(STORED_WITHIN);
    let mut source = session(&tracked).await;
    let position = record.catch_up(&mut source).await.unwrap();
    assert_eq!(
        told(&mut record.as_of(Point::Lsn(position)), "1").await,
        r#"{"done":false,"id":1,"task":"a"}"#
    );
    let mut other = Session::new(audit.connect().await.unwrap());
    let error = record.catch_up(&mut other).await.unwrap_err();
    assert!(matches!(error, RecordError::OtherSource { .. }), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_slot_is_chosen_where_there_are_several() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let then = now(&tracked).await;
    tracked.store().await;
    // Another cluster's, and then one of the same database.
    let other = "INSERT INTO bemi.checkpoint (slot, system_identifier, timeline, database, publications, position) \
                 SELECT $slot, $cluster, 1, database, '{}', 1 FROM bemi.checkpoint LIMIT 1";
    tracked.sql(&other.replace("$slot", "'other'").replace("$cluster", "'1'")).await;
    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(then), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);

    tracked
        .sql(&other.replace("$slot", "'another'").replace("$cluster", "system_identifier"))
        .await;
    let error = record.resolve(then).await.unwrap_err();
    assert!(matches!(error, RecordError::SeveralSlots { .. }), "{error}");
    let mut record = record.for_slot(tracked.database.slot_name());
    assert_eq!(told(&mut record.as_of(then), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
}

#[tokio::test]
async fn without_setup_there_is_no_record() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    let mut record = record(&tracked).await;
    let error = record.resolve(Point::Lsn(Lsn::ZERO)).await.unwrap_err();
    assert!(matches!(error, RecordError::NotSetUp { .. }), "{error}");
}
