//! Rows of the past: `bemi.as_of`, `bemi.rows_as_of`, `bemi.row_as_of` and `bemi.diff`.

use bemi_core::record::{Record, RowAt, TableName, Unknown};
use bemi_tokio_postgres::BemiClient;
use serde_json::{Value, json};

use super::packed::Packed;

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done bool)";

/// The rows of a table now, as JSON.
async fn now(packed: &Packed, table: &str) -> Value {
    let sql = format!(
        "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)), '[]') FROM {table} t"
    );
    packed.tracked.value(&sql).await
}

/// The rows of a table as of a point, as JSON, by its type.
async fn then(packed: &Packed, table: &str, point: &str) -> Value {
    now(packed, &format!("bemi.as_of(NULL::{table}, '{point}')")).await
}

#[tokio::test]
async fn a_table_as_of_each_commit_is_what_it_was_then() {
    let packed = Packed::new(
        "CREATE TABLE thing (a int, b text, note text, n numeric, at timestamptz, tags text[], doc jsonb,
                             PRIMARY KEY (a, b))",
    )
    .await;
    let mut expected = Vec::new();
    for statement in [
        "INSERT INTO thing SELECT i, 'x', 'note ' || i, i / 7.0, '2026-05-05 10:00+02', '{a,\"b c\"}', '{\"k\": 1.10}'
         FROM generate_series(1, 20) AS i",
        "UPDATE thing SET note = NULL, n = 'NaN' WHERE a % 3 = 0",
        "DELETE FROM thing WHERE a % 5 = 0",
        "UPDATE thing SET a = a + 100 WHERE a < 4",
        "INSERT INTO thing VALUES (5, 'x', 'again'), (1, 'it''s \"b\"', NULL)",
        "TRUNCATE thing",
        "INSERT INTO thing VALUES (1, 'x', 'new')",
    ] {
        packed.sql(statement).await;
        let xid = "SELECT (pg_current_wal_insert_lsn())::text";
        let lsn: String = packed.tracked.value(xid).await;
        expected.push((lsn, now(&packed, "thing").await));
    }
    packed.store().await;
    let _worker = packed.tracked.run().await;
    for (lsn, rows) in &expected {
        assert_eq!(then(&packed, "thing", &format!("@lsn:{lsn}")).await, *rows, "{lsn}");
    }
    assert_eq!(then(&packed, "thing", "now").await, expected.last().unwrap().1);
    let before = "SELECT * FROM bemi.as_of(NULL::thing, '-1h')";
    assert_eq!(packed.refused(before).await.0, "ZB001");
}

#[tokio::test]
async fn an_instant_may_be_a_timestamp_and_rows_join_and_filter_as_any() {
    let packed = Packed::new(TODO).await;
    packed.sql("INSERT INTO todo VALUES (1, 'Eat', false), (2, 'Sleep', true)").await;
    packed.sql("DELETE FROM todo WHERE id = 2; INSERT INTO todo VALUES (3, 'Work', false)").await;
    packed.store().await;
    let rows = packed
        .texts(
            "SELECT t.task FROM (SELECT min(committed_at) AS at FROM changes) AS c,
                    bemi.as_of(NULL::todo, c.at) AS t
             LEFT JOIN todo USING (id) WHERE todo.id IS NULL",
        )
        .await;
    assert_eq!(rows, ["Sleep"]);
}

#[tokio::test]
async fn columns_that_changed_since_are_found_by_what_they_are_now() {
    let packed = Packed::new("CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int)").await;
    packed.sql("INSERT INTO t VALUES (1, 'in a', 'in b', 7)").await;
    packed.store().await;
    packed
        .sql(
            "ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; ALTER TABLE t DROP n;
             ALTER TABLE t ADD n text; ALTER TABLE t ADD more int DEFAULT 5",
        )
        .await;
    packed.sql("UPDATE t SET n = 'new'").await;
    packed.store().await;
    let first =
        packed.texts("SELECT '@change:' || id FROM changes WHERE operation = 'CREATE'").await;
    // What was there under a number; what was dropped is not in the column of that name that came later.
    assert_eq!(
        then(&packed, "t", &first[0]).await,
        json!([{"id": 1, "c": "in a", "a": "in b", "n": null, "more": null}])
    );
    // The columns of that time.
    let told = format!("SELECT row FROM bemi.rows_as_of('t', '{}')", first[0]);
    assert_eq!(
        packed.json(&told).await,
        json!([{"row": {"id": 1, "a": "in a", "b": "in b", "n": 7}}])
    );
}

#[tokio::test]
async fn what_the_record_does_not_tell_is_an_error_and_never_part_of_an_answer() {
    let packed = Packed::new(TODO).await;
    packed.ok(&["teardown", "--drop-changes"]).await;
    packed.sql("INSERT INTO todo VALUES (1, 'before', false), (2, 'before', false)").await;
    packed.setup(&["--all-tables", "--replica-identity", "full", "--sql-pack"]).await;
    packed.sql("UPDATE todo SET done = true WHERE id = 1").await;
    packed.store().await;
    let point = packed.texts("SELECT '@change:' || id FROM changes").await.remove(0);
    let ask = format!("SELECT * FROM bemi.as_of(NULL::todo, '{point}')");
    let (state, message, hint) = packed.refused(&ask).await;
    assert_eq!(state, "ZB001");
    assert!(
        message.starts_with("bemi: the record does not have all rows of public.todo as of "),
        "{message}"
    );
    assert!(hint.contains("bemi-worker backfill"), "{hint}");
    let told = packed
        .json(&format!("SELECT primary_key, status FROM bemi.rows_as_of('todo', '{point}')"))
        .await;
    assert_eq!(
        told,
        json!([{"primary_key": null, "status": "unknown"}, {"primary_key": "1", "status": "present"}])
    );
    let row = async |key: &str, point: &str| {
        packed
            .json(&format!("SELECT status, reason FROM bemi.row_as_of('todo', '{key}', '{point}')"))
            .await
    };
    assert_eq!(row("1", &point).await, json!([{"status": "present", "reason": null}]));
    let unknown = json!([{"status": "unknown", "reason": "this was before the record began"}]);
    assert_eq!(row("2", &point).await, unknown);
    assert_eq!(row("1", "-1h").await, unknown);

    packed.ok(&["backfill", "todo"]).await;
    packed.sql("INSERT INTO todo VALUES (3, 'after', false)").await;
    packed.store().await;
    let rows = packed
        .texts(
            "SELECT string_agg(t.id || t.task, ' ' ORDER BY t.id)
                             FROM bemi.as_of(NULL::todo, (SELECT '@change:' || id FROM changes
                                                          WHERE primary_key = '3')) AS t",
        )
        .await;
    assert_eq!(rows, ["1before 2before 3after"]);
    assert_eq!(row("9", "@lsn:0/1").await, unknown);

    // A gap, as the worker writes it down.
    packed
        .sql(
            "INSERT INTO bemi.gaps (slot, from_position, to_position, reason)
              SELECT slot, position - 2, position - 1, 'test' FROM bemi.checkpoint",
        )
        .await;
    let now = "SELECT * FROM bemi.as_of(NULL::todo, (SELECT '@lsn:' || ('0/0'::pg_lsn + position)
                                                     FROM bemi.checkpoint))";
    assert_eq!(packed.refused(now).await.0, "ZB001");
}

#[tokio::test]
async fn a_replica_identity_that_does_not_tell_is_named() {
    let packed = Packed::new("CREATE TABLE t (id int PRIMARY KEY, big text, n int)").await;
    packed.setup(&["--replica-identity", "keep"]).await;
    packed
        .sql("ALTER TABLE t REPLICA IDENTITY DEFAULT; ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
        .await;
    packed.sql("INSERT INTO t VALUES (1, repeat('x', 10000), 1)").await;
    packed.store().await;
    packed.sql("SET bemi.append_only = off; DELETE FROM changes; UPDATE t SET n = 2").await;
    packed.store().await;
    let point = packed.texts("SELECT '@change:' || id FROM changes").await.remove(0);
    let (state, message, _) =
        packed.refused(&format!("SELECT * FROM bemi.as_of(NULL::t, '{point}')")).await;
    assert_eq!(state, "ZB001");
    assert!(
        message.starts_with("bemi: the record does not tell the row 1 of public.t as of "),
        "{message}"
    );
    assert!(message.ends_with(": the table's replica identity does not tell big"), "{message}");
}

#[tokio::test]
async fn a_reason_is_in_the_words_of_the_rust_api() {
    let packed = Packed::new(TODO).await;
    let at = bemi_core::Lsn::new(0x16_B374_D848);
    for why in [
        Unknown::BeforeRecord,
        Unknown::Gap { from: bemi_core::Lsn::new(1), to: at },
        Unknown::Expired { up_to: at, kept_since: "2026-08-24T00:00:00Z".parse().unwrap() },
        Unknown::NotTracked,
        Unknown::KeyUntold { commit_position: at },
        Unknown::Quarantined { commit_position: at },
        Unknown::Incomplete { columns: Vec::new() },
        Unknown::Incomplete { columns: vec!["big".to_owned(), "it's".to_owned()] },
        Unknown::Rewritten { commit_position: at },
    ] {
        let json = serde_json::to_string(&why).unwrap();
        let row = packed.client().query_one("SELECT bemi.reason($1::text::jsonb)", &[&json]).await;
        assert_eq!(row.unwrap().get::<_, String>(0), why.to_string());
    }
}

#[tokio::test]
async fn rows_are_those_of_the_rust_api_in_one_database_and_in_two() {
    for packed in [
        Packed::new(
            "CREATE TABLE t (id int PRIMARY KEY, task text); CREATE TABLE k (a int, b int)",
        )
        .await,
        Packed::in_two_databases(
            "CREATE TABLE t (id int PRIMARY KEY, task text); CREATE TABLE k (a int, b int)",
        )
        .await,
    ] {
        for round in 1..=4 {
            packed
                .sql(&format!(
                    "INSERT INTO t SELECT i, 'round {round}' FROM generate_series({round}0, {round}5) AS i;
                     UPDATE t SET task = task || '!' WHERE id % 3 = 0;
                     DELETE FROM t WHERE id % 4 = 0; UPDATE t SET id = id + 1000 WHERE id = {round}1;
                     INSERT INTO k VALUES ({round}, 1), ({round}, 1), (1, 2); DELETE FROM k WHERE a = 1 AND b = 2"
                ))
                .await;
            packed.store().await;
        }
        let points = packed.texts("SELECT DISTINCT '@before:change:' || id FROM changes").await;
        let client = packed.connect().await;
        let mut record = Record::new(BemiClient::new(client));
        for point in points.iter().step_by(7) {
            let mut as_of = record.as_of(point.parse().unwrap());
            for table in ["t", "k"] {
                let expected: Vec<(Option<String>, String)> = as_of
                    .table(&TableName::new("public", table))
                    .await
                    .unwrap()
                    .rows
                    .into_iter()
                    .map(|row| {
                        let key = row.key.map(|key| key.as_str().to_owned());
                        let RowAt::Present(row) = row.row else { panic!("{key:?} is not known") };
                        (key, serde_json::to_value(&row).unwrap().to_string())
                    })
                    .collect();
                let told = packed
                    .rows(&format!(
                        "SELECT primary_key, row FROM bemi.rows_as_of('{table}', '{point}')"
                    ))
                    .await;
                let told: Vec<(Option<String>, String)> = told
                    .iter()
                    .map(|row| (row.get(0), row.get::<_, Value>(1).to_string()))
                    .collect();
                assert_eq!(told, expected, "{table} {point}");
            }
        }
    }
}

#[tokio::test]
async fn a_difference_has_the_rows_before_and_after() {
    let packed = Packed::new(&format!("{TODO}; CREATE TABLE k (a int)")).await;
    packed
        .sql("INSERT INTO todo VALUES (1, 'Eat', false), (2, 'Sleep', false), (3, 'Work', false)")
        .await;
    packed.sql("INSERT INTO k VALUES (1), (1), (2)").await;
    packed.store().await;
    let first = packed
        .texts("SELECT '@lsn:' || ('0/0'::pg_lsn + max(commit_position)) FROM changes")
        .await
        .remove(0);
    packed
        .sql(
            "UPDATE todo SET done = true WHERE id = 1; UPDATE todo SET done = false WHERE id = 1;
             UPDATE todo SET done = true WHERE id = 2; DELETE FROM todo WHERE id = 3;
             INSERT INTO todo VALUES (4, 'New', false); UPDATE todo SET id = 5 WHERE id = 4;
             INSERT INTO k VALUES (1), (3); DELETE FROM k WHERE a = 2",
        )
        .await;
    packed.store().await;
    let last = packed
        .texts("SELECT '@lsn:' || ('0/0'::pg_lsn + max(commit_position)) FROM changes")
        .await
        .remove(0);
    let differs = async |table: &str, from: &str, to: &str| {
        packed
            .json(&format!(
                "SELECT primary_key, before ->> 'done' AS was, after ->> 'done' AS is, reason
                 FROM bemi.diff('{table}', '{from}', '{to}')"
            ))
            .await
    };
    assert_eq!(
        differs("todo", &first, &last).await,
        json!([
            {"primary_key": "2", "was": "false", "is": "true", "reason": null},
            {"primary_key": "3", "was": "false", "is": null, "reason": null},
            {"primary_key": "5", "was": null, "is": "false", "reason": null},
        ])
    );
    assert_eq!(
        differs("todo", &last, &first).await,
        json!([
            {"primary_key": "2", "was": "true", "is": "false", "reason": null},
            {"primary_key": "3", "was": null, "is": "false", "reason": null},
            {"primary_key": "5", "was": "false", "is": null, "reason": null},
        ])
    );
    assert_eq!(differs("todo", &first, &first).await, json!([]));
    let k = format!(
        "SELECT coalesce(before ->> 'a', '-') || '>' || coalesce(after ->> 'a', '-')
         FROM bemi.diff('k', '{first}', '{last}') ORDER BY 1"
    );
    assert_eq!(packed.texts(&k).await, ["->1", "->3", "2>-"]);
    packed.sql("TRUNCATE todo").await;
    packed.store().await;
    let emptied = packed
        .texts("SELECT '@lsn:' || ('0/0'::pg_lsn + max(commit_position)) FROM changes")
        .await
        .remove(0);
    assert_eq!(differs("todo", &last, &emptied).await.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_takes_the_tables_themselves_is_not_there_in_another_database() {
    let packed = Packed::in_two_databases(TODO).await;
    let there = "SELECT concat(to_regproc('bemi.as_of'), to_regproc('bemi.refresh_past'),
                               to_regnamespace('bemi_past'))";
    assert_eq!(packed.texts(there).await, [""]);
    packed.sql("INSERT INTO todo VALUES (1, 'Eat', false)").await;
    packed.store().await;
    let row = "SELECT status || (row ->> 'task') FROM bemi.row_as_of('todo', '1',
                   (SELECT '@change:' || id FROM changes))";
    assert_eq!(packed.texts(row).await, ["presentEat"]);
}

#[tokio::test]
async fn only_a_table_that_has_changes_of_its_own_has_a_past() {
    let packed = Packed::new(
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TYPE pair AS (a int, b int)",
    )
    .await;
    packed.sql("INSERT INTO p VALUES (1)").await;
    packed.store().await;
    let at = "(SELECT '@change:' || id FROM changes)";
    let rows = format!("SELECT id::text FROM bemi.as_of(NULL::p, {at})");
    assert_eq!(packed.texts(&rows).await, ["1"]);
    // A row that is given says what is asked about, and nothing else.
    let rows = format!("SELECT t.id::text FROM p, bemi.as_of(p, {at}) AS t");
    assert_eq!(packed.texts(&rows).await, ["1"]);
    for other in ["NULL::p1", "NULL::pair", "1", "NULL::pg_class"] {
        let (state, message, _) =
            packed.refused(&format!("SELECT * FROM bemi.as_of({other}, {at})")).await;
        assert!(state == "22023" || state == "ZB001", "{other}: {message}");
    }
}

#[tokio::test]
async fn coverage_is_that_of_the_rust_api() {
    let packed = Packed::new(TODO).await;
    packed.ok(&["teardown", "--drop-changes"]).await;
    packed
        .sql(
            "CREATE TABLE before (id int PRIMARY KEY); INSERT INTO before VALUES (1);
             CREATE TABLE partial (id int PRIMARY KEY); INSERT INTO partial VALUES (1)",
        )
        .await;
    packed.setup(&["--all-tables", "--replica-identity", "full:before,todo", "--sql-pack"]).await;
    packed.sql("INSERT INTO todo VALUES (1); INSERT INTO partial VALUES (2)").await;
    packed.sql("CREATE TABLE born (id int PRIMARY KEY); INSERT INTO born VALUES (1)").await;
    packed.store().await;
    packed.ok(&["backfill", "before", "partial"]).await;
    packed.sql("INSERT INTO born VALUES (2); ALTER TABLE todo ALTER id TYPE bigint; DROP TABLE partial").await;
    packed.store().await;
    packed
        .sql(
            "INSERT INTO bemi.gaps (slot, from_position, to_position, reason)
              SELECT slot, position - 2, position - 1, 'test' FROM bemi.checkpoint",
        )
        .await;
    let expected: Vec<Value> = Record::new(BemiClient::new(packed.connect().await))
        .coverage()
        .await
        .unwrap()
        .into_iter()
        .map(|table| {
            let at = |place: Option<bemi_core::record::Place>| place.and_then(|place| place.at);
            json!({
                "schema": table.table.schema(), "table": table.table.table(),
                "since": at(table.since), "complete_since": at(table.complete_since), "identity": table.identity,
                "holes": table.holes.iter().map(|hole| json!({
                    "from": hole.from.to_string(), "to": hole.to.map(|to| to.to_string()),
                    "why": hole.why.to_string(),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    assert!(expected.len() >= 4, "{expected:?}");
    let instant = |name: &str| {
        format!(
            "rtrim(rtrim(to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '0'), '.') || 'Z' AS {name}"
        )
    };
    let told = packed
        .json(&format!(
            "SELECT schema, \"table\", {}, {}, identity, coalesce(holes, '[]') AS holes FROM bemi.coverage",
            instant("since"), instant("complete_since")
        ))
        .await;
    assert_eq!(told, Value::from(expected));
}
