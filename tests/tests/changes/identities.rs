//! What each replica identity gives of the row before.

use serde_json::json;

use super::expected::{commit_each, created, deleted, keeping_identities, recorded, updated};
use bemi_tests::Tracked;

const LIFE_OF_A_ROW: &str = "INSERT INTO t VALUES (1, 7, 'a'); UPDATE t SET a = 'b'; DELETE FROM t";

#[tokio::test]
async fn full_gives_the_whole_row() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, code int, a text)").await;
    tracked.sql(LIFE_OF_A_ROW).await;
    let (a, b) = (json!({"id": 1, "code": 7, "a": "a"}), json!({"id": 1, "code": 7, "a": "b"}));
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", a.clone()), updated("t", "1", a, b.clone()), deleted("t", "1", b),]
    );
}

#[tokio::test]
async fn the_default_gives_the_columns_of_the_primary_key() {
    let tracked = keeping_identities("CREATE TABLE t (id int PRIMARY KEY, code int, a text)").await;
    tracked.sql(LIFE_OF_A_ROW).await;
    let key = json!({"id": 1});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1, "code": 7, "a": "a"})),
            updated("t", "1", key.clone(), json!({"id": 1, "code": 7, "a": "b"})).incomplete(),
            deleted("t", "1", key).incomplete(),
        ]
    );
}

#[tokio::test]
async fn an_index_gives_its_columns_and_is_the_key_of_a_table_without_one() {
    let tracked = keeping_identities(
        "CREATE TABLE t (id int, code int NOT NULL UNIQUE, a text); \
         ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key",
    )
    .await;
    tracked.sql(LIFE_OF_A_ROW).await;
    let key = json!({"code": 7});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "7", json!({"id": 1, "code": 7, "a": "a"})),
            updated("t", "7", key.clone(), json!({"id": 1, "code": 7, "a": "b"})).incomplete(),
            deleted("t", "7", key).incomplete(),
        ]
    );
}

/// PostgreSQL sends the columns of the index alone, and those only where one of them changes: what an UPDATE did to the
/// primary key, and which one a deleted row had, is in no WAL.
#[tokio::test]
async fn an_index_beside_a_primary_key_leaves_that_untold_where_it_matters() {
    let tracked = keeping_identities(
        "CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL UNIQUE, a text); \
         ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key",
    )
    .await;
    tracked
        .sql("INSERT INTO t VALUES (1, 7, 'a'); UPDATE t SET id = 2; UPDATE t SET code = 8")
        .await;
    tracked.sql("DELETE FROM t").await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1, "code": 7, "a": "a"})),
            updated("t", "2", json!({"code": 7}), json!({"id": 2, "code": 7, "a": "a"}))
                .incomplete(),
            updated("t", "2", json!({"code": 7}), json!({"id": 2, "code": 8, "a": "a"}))
                .incomplete(),
            deleted("t", None, json!({"code": 8})).incomplete(),
        ]
    );
}

/// Were they published, the application's UPDATE would fail.
#[tokio::test]
async fn without_an_identity_inserts_are_recorded_and_nothing_of_the_application_fails() {
    for schema in [
        "CREATE TABLE t (id int, code int, a text)",
        "CREATE TABLE t (id int PRIMARY KEY, code int, a text); ALTER TABLE t REPLICA IDENTITY NOTHING",
        // The server takes no index whose uniqueness is checked late.
        "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, code int, a text)",
    ] {
        let tracked = keeping_identities(schema).await;
        tracked.sql(LIFE_OF_A_ROW).await;
        let key = schema.contains("PRIMARY KEY").then_some("1");
        let row = json!({"id": 1, "code": 7, "a": "a"});
        assert_eq!(recorded(&tracked).await, [created("t", key, row)], "{schema}");
    }
}

#[tokio::test]
async fn full_records_tables_without_a_key_and_twins_one_by_one() {
    let tracked = Tracked::new("CREATE TABLE t (a text)").await;
    tracked
        .sql("INSERT INTO t VALUES ('x'), ('x'); UPDATE t SET a = 'y'; DELETE FROM t; INSERT INTO t VALUES (NULL)")
        .await;
    let (x, y) = (json!({"a": "x"}), json!({"a": "y"}));
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", None, x.clone()),
            created("t", None, x.clone()),
            updated("t", None, x.clone(), y.clone()),
            updated("t", None, x, y.clone()),
            deleted("t", None, y.clone()),
            deleted("t", None, y),
            created("t", None, json!({"a": null})),
        ]
    );
}

#[tokio::test]
async fn full_records_a_deferrable_key_as_a_key() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, code int, a text)").await;
    tracked.sql("INSERT INTO t VALUES (1, 7, 'a'); UPDATE t SET id = 2").await;
    let (one, two) = (json!({"id": 1, "code": 7, "a": "a"}), json!({"id": 2, "code": 7, "a": "a"}));
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", one.clone()), updated("t", "2", one, two).previously("1")]
    );
}

#[tokio::test]
async fn an_identity_that_is_switched_counts_from_there_also_inside_a_transaction() {
    let tracked = keeping_identities("CREATE TABLE t (id int PRIMARY KEY, a int)").await;
    let transactions = [
        "INSERT INTO t VALUES (1, 1)",
        "UPDATE t SET a = 2; ALTER TABLE t REPLICA IDENTITY FULL; \
         UPDATE t SET a = 3; ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET a = 4",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "DELETE FROM t",
    ];
    commit_each(&tracked, &transactions).await;
    let row = |a: i32| json!({"id": 1, "a": a});
    let key = json!({"id": 1});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", row(1)),
            updated("t", "1", key.clone(), row(2)).incomplete(),
            updated("t", "1", row(2), row(3)),
            updated("t", "1", key, row(4)).incomplete(),
            deleted("t", "1", row(4)),
        ]
    );
}

/// What setup was told holds for tables as they change, too.
#[tokio::test]
async fn setup_with_full_does_not_let_go_of_it() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)")
            .await;
    tracked.sql("ALTER TABLE t REPLICA IDENTITY NOTHING; UPDATE t SET a = 2").await;
    assert_eq!(
        recorded(&tracked).await,
        [updated("t", "1", json!({"id": 1, "a": 1}), json!({"id": 1, "a": 2}))]
    );
}

/// A column can go with its type, its domain, its schema or an extension, and take the key along. Were the table still
/// published with UPDATE and DELETE, the application's would fail.
#[tokio::test]
async fn a_key_that_goes_with_something_else_takes_no_statement_of_the_application_along() {
    let tracked = keeping_identities(
        "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE a (m mood PRIMARY KEY, n int); \
         CREATE DOMAIN number AS int; CREATE TABLE b (k number PRIMARY KEY, n int); \
         CREATE SCHEMA s; CREATE DOMAIN s.number AS int; \
         CREATE TABLE c (k s.number, n int, PRIMARY KEY (k, n)) PARTITION BY LIST (n); \
         CREATE TABLE c_1 PARTITION OF c DEFAULT",
    )
    .await;
    let transactions = [
        "INSERT INTO a VALUES ('ok', 1); DROP TYPE mood CASCADE; UPDATE a SET n = 2",
        "INSERT INTO b VALUES (1, 1); DROP DOMAIN number CASCADE; UPDATE b SET n = 2",
        "INSERT INTO c VALUES (1, 1); DROP SCHEMA s CASCADE; UPDATE c SET n = 2",
    ];
    commit_each(&tracked, &transactions).await;
    assert_eq!(recorded(&tracked).await.len(), 3);
}

/// Not every role may create event triggers.
#[tokio::test]
async fn without_the_event_trigger_that_lasts_until_somebody_looks() {
    let tracked =
        keeping_identities("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    tracked.sql("DROP EVENT TRIGGER bemi_track_tables; ALTER TABLE t DROP CONSTRAINT t_pkey").await;
    tracked.client.batch_execute("UPDATE t SET id = 2").await.unwrap_err();
    tracked.setup(&[]).await;
    tracked.sql("UPDATE t SET id = 2; INSERT INTO t VALUES (3)").await;
    assert_eq!(recorded(&tracked).await, [created("t", None, json!({"id": 3}))]);
}

/// A key over periods came with 18.
#[tokio::test]
async fn a_temporal_key_is_a_key() {
    let any = bemi_tests::shared_cluster().connect("postgres").await.unwrap();
    let version: i32 = any
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .unwrap()
        .get(0);
    if version < 180_000 {
        eprintln!("left out: WITHOUT OVERLAPS came with 18");
        return;
    }
    let tracked = keeping_identities(
        "CREATE TABLE t (id int4range, valid daterange, a int, PRIMARY KEY (id, valid WITHOUT OVERLAPS))",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO t VALUES ('[1,2)', '[2026-01-01,2027-01-01)', 1); UPDATE t SET a = 2; \
             UPDATE t SET valid = '[2026-01-01,2026-07-01)'; DELETE FROM t",
        )
        .await;
    let (year, half) = ("[2026-01-01,2027-01-01)", "[2026-01-01,2026-07-01)");
    let row = |valid: &str, a: i32| json!({"id": "[1,2)", "valid": valid, "a": a});
    let key = |valid: &str| json!({"id": "[1,2)", "valid": valid});
    let text = |valid: &str| json!(["[1,2)", valid]).to_string();
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", text(year).as_str(), row(year, 1)),
            updated("t", text(year).as_str(), key(year), row(year, 2)).incomplete(),
            updated("t", text(half).as_str(), key(year), row(half, 2))
                .previously(&text(year))
                .incomplete(),
            deleted("t", text(half).as_str(), key(half)).incomplete(),
        ]
    );
}
