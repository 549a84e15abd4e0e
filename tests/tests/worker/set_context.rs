//! `bemi.set_context`: SQL says its context, and it ends with the transaction.

use std::fmt::Write as _;

use bemi_core::{Context, MessageOptions};
use bemi_tests::{Cluster, ClusterOptions, Tracked, Wanted, smoke_majors};
use serde_json::{Value, json};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a text)";

/// The context of each row, by its key.
async fn contexts(tracked: &Tracked) -> Vec<(String, Value)> {
    tracked.store().await;
    let changes = tracked.changes().await.into_iter();
    changes.map(|change| (change.primary_key.unwrap(), change.context)).collect()
}

fn rows(expected: &[(&str, Value)]) -> Vec<(String, Value)> {
    expected.iter().map(|(key, context)| ((*key).to_owned(), context.clone())).collect()
}

/// What the server says, with its hint.
async fn refusal(tracked: &Tracked, sql: &str) -> (String, String, String) {
    let error = tracked.client.batch_execute(sql).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    let hint = error.hint().unwrap_or_default().to_owned();
    (error.code().code().to_owned(), error.message().to_owned(), hint)
}

#[tokio::test]
async fn it_governs_what_follows_in_its_transaction_and_nothing_after() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            r#"BEGIN; INSERT INTO t VALUES (1);
               SELECT bemi.set_context('{"user": "ops", "reason": "ticket 812"}');
               INSERT INTO t VALUES (2); INSERT INTO t VALUES (3); COMMIT"#,
        )
        .await;
    tracked.sql("INSERT INTO t VALUES (4)").await;
    let ops = json!({"user": "ops", "reason": "ticket 812"});
    assert_eq!(
        contexts(&tracked).await,
        rows(&[("1", json!({})), ("2", ops.clone()), ("3", ops), ("4", json!({}))])
    );
    for setting in ["bemi.context", "bemi.emitted"] {
        let left: String =
            tracked.value(&format!("SELECT current_setting('{setting}', true)")).await;
        assert_eq!(left, "", "{setting}");
    }
}

/// A subtransaction that wrote nothing but its message: the server orders that by where it ends.
#[tokio::test]
async fn it_governs_what_follows_the_subtransaction_that_it_was_said_in() {
    let tracked = Tracked::new(SCHEMA).await;
    let mut expected = Vec::new();
    for id in [10, 20, 30] {
        tracked
            .sql(&format!(
                r#"BEGIN;
                   SELECT bemi.set_context('{{"user": "outer"}}'); INSERT INTO t VALUES ({id});
                   SAVEPOINT s; SELECT bemi.set_context('{{"user": "inner"}}'); RELEASE s;
                   INSERT INTO t VALUES ({id} + 1), ({id} + 2);
                   DO $$BEGIN PERFORM bemi.set_context('{{"user": "block"}}'); EXCEPTION WHEN OTHERS THEN RAISE; END$$;
                   UPDATE t SET a = 'x' WHERE id = {id};
                   COMMIT"#
            ))
            .await;
        let by = |key: i32, user: &str| (key.to_string(), json!({"user": user}));
        expected.extend([
            by(id, "outer"),
            by(id + 1, "inner"),
            by(id + 2, "inner"),
            by(id, "block"),
        ]);
    }
    assert_eq!(contexts(&tracked).await, expected);
}

#[tokio::test]
async fn alone_in_its_transaction_it_governs_nothing() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql(r#"SELECT bemi.set_context('{"user": "ops"}')"#).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    // Sent together, they are one transaction.
    tracked.sql(r#"SELECT bemi.set_context('{"user": "ops"}'); INSERT INTO t VALUES (2)"#).await;
    assert_eq!(contexts(&tracked).await, rows(&[("1", json!({})), ("2", json!({"user": "ops"}))]));
}

#[tokio::test]
async fn a_second_call_replaces_the_first_and_null_ends_it() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            r#"BEGIN; SELECT bemi.set_context('{"a": 1, "b": 1}'); INSERT INTO t VALUES (1);
               SELECT bemi.set_context('{"a": 2}'); INSERT INTO t VALUES (2);
               SELECT bemi.set_context(NULL); INSERT INTO t VALUES (3);
               SELECT bemi.set_context('{"a": 3}'); SELECT bemi.set_context('null');
               INSERT INTO t VALUES (4); COMMIT"#,
        )
        .await;
    assert_eq!(
        contexts(&tracked).await,
        rows(&[
            ("1", json!({"a": 1, "b": 1})),
            ("2", json!({"a": 2})),
            ("3", json!({})),
            ("4", json!({}))
        ])
    );
}

#[tokio::test]
async fn a_savepoint_that_is_rolled_back_takes_it_along() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            r#"BEGIN; SELECT bemi.set_context('{"a": 1}'); SAVEPOINT s;
               SELECT bemi.set_context('{"a": 2}'); INSERT INTO t VALUES (1); ROLLBACK TO s;
               INSERT INTO t VALUES (2); COMMIT;
               BEGIN; SAVEPOINT s; SELECT bemi.set_context('{"a": 3}'); ROLLBACK TO s;
               INSERT INTO t VALUES (3); COMMIT;
               BEGIN; SELECT bemi.set_context('{"a": 4}'); ROLLBACK; INSERT INTO t VALUES (4)"#,
        )
        .await;
    assert_eq!(
        contexts(&tracked).await,
        rows(&[("2", json!({"a": 1})), ("3", json!({})), ("4", json!({}))])
    );
}

#[tokio::test]
async fn what_is_no_object_or_too_large_is_refused_with_what_to_do() {
    let tracked = Tracked::new(SCHEMA).await;
    for (value, kind) in
        [("[1]", "array"), ("\"ops\"", "string"), ("1", "number"), ("true", "boolean")]
    {
        let (code, message, hint) =
            refusal(&tracked, &format!("SELECT bemi.set_context('{value}')")).await;
        assert_eq!(code, "22023");
        assert_eq!(
            message,
            format!("bemi: the context must be a JSON object, and this is of type {kind}")
        );
        assert_eq!(hint, r#"Write SELECT bemi.set_context('{"user": "ops"}')."#);
    }
    let of_size = |bytes: usize| {
        // With `{"a": ""}` around it.
        format!(
            "SELECT bemi.set_context(jsonb_build_object('a', repeat('é', {})))",
            (bytes - 9) / 2
        )
    };
    let (code, message, _) = refusal(&tracked, &of_size(1_000_001)).await;
    assert_eq!(code, "54000");
    assert_eq!(message, "bemi: the context has 1000001 bytes, and may have 1000000");
    tracked.sql(&format!("BEGIN; {}; INSERT INTO t VALUES (1); COMMIT", of_size(999_999))).await;
    let stored = contexts(&tracked).await;
    assert_eq!(stored[0].1["a"].as_str().unwrap().len(), 999_990);
}

#[tokio::test]
async fn secrets_are_redacted_as_an_adapter_redacts_them() {
    let tracked = Tracked::new(SCHEMA).await;
    let fields = json!({
        "password": "x", "nested": {"apiTOKEN": {"deep": "x"}, "list": [1, {"Set-Cookie": ["x"]}, "kept"]},
        "AUTHORIZATION": "x", "client_secret": 7, "token": null, "user": "the password is a value here",
        "empty": {}, "none": []
    });
    let Value::Object(map) = fields.clone() else { unreachable!() };
    let context =
        map.into_iter().fold(Context::new(), |context, (key, value)| context.with(key, value));
    let message = MessageOptions::new().encode(&context, None);
    let expected: Value = serde_json::from_str(message.as_str()).unwrap();
    assert_ne!(expected, fields);

    tracked
        .sql(&format!(
            "BEGIN; SELECT bemi.set_context('{fields}'); INSERT INTO t VALUES (1); COMMIT"
        ))
        .await;
    assert_eq!(contexts(&tracked).await, rows(&[("1", expected)]));
}

#[tokio::test]
async fn a_function_or_a_migration_says_it_for_what_it_writes() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            r#"CREATE FUNCTION close_accounts(reason text) RETURNS void LANGUAGE plpgsql AS $$
               BEGIN
                   PERFORM bemi.set_context(jsonb_build_object('reason', reason));
                   INSERT INTO t VALUES (1);
               END $$;
               DO $$ BEGIN
                   PERFORM bemi.set_context('{"migration": 7}');
                   CREATE TABLE later (id bigint PRIMARY KEY);
                   INSERT INTO later VALUES (2);
               END $$"#,
        )
        .await;
    tracked.client.execute("SELECT close_accounts('ticket 812')", &[]).await.unwrap();
    // As any driver does, with a bound value.
    let reason = json!({"reason": "ünïcödé ' \\ 😀"});
    tracked.sql("BEGIN").await;
    let call = "SELECT bemi.set_context($1::text::jsonb)";
    tracked.client.execute(call, &[&reason.to_string()]).await.unwrap();
    tracked.sql("INSERT INTO t VALUES (3); COMMIT").await;
    assert_eq!(
        contexts(&tracked).await,
        rows(&[
            ("2", json!({"migration": 7})),
            ("1", json!({"reason": "ticket 812"})),
            ("3", reason)
        ])
    );
}

/// A role that may write to one table, and nothing else.
#[tokio::test]
async fn every_role_may_call_it_and_sees_nothing_else_of_ours() {
    let tracked = Tracked::new(SCHEMA).await;
    let role = tracked.database.unique_name("app");
    tracked.sql(&format!("CREATE ROLE {role}; GRANT INSERT ON t TO {role}; SET ROLE {role}")).await;
    tracked
        .sql(r#"BEGIN; SELECT bemi.set_context('{"user": 1}'); INSERT INTO t VALUES (1); COMMIT"#)
        .await;
    let readable: Vec<String> = tracked
        .value(
            "SELECT coalesce(array_agg(c.relname::text), '{}') FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'bemi' AND c.relkind IN ('r', 'v', 'S', 'm', 'p')
               AND (CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE, SELECT, UPDATE')
                    ELSE has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
                         OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') END)",
        )
        .await;
    assert!(readable.is_empty(), "{readable:?}");
    let callable: Vec<String> = tracked
        .value(
            "SELECT array_agg(p.proname::text ORDER BY p.proname) FROM pg_proc p
             JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = 'bemi' AND has_function_privilege(p.oid, 'EXECUTE')
               AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)",
        )
        .await;
    assert_eq!(callable, ["redacted", "set_context"]);
    let creates: bool = tracked.value("SELECT has_schema_privilege('bemi', 'CREATE')").await;
    assert!(!creates);
    // A search path of its own leads it nowhere.
    tracked.sql("RESET ROLE").await;
    tracked
        .sql(&format!(
            "CREATE SCHEMA evil AUTHORIZATION {role}; SET ROLE {role};
             CREATE FUNCTION evil.pg_logical_emit_message(boolean, text, bytea) RETURNS int
                 LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
             SET search_path = evil, pg_catalog, public;
             BEGIN; SELECT bemi.set_context('{{\"user\": 2}}'); INSERT INTO t VALUES (2); COMMIT;
             RESET search_path; RESET ROLE"
        ))
        .await;
    assert_eq!(
        contexts(&tracked).await,
        rows(&[("1", json!({"user": 1})), ("2", json!({"user": 2}))])
    );
    tracked.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn in_a_read_only_transaction_it_does_nothing() {
    let tracked = Tracked::new(SCHEMA).await;
    let assigned: Option<String> = {
        tracked.sql("BEGIN READ ONLY").await;
        tracked.sql(r#"SELECT bemi.set_context('{"user": 1}')"#).await;
        let assigned = tracked.value("SELECT pg_current_xact_id_if_assigned()::text").await;
        tracked.sql("COMMIT").await;
        assigned
    };
    assert_eq!(assigned, None);
}

/// A context reaches the worker in UTF-8, whatever the database is encoded in.
#[tokio::test]
async fn a_database_of_another_encoding_sends_the_same() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let tracked = Tracked::untracked(&cluster, "").await;
    let name = tracked.database.unique_name("latin1");
    tracked
        .sql(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'"
        ))
        .await;
    let url = tracked.database.url().replace(tracked.database.name(), &name);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.unwrap();
    let run = async |arguments: &[&str]| {
        tracked.worker(arguments).env("DATABASE_URL", &url).run_to_end().await.assert_code(0)
    };
    run(&["setup", "--all-tables"]).await;
    let context = json!({"user": "é"});
    client
        .batch_execute(&format!(
            "BEGIN; SELECT bemi.set_context('{context}'); INSERT INTO t VALUES (1); COMMIT"
        ))
        .await
        .unwrap();
    run(&["run", "--once"]).await;
    let stored: Value = client.query_one("SELECT context FROM changes", &[]).await.unwrap().get(0);
    assert_eq!(stored, context);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_and_the_newest_postgresql_have_it() {
    for major in smoke_majors() {
        let cluster = Cluster::start(&ClusterOptions::new().wanted(Wanted::Major(major))).unwrap();
        let tracked = Tracked::on(&cluster, SCHEMA).await;
        let mut sql = String::new();
        for id in 1..=3 {
            write!(sql, "BEGIN; SELECT bemi.set_context('{{\"n\": {id}}}'); INSERT INTO t VALUES ({id}); COMMIT;")
                .unwrap();
        }
        tracked.sql(&sql).await;
        let expected: Vec<_> = (1..=3).map(|id| (id.to_string(), json!({"n": id}))).collect();
        assert_eq!(contexts(&tracked).await, expected, "on {major}");
    }
}
