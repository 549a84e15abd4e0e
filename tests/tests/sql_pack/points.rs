//! Points in time mean the same in SQL as in the Rust API, and an answer is never silently old.

use std::time::Duration;

use bemi_core::record::{Point, Record};
use bemi_tests::TestDatabase;
use bemi_tokio_postgres::BemiClient;

use super::packed::Packed;

/// The record as the Rust API has it.
async fn record(database: &TestDatabase) -> Record<BemiClient> {
    let client = BemiClient::new(database.connect().await.unwrap());
    Record::new(client).waiting(Duration::from_secs(30))
}

#[tokio::test]
async fn a_point_is_the_same_position_as_in_rust() {
    let packed = Packed::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    let _worker = packed.tracked.run().await;
    for id in 1..=3 {
        packed.sql(&format!("INSERT INTO todo VALUES ({id})")).await;
    }
    packed.sql("CREATE TABLE other (id int PRIMARY KEY)").await;
    packed.sql("INSERT INTO todo VALUES (4), (5)").await;
    packed.tracked.wait_for_count(5).await;
    let mut points: Vec<String> =
        ["now", "NOW", " now ", "-0s", "-1h", "-1000w", "@lsn:0/0", "@before:lsn:0/1"]
            .map(str::to_owned)
            .into();
    points.extend(
        packed
            .texts(
                "SELECT p FROM changes c, LATERAL (VALUES
                     ('@tx:' || transaction_id), ('@before:tx:' || transaction_id), ('@change:' || id),
                     ('@before:change:' || id), ('@lsn:' || ('0/0'::pg_lsn + commit_position)),
                     ('@before:lsn:' || ('0/0'::pg_lsn + commit_position)),
                     (to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')),
                     (to_char((committed_at - interval '1 us') AT TIME ZONE 'UTC',
                              'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))) AS points (p)",
            )
            .await,
    );
    let mut record = record(&packed.tracked.database).await;
    let mut seen = std::collections::BTreeSet::new();
    for point in points {
        let parsed: Point = point.parse().unwrap();
        let expected = record.resolve(parsed).await.unwrap().0.to_bigint();
        let sql = format!("SELECT bemi.position_of('{point}')");
        let told: i64 = packed.rows(&sql).await[0].get(0);
        assert_eq!(told, expected, "{point}");
        seen.insert(told);
    }
    assert!(seen.len() > 8, "{seen:?}");
}

#[tokio::test]
async fn what_is_a_point_in_rust_is_one_in_sql_and_what_timestamptz_reads_too() {
    let packed = Packed::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    packed.sql("INSERT INTO todo VALUES (1)").await;
    packed.store().await;
    for point in [
        "",
        "-",
        "-2",
        "-h",
        "-2y",
        "--2h",
        "-2H",
        "-9223372036854775807w",
        "@",
        "@tx",
        "@tx:",
        "@tx:-1",
        "@tx:4294967296",
        "@lsn:x",
        "@lsn:0/1FFFFFFFF",
        "@before:",
        "@before:before:tx:1",
        "@change:1",
        "last summer",
        "25:00",
        "2026-13-01",
        "@tx:1; DROP TABLE todo",
        "-1h' OR true",
        "-infinity",
    ] {
        // The one that is instants of PostgreSQL's own, and still none that something is recorded at.
        assert!(point.parse::<Point>().is_err(), "{point}");
        let quoted = point.replace('\'', "''");
        let (state, message, hint) =
            packed.refused(&format!("SELECT bemi.position_of('{quoted}')")).await;
        assert_eq!(state, "22023", "{point}: {message}");
        assert_eq!(message, format!("bemi: '{point}' is not a point in time"));
        assert!(hint.starts_with("One looks like 2026-11-21T10:00:00Z, -2h, now"), "{hint}");
    }
    for point in
        ["yesterday", "2020-01-01", "2020-01-01 10:00", "2020-01-01 10:00 Europe/Berlin", "epoch"]
    {
        let told: i64 = packed.rows(&format!("SELECT bemi.position_of('{point}')")).await[0].get(0);
        assert_eq!(told, 0, "{point}");
    }
    let (state, ..) = packed.refused("SELECT bemi.position_of('@tx:1')").await;
    assert_eq!(state, "ZB002");
}

#[tokio::test]
async fn what_is_not_stored_yet_is_an_error_and_with_a_worker_it_waits() {
    let packed = Packed::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    packed.sql("INSERT INTO todo VALUES (1)").await;
    packed.store().await;
    packed.sql("INSERT INTO todo VALUES (2); SET bemi.wait = '0'").await;
    for point in ["now", "-0s", "@lsn:FFFFFF/0"] {
        let (state, message, hint) =
            packed.refused(&format!("SELECT bemi.position_of('{point}')")).await;
        assert_eq!(state, "ZB002", "{message}");
        assert!(message.contains("the worker has stored everything up to "), "{message}");
        assert!(hint.contains("SET bemi.wait = "), "{hint}");
    }
    let (state, message, _) =
        packed.refused("SELECT bemi.position_of(now() + interval '1 h')").await;
    assert_eq!(state, "ZB002");
    assert!(message.contains("is yet to come"), "{message}");

    packed.sql("SET bemi.wait = '60 s'").await;
    let _worker = packed.tracked.run().await;
    let last = "SELECT max(commit_position) FROM changes";
    for id in 3..=5 {
        packed.sql(&format!("INSERT INTO todo VALUES ({id})")).await;
        let told: i64 = packed.rows("SELECT bemi.position_of('now')").await[0].get(0);
        assert_eq!(packed.rows(last).await[0].get::<_, i64>(0), told);
        assert_eq!(packed.tracked.count().await, id);
    }
}

#[tokio::test]
async fn of_another_database_the_answer_waits_for_what_commits_later() {
    let packed = Packed::in_two_databases("CREATE TABLE todo (id int PRIMARY KEY)").await;
    packed.sql("INSERT INTO todo VALUES (1)").await;
    packed.store().await;
    packed.client().batch_execute("SET bemi.wait = '0'").await.unwrap();
    assert_eq!(packed.refused("SELECT bemi.position_of('now')").await.0, "ZB002");
    let first: i64 = packed.rows("SELECT max(commit_position) FROM changes").await[0].get(0);
    let at = "SELECT bemi.position_of(c.committed_at) FROM changes c";
    // Another transaction may have the same time, for all that is known.
    assert_eq!(packed.refused(at).await.0, "ZB002");
    packed.sql("INSERT INTO todo VALUES (2)").await;
    packed.store().await;
    let told: i64 = packed.rows(&format!("{at} ORDER BY commit_position LIMIT 1")).await[0].get(0);
    assert_eq!(told, first);
}

#[tokio::test]
async fn of_several_slots_one_must_be_named_unless_one_is_of_this_database() {
    let packed = Packed::in_two_databases("CREATE TABLE todo (id int PRIMARY KEY)").await;
    packed.sql("INSERT INTO todo VALUES (1)").await;
    packed.store().await;
    let client = packed.client();
    client
        .batch_execute(
            "INSERT INTO bemi.checkpoint (slot, system_identifier, timeline, database, publications, position)
             VALUES ('another', '1', 1, 'other', '{}', 1)",
        )
        .await
        .unwrap();
    let (state, message, hint) = packed.refused("SELECT bemi.position_of('@lsn:0/1')").await;
    assert_eq!(state, "55000");
    assert!(message.contains("another, ") && hint.contains("SET bemi.slot"), "{message} {hint}");
    client.batch_execute("SET bemi.slot = 'another'").await.unwrap();
    assert_eq!(packed.rows("SELECT bemi.position_of('@lsn:0/1')").await[0].get::<_, i64>(0), 1);
    client.batch_execute("SET bemi.slot = 'none'").await.unwrap();
    assert_eq!(packed.refused("SELECT bemi.position_of('@lsn:0/1')").await.0, "55000");
}
