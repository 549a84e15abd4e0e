//! Keys that are altered.

use bemi_tests::{Tracked, shared_cluster};

use super::store_live;

/// A table under FULL, or with the identity that it has by itself.
async fn tracked(schema: &str, identity: &str) -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), schema).await;
    tracked.setup(&["--all-tables", "--replica-identity", identity]).await;
    tracked
}

/// Does this while the worker is behind, lets it catch up, and writes one more row. Returns all keys.
async fn keys(tracked: &Tracked, behind: &[&str], live: &str) -> Vec<Option<String>> {
    for sql in behind {
        tracked.sql(sql).await;
    }
    let rows = behind.iter().filter(|sql| sql.starts_with("INSERT")).count();
    let worker = tracked.run().await;
    tracked.wait_for_count(rows.try_into().unwrap()).await;
    store_live(tracked, live, 1).await;
    worker.stop().await;
    tracked.changes().await.into_iter().map(|change| change.primary_key).collect()
}

fn some(key: &str) -> Option<String> {
    Some(key.to_owned())
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, b int NOT NULL)";
const SWAPPED: [&str; 3] = [
    "INSERT INTO t VALUES (1, 10)",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)",
    "INSERT INTO t VALUES (2, 20)",
];
const NEXT: &str = "INSERT INTO t VALUES (3, 30)";

#[tokio::test]
async fn the_stream_tells_the_key_where_it_is_the_replica_identity() {
    let tracked = tracked(TABLE, "keep").await;
    assert_eq!(keys(&tracked, &SWAPPED, NEXT).await, [some("1"), some("20"), some("30")]);
}

#[tokio::test]
async fn under_full_a_key_is_not_told_to_rows_that_may_be_older_than_it() {
    let tracked = tracked(TABLE, "full").await;
    assert_eq!(keys(&tracked, &SWAPPED, NEXT).await, [None, None, some("30")]);
}

#[tokio::test]
async fn the_order_of_several_columns_is_not_guessed() {
    let table = "CREATE TABLE t (a int, b int, PRIMARY KEY (a, b))";
    let swapped = [
        "INSERT INTO t VALUES (1, 10)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, a)",
        "INSERT INTO t VALUES (2, 20)",
    ];
    for identity in ["keep", "full"] {
        let tracked = tracked(table, identity).await;
        let expected = [None, None, some(r#"["30","3"]"#)];
        assert_eq!(keys(&tracked, &swapped, NEXT).await, expected, "{identity}");
    }
}

#[tokio::test]
async fn a_key_that_comes_later_is_not_that_of_the_rows_before() {
    let behind = [
        "INSERT INTO t VALUES (1, 10)",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
        "INSERT INTO t VALUES (2, 20)",
    ];
    for (identity, second) in [("keep", some("2")), ("full", None)] {
        let tracked = tracked("CREATE TABLE t (id int NOT NULL, b int)", identity).await;
        assert_eq!(keys(&tracked, &behind, NEXT).await, [None, second, some("3")], "{identity}");
    }
}

#[tokio::test]
async fn a_key_that_is_dropped_is_that_of_the_rows_before() {
    let behind = [
        "INSERT INTO t VALUES (1, 10)",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "INSERT INTO t VALUES (2, 20)",
    ];
    for (identity, first) in [("keep", some("1")), ("full", None)] {
        let tracked = tracked(TABLE, identity).await;
        assert_eq!(keys(&tracked, &behind, NEXT).await, [first, None, None], "{identity}");
    }
}

#[tokio::test]
async fn a_table_that_is_dropped_has_the_key_that_the_stream_tells() {
    for (identity, expected) in [("keep", some("1")), ("full", None)] {
        let tracked = tracked(TABLE, identity).await;
        tracked.sql("INSERT INTO t VALUES (1, 10)").await;
        tracked.sql("DROP TABLE t").await;
        tracked.store().await;
        assert_eq!(tracked.changes().await[0].primary_key, expected, "{identity}");
    }
}

#[tokio::test]
async fn a_column_of_the_key_that_is_renamed_is_the_key_under_its_new_name() {
    let behind = [
        "INSERT INTO t VALUES (1, 10)",
        "ALTER TABLE t RENAME id TO number",
        "INSERT INTO t VALUES (2, 20)",
    ];
    for (identity, first) in [("keep", some("1")), ("full", None)] {
        let tracked = tracked(TABLE, identity).await;
        assert_eq!(
            keys(&tracked, &behind, NEXT).await,
            [first, some("2"), some("3")],
            "{identity}"
        );
    }
}

#[tokio::test]
async fn columns_that_swap_their_names_are_told_apart() {
    let behind = [
        "INSERT INTO t VALUES (1, 10)",
        "ALTER TABLE t RENAME id TO c; ALTER TABLE t RENAME b TO id; ALTER TABLE t RENAME c TO b",
        "INSERT INTO t VALUES (2, 20)",
    ];
    for (identity, first, second) in [("keep", some("1"), some("2")), ("full", None, None)] {
        let tracked = tracked(TABLE, identity).await;
        assert_eq!(keys(&tracked, &behind, NEXT).await, [first, second, some("3")], "{identity}");
    }
}

#[tokio::test]
async fn columns_that_come_and_go_leave_the_key_alone() {
    let behind = [
        "INSERT INTO t VALUES (1, 10)",
        "ALTER TABLE t ADD c int; ALTER TABLE t DROP b; ALTER TABLE t ADD d int",
        "INSERT INTO t VALUES (2, 20)",
        "ALTER TABLE t RENAME d TO e",
    ];
    for identity in ["keep", "full"] {
        let tracked = tracked(TABLE, identity).await;
        let expected = [some("1"), some("2"), some("3")];
        assert_eq!(keys(&tracked, &behind, NEXT).await, expected, "{identity}");
    }
}

/// What is written anew is the index, and not the key.
#[tokio::test]
async fn maintenance_of_its_index_leaves_the_key_alone() {
    let tracked = tracked("CREATE TABLE t (id int CONSTRAINT k PRIMARY KEY, b int)", "full").await;
    let behind = [
        "INSERT INTO t VALUES (1, 10)",
        "REINDEX TABLE CONCURRENTLY t",
        "INSERT INTO t VALUES (2, 20)",
        "CLUSTER t USING k",
        "INSERT INTO t VALUES (3, 30)",
    ];
    let expected = ["1", "2", "3", "4"].map(some);
    assert_eq!(keys(&tracked, &behind, "INSERT INTO t VALUES (4, 40)").await, expected);
}
