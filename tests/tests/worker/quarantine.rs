//! Rows that the destination does not take.

use bemi_tests::{Tracked, shared_cluster};

/// A destination of another encoding refuses characters that it does not have. They stand for
/// whatever else a destination may refuse: only their rows are set aside.
#[tokio::test]
async fn a_row_that_the_destination_refuses_is_set_aside_and_all_others_are_stored() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t REPLICA IDENTITY FULL",
    )
    .await;
    let latin = tracked.database.unique_name("latin");
    let admin = shared_cluster().connect("postgres").await.unwrap();
    admin
        .batch_execute(&format!(
            "CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
        .await
        .unwrap();
    let url = shared_cluster().url(&latin);
    let at = |arguments: &[&str]| {
        tracked.worker(arguments).env("DESTINATION_DATABASE_URL", &url).run_to_end()
    };
    at(&["setup", "--all-tables"]).await.assert_code(0);
    tracked
        .sql(
            "INSERT INTO t SELECT g, CASE WHEN g IN (1, 500, 501, 1000) THEN '中' ELSE 'é' END \
             FROM generate_series(1, 1000) g; \
             UPDATE t SET a = 'o' WHERE id = 2",
        )
        .await;
    let output = at(&["run", "--once"]).await.assert_code(0);
    assert!(output.stderr.contains("bemi.quarantine"), "{output}");

    let destination = shared_cluster().connect(&latin).await.unwrap();
    let stored = destination.query_one("SELECT count(*) FROM changes", &[]).await.unwrap();
    assert_eq!(stored.get::<_, i64>(0), 997);
    let refused = destination
        .query(
            "SELECT sequence, \"table\", commit_position > position, octet_length(raw) > 100, error \
             FROM bemi.quarantine ORDER BY sequence",
            &[],
        )
        .await
        .unwrap();
    let sequences: Vec<i64> = refused.iter().map(|row| row.get(0)).collect();
    assert_eq!(sequences, [1, 500, 501, 1000]);
    for row in &refused {
        assert_eq!((row.get(1), row.get(2), row.get(3)), ("t", true, true));
        assert!(row.get::<_, &str>(4).contains("22P05"), "{}", row.get::<_, &str>(4));
    }

    drop(destination);
    admin.batch_execute(&format!("DROP DATABASE {latin} WITH (FORCE)")).await.unwrap();
}

#[tokio::test]
async fn a_constraint_that_somebody_added_to_changes_does_not_stop_the_worker() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    tracked.sql("ALTER TABLE changes ADD CHECK (primary_key <> '3')").await;
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(1, 5) g").await;
    tracked.store().await;
    let keys: Vec<_> =
        tracked.changes().await.into_iter().map(|c| c.primary_key.unwrap()).collect();
    assert_eq!(keys, ["1", "2", "4", "5"]);
    assert_eq!(tracked.value::<i64>("SELECT sequence FROM bemi.quarantine").await, 3);
}
