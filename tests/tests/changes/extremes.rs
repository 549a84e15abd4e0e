//! As many columns, bytes and rows as PostgreSQL takes.

use bemi_tests::{STORED_WITHIN, Tracked, eventually};
use serde_json::{Map, Value, json};

use super::expected::{created, emit, own_cluster, recorded, stored, updated};

#[tokio::test]
async fn a_table_of_1600_columns() {
    let columns: String = (1..1600).map(|number| format!(", c{number} smallint")).collect();
    let tracked = Tracked::new(&format!("CREATE TABLE t (id int PRIMARY KEY{columns})")).await;
    let values: String = (1..1600).map(|number| format!(", {number}")).collect();
    tracked.sql(&format!("INSERT INTO t VALUES (1{values}); UPDATE t SET c1599 = NULL")).await;
    let mut row: Map<String, Value> =
        (1..1600).map(|number| (format!("c{number}"), json!(number))).collect();
    row.insert("id".to_owned(), json!(1));
    let first = Value::Object(row.clone());
    row.insert("c1599".to_owned(), Value::Null);
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", first.clone()), updated("t", "1", first, Value::Object(row))]
    );
}

#[tokio::test]
async fn a_row_of_many_megabytes() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, a text, b bytea, n int)").await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, repeat('long \"text\" ', 2500000), decode(repeat('00ff', 2500000), 'hex'), 1); \
             UPDATE t SET n = 2",
        )
        .await;
    tracked.store().await;
    let whole: Vec<bool> = tracked
        .value(
            "SELECT array_agg(CASE operation \
                 WHEN 'CREATE' THEN after || '{\"n\": 2}' = to_jsonb(t) \
                 ELSE after = to_jsonb(t) AND before || '{\"n\": 2}' = to_jsonb(t) AND before_complete END \
                 ORDER BY sequence) \
             FROM changes, t",
        )
        .await;
    assert_eq!(whole, [true, true]);
}

/// The server keeps what it decodes on its disk then, and sends the transaction from there.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_spill_to_disk_are_whole_and_in_order() {
    let cluster = own_cluster(&[("logical_decoding_work_mem", "64kB")]);
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY, a text)").await;
    let other = tracked.database.connect().await.unwrap();
    let context = json!({"job": "import"});
    tracked
        .sql(&format!(
            "BEGIN; {} INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g",
            emit(&context)
        ))
        .await;
    // A part that is rolled back after it was spilled, and another transaction that commits in between.
    tracked.sql("SAVEPOINT s; INSERT INTO t SELECT g, 'gone' FROM generate_series(2001, 6000) g; ROLLBACK TO s").await;
    other.batch_execute("INSERT INTO t VALUES (0, 'between')").await.unwrap();
    tracked
        .sql("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(2001, 4000) g; COMMIT")
        .await;
    tracked.store().await;
    // Else this would prove nothing. PostgreSQL 14 tells its statistics a moment later.
    eventually(STORED_WITHIN, "a transaction on the server's disk", async || {
        let spilled = "SELECT coalesce(sum(spill_count), 0) > 0 FROM pg_stat_replication_slots";
        tracked.value::<bool>(spilled).await.then_some(())
    })
    .await;
    let transactions = stored(&tracked).await;
    let row = |id: i32| {
        created("t", id.to_string().as_str(), json!({"id": id, "a": "x".repeat(100)}))
            .by(context.clone())
    };
    assert_eq!(transactions.len(), 2);
    assert_eq!(transactions[0], [created("t", "0", json!({"id": 0, "a": "between"}))]);
    assert_eq!(transactions[1], (1..=4000).map(row).collect::<Vec<_>>());
}
