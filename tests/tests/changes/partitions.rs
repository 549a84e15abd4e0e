//! Partitioned tables: what happens in a partition is recorded under the root.

use bemi_tests::Tracked;
use serde_json::{Value, json};

use super::expected::{
    Change, commit_each, created, deleted, keeping_identities, recorded, transactions, truncated,
    updated,
};

fn row(id: i32, a: &str) -> Value {
    json!({"id": id, "a": a})
}

#[tokio::test]
async fn each_way_to_partition_is_recorded_under_the_root() {
    for partitions in [
        "BY LIST (id); CREATE TABLE l PARTITION OF t FOR VALUES IN (1, 2)",
        "BY RANGE (id); CREATE TABLE l PARTITION OF t FOR VALUES FROM (1) TO (3)",
        "BY HASH (id); CREATE TABLE l PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "BY LIST (id); CREATE TABLE l PARTITION OF t DEFAULT",
        "BY LIST (id); CREATE SCHEMA s; \
             CREATE TABLE s.middle PARTITION OF t DEFAULT PARTITION BY RANGE (id); \
             CREATE TABLE s.l PARTITION OF s.middle FOR VALUES FROM (0) TO (9); SET search_path = public, s",
    ] {
        let tracked = Tracked::new(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION {partitions}"
        ))
        .await;
        // Through the root and into the leaf itself.
        tracked.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET a = 'b'; DELETE FROM t").await;
        tracked.sql("INSERT INTO l VALUES (2, 'a'); UPDATE l SET a = 'b'; DELETE FROM l").await;
        let life = |id: i32| {
            let key = id.to_string();
            [
                created("t", key.as_str(), row(id, "a")),
                updated("t", key.as_str(), row(id, "a"), row(id, "b")),
                deleted("t", key.as_str(), row(id, "b")),
            ]
        };
        assert_eq!(recorded(&tracked).await, [life(1), life(2)].concat(), "{partitions}");
    }
}

/// That is how PostgreSQL does it.
#[tokio::test]
async fn a_row_that_moves_to_another_partition_is_a_delete_and_a_create() {
    let schema = "CREATE TABLE t (id int, a text, PRIMARY KEY (id, a)) PARTITION BY LIST (a); \
         CREATE TABLE x PARTITION OF t FOR VALUES IN ('x'); CREATE TABLE y PARTITION OF t FOR VALUES IN ('y')";
    let (x, y) = (r#"["1","x"]"#, r#"["1","y"]"#);
    let full = Tracked::new(schema).await;
    full.sql("INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'y'").await;
    assert_eq!(
        recorded(&full).await,
        [created("t", x, row(1, "x")), deleted("t", x, row(1, "x")), created("t", y, row(1, "y"))]
    );
    let keeping = keeping_identities(schema).await;
    keeping.sql("INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'y'").await;
    assert_eq!(
        recorded(&keeping).await[1..],
        [deleted("t", x, row(1, "x")).incomplete(), created("t", y, row(1, "y"))]
    );
}

#[tokio::test]
async fn a_partition_that_comes_later_is_part_of_it_from_its_first_row() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION BY LIST (id); \
         CREATE TABLE one PARTITION OF t FOR VALUES IN (1)",
    )
    .await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1, 'a')").await;
    tracked.wait_for_count(1).await;
    tracked
        .sql(
            "BEGIN; CREATE TABLE two PARTITION OF t FOR VALUES IN (2) PARTITION BY HASH (id);
             CREATE TABLE two_b PARTITION OF two FOR VALUES WITH (MODULUS 1, REMAINDER 0);
             INSERT INTO t VALUES (2, 'a'); UPDATE t SET a = 'b' WHERE id = 2; COMMIT; DELETE FROM t",
        )
        .await;
    tracked.wait_for_count(5).await;
    worker.stop().await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", row(1, "a")),
            created("t", "2", row(2, "a")),
            updated("t", "2", row(2, "a"), row(2, "b")),
            deleted("t", "1", row(1, "a")),
            deleted("t", "2", row(2, "b")),
        ]
    );
}

/// No row is written by either, and none is recorded: where it counts is only under which name.
#[tokio::test]
async fn attached_and_detached_tables_are_recorded_by_what_they_are_at_the_time() {
    let tracked = keeping_identities(
        "CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION BY LIST (id); \
         CREATE TABLE leaf (id int PRIMARY KEY, a text)",
    )
    .await;
    let transactions = [
        "INSERT INTO leaf VALUES (1, 'a')",
        "ALTER TABLE t ATTACH PARTITION leaf FOR VALUES IN (1); UPDATE t SET a = 'b'",
        "UPDATE leaf SET a = 'c'",
        "ALTER TABLE t DETACH PARTITION leaf; UPDATE leaf SET a = 'd'",
        "DELETE FROM leaf",
    ];
    commit_each(&tracked, &transactions).await;
    let key = json!({"id": 1});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("leaf", "1", row(1, "a")),
            updated("t", "1", key.clone(), row(1, "b")).incomplete(),
            updated("t", "1", key.clone(), row(1, "c")).incomplete(),
            updated("leaf", "1", key.clone(), row(1, "d")).incomplete(),
            deleted("leaf", "1", key).incomplete(),
        ]
    );
}

/// It takes two transactions, and the trigger that tracks tables sees them as one command.
#[tokio::test]
async fn a_partition_that_is_detached_concurrently_is_a_table_of_its_own() {
    let tracked = keeping_identities(
        "CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION BY LIST (id); \
         CREATE TABLE leaf PARTITION OF t FOR VALUES IN (1)",
    )
    .await;
    let transactions = [
        "INSERT INTO t VALUES (1, 'a')",
        "ALTER TABLE t DETACH PARTITION leaf CONCURRENTLY",
        "DELETE FROM leaf",
    ];
    commit_each(&tracked, &transactions).await;
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", row(1, "a")), deleted("leaf", "1", json!({"id": 1})).incomplete()]
    );
}

/// What empties or drops a single partition is not in the stream; the docs say so.
#[tokio::test]
async fn truncate_of_the_root_is_recorded_and_of_a_single_partition_is_not() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY LIST (id); \
         CREATE TABLE one PARTITION OF t FOR VALUES IN (1); CREATE TABLE two PARTITION OF t FOR VALUES IN (2); \
         CREATE TABLE other (id int PRIMARY KEY)",
    )
    .await;
    tracked.sql("INSERT INTO t VALUES (1), (2); TRUNCATE one").await;
    tracked.sql("TRUNCATE one, other").await;
    tracked.sql("DROP TABLE two").await;
    tracked.sql("TRUNCATE t").await;
    assert_eq!(
        transactions(&tracked).await,
        [
            vec![created("t", "1", json!({"id": 1})), created("t", "2", json!({"id": 2}))],
            vec![truncated("other")],
            vec![truncated("t")],
        ]
    );
}

/// Their own order of columns, and columns that are gone, stay their own.
#[tokio::test]
async fn leaves_of_another_layout_have_the_rows_of_the_root() {
    let tracked = Tracked::new(
        "CREATE TABLE t (gone int, id int PRIMARY KEY, a text, b int) PARTITION BY LIST (id); \
         ALTER TABLE t DROP gone; \
         CREATE TABLE leaf (b int, dead text, a text, dead2 int, id int PRIMARY KEY); \
         ALTER TABLE leaf DROP dead, DROP dead2; \
         ALTER TABLE t ATTACH PARTITION leaf FOR VALUES IN (1, 2)",
    )
    .await;
    tracked.sql("INSERT INTO t VALUES (1, 'a', 7); UPDATE leaf SET id = 2; DELETE FROM t").await;
    let row = |id: i32| json!({"id": id, "a": "a", "b": 7});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", row(1)),
            updated("t", "2", row(1), row(2)).previously("1"),
            deleted("t", "2", row(2)),
        ]
    );
}

const TWO_LEAVES: &str = "CREATE TABLE t (id int PRIMARY KEY, a text, b text) PARTITION BY LIST (id); \
     CREATE TABLE one PARTITION OF t FOR VALUES IN (1); CREATE TABLE two PARTITION OF t FOR VALUES IN (2);";

/// Two rows, one in each leaf, with a column that is NULL and one that is not.
async fn recorded_of_two_leaves(identities: &str) -> Vec<Change> {
    let tracked = keeping_identities(&format!("{TWO_LEAVES} {identities}")).await;
    tracked
        .sql("INSERT INTO t VALUES (1, 'a'), (2, 'a'); UPDATE t SET a = 'b'; DELETE FROM t")
        .await;
    recorded(&tracked).await.split_off(2)
}

/// The letter in the stream is that of the root; what is there of a row is what its leaf has.
#[tokio::test]
async fn full_leaves_have_whole_rows_whatever_the_root_has() {
    let row = |id: i32, a: &str| json!({"id": id, "a": a, "b": null});
    assert_eq!(
        recorded_of_two_leaves(
            "ALTER TABLE one REPLICA IDENTITY FULL; ALTER TABLE two REPLICA IDENTITY FULL"
        )
        .await,
        [
            updated("t", "1", row(1, "a"), row(1, "b")),
            updated("t", "2", row(2, "a"), row(2, "b")),
            deleted("t", "1", row(1, "b")),
            deleted("t", "2", row(2, "b")),
        ]
    );
}

#[tokio::test]
async fn a_full_root_over_leaves_that_are_not_gives_their_keys_and_invents_nothing() {
    let (key, row) =
        (|id: i32| json!({"id": id}), |id: i32| json!({"id": id, "a": "b", "b": null}));
    assert_eq!(
        recorded_of_two_leaves("ALTER TABLE t REPLICA IDENTITY FULL").await,
        [
            updated("t", "1", key(1), row(1)).incomplete(),
            updated("t", "2", key(2), row(2)).incomplete(),
            deleted("t", "1", key(1)).incomplete(),
            deleted("t", "2", key(2)).incomplete(),
        ]
    );
}

/// A NULL may be the server's invention then: only values that are there are told.
#[tokio::test]
async fn where_leaves_differ_only_values_are_told() {
    let row = |id: i32| json!({"id": id, "a": "b", "b": null});
    assert_eq!(
        recorded_of_two_leaves("ALTER TABLE one REPLICA IDENTITY FULL").await,
        [
            updated("t", "1", json!({"id": 1, "a": "a"}), row(1)).incomplete(),
            updated("t", "2", json!({"id": 2}), row(2)).incomplete(),
            deleted("t", "1", json!({"id": 1, "a": "b"})).incomplete(),
            deleted("t", "2", json!({"id": 2})).incomplete(),
        ]
    );
}

/// An UPDATE of such a leaf comes with no row before, as long as its index stays: of the key of the root that says nothing.
#[tokio::test]
async fn leaves_whose_identity_is_an_index_give_its_columns() {
    let indexes = ["one", "two"].map(|leaf| {
        format!(
            "ALTER TABLE {leaf} ALTER b SET DEFAULT 'x', ALTER b SET NOT NULL; CREATE UNIQUE INDEX {leaf}_b ON {leaf} (b); \
             ALTER TABLE {leaf} REPLICA IDENTITY USING INDEX {leaf}_b;"
        )
    });
    let tracked = keeping_identities(&format!("{TWO_LEAVES} {}", indexes.concat())).await;
    tracked
        .sql("INSERT INTO t VALUES (1, 'a', 'x'), (2, 'a', 'x'); UPDATE t SET a = 'b'; DELETE FROM t")
        .await;
    let row = |id: i32| json!({"id": id, "a": "b", "b": "x"});
    let index = json!({"b": "x"});
    assert_eq!(
        recorded(&tracked).await[2..],
        [
            updated("t", "1", index.clone(), row(1)).incomplete(),
            updated("t", "2", index.clone(), row(2)).incomplete(),
            deleted("t", None, index.clone()).incomplete(),
            deleted("t", None, index).incomplete(),
        ]
    );
}

#[tokio::test]
async fn an_upsert_through_the_root_is_recorded_as_of_any_table() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION BY LIST (id); \
         CREATE TABLE one PARTITION OF t DEFAULT",
    )
    .await;
    let upsert = "INSERT INTO t VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET a = t.a || 'a'";
    tracked
        .sql(&format!("{upsert}; {upsert}; INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING"))
        .await;
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", row(1, "a")), updated("t", "1", row(1, "a"), row(1, "aa"))]
    );
}
