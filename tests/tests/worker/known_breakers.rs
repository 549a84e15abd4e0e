//! What is known to break the family's original worker, one test each: it must be right in ours.

use std::pin::pin;

use bemi_tests::{STORED_WITHIN, Tracked, eventually};
use bytes::Bytes;
use futures_util::SinkExt as _;
use serde_json::{Value, json};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a text)";

/// What the other packages of the family leave in a database: a trigger for each row, which reads
/// the context out of the first comment of its own in the text of the statement.
const ROW_TRIGGER: &str = r"
    CREATE FUNCTION emit_comment() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        context text := substring(current_query() FROM '/\*Bemi (.*?) Bemi\*/');
    BEGIN
        IF context IS NOT NULL THEN
            PERFORM pg_logical_emit_message(true, '_bemi', context);
        END IF;
        RETURN coalesce(NEW, OLD);
    END $$;
    CREATE TRIGGER emit_comment BEFORE INSERT OR UPDATE OR DELETE ON t
        FOR EACH ROW EXECUTE FUNCTION emit_comment();";

fn emit(content: &str) -> String {
    format!("SELECT pg_logical_emit_message(true, '_bemi', $content${content}$content$);")
}

async fn contexts(tracked: &Tracked) -> Vec<Value> {
    tracked.store().await;
    tracked.changes().await.into_iter().map(|change| change.context).collect()
}

/// There, rows with one position collapse into one.
#[tokio::test]
async fn three_rows_of_one_copy_are_three_changes() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN").await;
    tracked.sql(&emit(r#"{"job": "import"}"#)).await;
    let mut copy = pin!(tracked.client.copy_in("COPY t FROM STDIN").await.unwrap());
    copy.send(Bytes::from_static(b"1\ta\n2\tb\n3\tc\n")).await.unwrap();
    copy.finish().await.unwrap();
    tracked.sql("COMMIT").await;

    assert_eq!(contexts(&tracked).await, vec![json!({"job": "import"}); 3]);
    let positions: i64 = tracked.value("SELECT count(DISTINCT position) FROM changes").await;
    assert_eq!(positions, 1, "else this proves nothing");
    assert_eq!(tracked.value::<i64>("SELECT count(DISTINCT id) FROM changes").await, 3);
}

/// There, the first message of a transaction wins, also for what was written before it.
#[tokio::test]
async fn a_savepoint_rolled_back_between_two_contexts_leaves_neither_row_nor_context() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN; INSERT INTO t VALUES (0)").await;
    tracked.sql(&emit(r#"{"user": 1}"#)).await;
    tracked.sql("INSERT INTO t VALUES (1); SAVEPOINT s").await;
    tracked.sql(&emit(r#"{"user": 2}"#)).await;
    tracked.sql("INSERT INTO t VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (3)").await;
    tracked.sql(&emit(r#"{"user": 3}"#)).await;
    tracked.sql("INSERT INTO t VALUES (4); COMMIT").await;
    assert_eq!(
        contexts(&tracked).await,
        [json!({}), json!({"user": 1}), json!({"user": 1}), json!({"user": 3})]
    );
}

/// There, messages are fetched by the hundred, and the context of one fetch is not known in the next.
#[tokio::test]
async fn all_150_rows_of_one_transaction_have_its_context() {
    let tracked = Tracked::new(SCHEMA).await;
    let inserts: String = (1..=150).map(|id| format!("INSERT INTO t VALUES ({id});")).collect();
    tracked.sql(&format!("BEGIN; {} {inserts} COMMIT", emit(r#"{"user": 1}"#))).await;
    assert_eq!(contexts(&tracked).await, vec![json!({"user": 1}); 150]);
}

/// There, the worker stops at it for good.
#[tokio::test]
async fn a_context_that_is_not_json_is_kept_raw_and_stops_nothing() {
    let tracked = Tracked::new(SCHEMA).await;
    let long = "x".repeat(100_000);
    let refused = ["hello", "{", r#"{"a": "\u0000"}"#, r#"{"a": "\ud800"}"#, r#"{"a": 1e400000}"#];
    for (id, content) in refused.iter().chain([&long.as_str()]).enumerate() {
        tracked.sql(&format!("BEGIN; {} INSERT INTO t VALUES ({id}); COMMIT", emit(content))).await;
    }
    tracked
        .sql(
            "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '\\xff00fe'::bytea); \
             INSERT INTO t VALUES (100); COMMIT; INSERT INTO t VALUES (101)",
        )
        .await;

    let contexts = contexts(&tracked).await;
    assert_eq!(contexts.len(), 8);
    for (context, content) in contexts.iter().zip(refused) {
        assert_eq!(context["_bemi"]["raw"], content);
        assert!(context["_bemi"]["error"].is_string(), "{context}");
    }
    assert_eq!(contexts[5]["_bemi"]["raw"].as_str().unwrap().len(), 4096);
    assert!(contexts[6]["_bemi"]["raw"].is_string(), "{}", contexts[6]);
    assert_eq!(contexts[7], json!({}));
}

#[tokio::test]
async fn json_that_is_no_object_is_stored_as_it_is() {
    let tracked = Tracked::new(SCHEMA).await;
    for (id, content) in ["[1]", r#""text""#].iter().enumerate() {
        tracked.sql(&format!("BEGIN; {} INSERT INTO t VALUES ({id}); COMMIT", emit(content))).await;
    }
    assert_eq!(contexts(&tracked).await, [json!([1]), json!("text")]);
}

#[tokio::test]
async fn a_null_context_is_an_empty_one() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN").await;
    tracked.sql(&emit(r#"{"user": 1}"#)).await;
    tracked.sql(&emit("null")).await;
    tracked.sql("INSERT INTO t VALUES (1); COMMIT").await;
    assert_eq!(contexts(&tracked).await, [json!({})]);
}

#[tokio::test]
async fn an_empty_message_is_told_and_one_outside_of_transactions_governs_nothing() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql(&format!("BEGIN; {} INSERT INTO t VALUES (1); COMMIT", emit(""))).await;
    tracked
        .sql(
            "SELECT pg_logical_emit_message(false, '_bemi', '{\"user\": 1}'); \
             INSERT INTO t VALUES (2)",
        )
        .await;
    tracked
        .sql(
            "BEGIN; SELECT pg_logical_emit_message(false, '_bemi', '{\"user\": 1}'); \
             INSERT INTO t VALUES (3); COMMIT",
        )
        .await;
    let contexts = contexts(&tracked).await;
    assert_eq!(contexts[0]["_bemi"]["raw"], "");
    assert_eq!(contexts[1..], [json!({}), json!({})]);
}

/// There, it is rounded to the next float.
#[tokio::test]
async fn an_integer_that_no_float_can_hold_is_exact() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (9007199254740993, 'a')").await;
    tracked.store().await;
    let id: String = tracked.value("SELECT after ->> 'id' FROM changes").await;
    assert_eq!(id, "9007199254740993");
    assert_eq!(tracked.changes().await[0].what(), ("CREATE", "9007199254740993"));
}

/// There, it is looked for in a column `id`, which may be something else or not be.
#[tokio::test]
async fn a_primary_key_need_not_be_named_id() {
    let tracked = Tracked::new(
        "CREATE TABLE person (email text PRIMARY KEY); \
         CREATE TABLE city (id int, code text PRIMARY KEY)",
    )
    .await;
    tracked
        .sql("INSERT INTO person VALUES ('ann@example.org'); INSERT INTO city VALUES (7, 'BER')")
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(changes[0].what(), ("CREATE", "ann@example.org"));
    assert_eq!(changes[1].what(), ("CREATE", "BER"));
}

/// A row trigger says the context of a row that then is not written. There, it is kept for the next
/// fetch, and held to be the context of something else.
#[tokio::test]
async fn an_upsert_that_changes_nothing_leaves_nothing() {
    let tracked = Tracked::new(&format!("{SCHEMA}; {ROW_TRIGGER}")).await;
    tracked.sql("INSERT INTO t VALUES (1, 'a')").await;
    for (user, action) in
        [(1, "DO NOTHING"), (2, "(id) DO UPDATE SET a = excluded.a WHERE t.a <> excluded.a")]
    {
        let sql = "INSERT INTO t VALUES (1, 'a') ON CONFLICT";
        tracked.sql(&format!(r#"{sql} {action} /*Bemi {{"user": {user}}} Bemi*/"#)).await;
    }
    tracked.sql("INSERT INTO t VALUES (2, 'b')").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!((changes[1].what(), &changes[1].context), (("CREATE", "2"), &json!({})));
}

/// There, changes are in the order in which they were fetched, and positions are held to be unique.
#[tokio::test]
async fn a_transaction_that_commits_after_a_later_one_comes_after_it() {
    let tracked = Tracked::new(SCHEMA).await;
    let later = tracked.database.connect().await.unwrap();
    tracked.sql(&format!("BEGIN; {} INSERT INTO t VALUES (1)", emit(r#"{"user": "early"}"#))).await;
    later
        .batch_execute(&format!(
            "BEGIN; {} INSERT INTO t VALUES (2); COMMIT",
            emit(r#"{"user": "late"}"#)
        ))
        .await
        .unwrap();
    tracked.sql("INSERT INTO t VALUES (3); COMMIT").await;

    let contexts = contexts(&tracked).await;
    let changes = tracked.changes().await;
    let keys: Vec<_> = changes.iter().map(|change| change.what().1).collect();
    assert_eq!(keys, ["2", "1", "3"]);
    let [late, early] = [json!({"user": "late"}), json!({"user": "early"})];
    assert_eq!(contexts, [&late, &early, &early].map(Value::clone));
    // Positions of single changes are not in commit order: a test that relied on them would show it.
    let backwards: bool = tracked
        .value(
            "SELECT (SELECT position FROM changes WHERE primary_key = '1') \
                  < (SELECT position FROM changes WHERE primary_key = '2')",
        )
        .await;
    assert!(backwards);
}

#[tokio::test]
async fn a_heartbeat_is_stored_nowhere_governs_nothing_and_moves_the_slot_on() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN").await;
    tracked.sql(&emit(r#"{"user": 1}"#)).await;
    tracked
        .sql(
            "SELECT pg_logical_emit_message(true, '_bemi_heartbeat', ''); \
             INSERT INTO t VALUES (1); COMMIT; \
             SELECT pg_logical_emit_message(true, '_bemi_heartbeat', '')",
        )
        .await;
    let until: i64 = tracked.value("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await;
    assert_eq!(contexts(&tracked).await, [json!({"user": 1})]);
    let acknowledged = format!(
        "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots \
         WHERE slot_name = '{}'",
        tracked.database.slot_name()
    );
    eventually(STORED_WITHIN, "the slot to move on", async || {
        (tracked.value::<i64>(&acknowledged).await >= until).then_some(())
    })
    .await;
}

/// Whoever can write a value could be somebody else in the audit trail. Our packages put nothing into
/// the statement's text, so a value is a value; nor does a row trigger of the others see a value
/// that is bound.
#[tokio::test]
async fn a_comment_inside_a_value_is_a_value() {
    let spoof = r#"x /*Bemi {"user": "admin"} Bemi*/"#;
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN").await;
    tracked.sql(&emit(r#"{"user": 1}"#)).await;
    tracked.sql(&format!("INSERT INTO t VALUES (1, '{spoof}'); COMMIT")).await;

    tracked.sql(ROW_TRIGGER).await;
    let insert = r#"INSERT INTO t VALUES (2, $1) /*Bemi {"user": 2} Bemi*/"#;
    tracked.client.execute(insert, &[&spoof]).await.unwrap();

    assert_eq!(contexts(&tracked).await, [json!({"user": 1}), json!({"user": 2})]);
    for change in tracked.changes().await {
        assert_eq!(change.after["a"], spoof);
    }
}

/// There, the worker stops: the value is not in the stream, and its placeholder is an error.
#[tokio::test]
async fn a_text_of_20_kilobytes_that_an_update_leaves_alone_is_there() {
    let tracked = Tracked::new("CREATE TABLE t (id bigint PRIMARY KEY, a text, long text)").await;
    tracked
        .sql(
            "INSERT INTO t SELECT 1, 'a', string_agg(md5(g::text), '') FROM generate_series(1, 640) g; \
             UPDATE t SET a = 'b'",
        )
        .await;
    tracked.store().await;
    let update = &tracked.changes().await[1];
    assert_eq!(update.after["long"].as_str().unwrap().len(), 20_480);
    assert_eq!(update.after["long"], update.before["long"]);
    assert_eq!((update.before_complete, &update.unavailable), (true, &None));
}
