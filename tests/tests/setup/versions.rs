//! What differs between versions of PostgreSQL.

use bemi_tests::{Cluster, ClusterOptions, Wanted, smoke_majors};

use super::fresh::Fresh;

fn cluster(major: u32) -> Cluster {
    Cluster::start(&ClusterOptions::new().wanted(Wanted::Major(major))).unwrap()
}

#[tokio::test]
async fn the_oldest_and_the_newest_are_set_up_and_torn_down() {
    for major in smoke_majors() {
        let cluster = cluster(major);
        let fresh = Fresh::on(
            &cluster,
            "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (a int);
             CREATE TABLE root (id int) PARTITION BY LIST (id)",
        )
        .await;
        fresh.ok(&["setup", "--all-tables", "--replica-identity", "full"]).await;
        assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
        fresh
            .sql(
                "CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1); CREATE TABLE v (a int);
                 INSERT INTO root VALUES (1); DELETE FROM root; INSERT INTO v VALUES (1);
                 UPDATE v SET a = 2",
            )
            .await;
        assert_eq!(fresh.published("bemi").await.len(), 4, "on {major}");
        fresh.worker(&["doctor"]).run_to_end().await.assert_code(0);
        fresh.ok(&["status"]).await;
        fresh.ok(&["teardown", "--drop-changes"]).await;
        assert!(fresh.value::<bool>("SELECT to_regnamespace('bemi') IS NULL").await);
    }
}

#[tokio::test]
async fn generated_columns_never_make_the_applications_updates_fail() {
    let cluster = cluster(18);
    let fresh = Fresh::on(
        &cluster,
        "CREATE TABLE stored (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE TABLE virtual (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL);
         CREATE TABLE keyless (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)",
    )
    .await;
    let told = fresh.ok(&["setup", "--all-tables", "--replica-identity", "full"]).await;
    assert!(told.contains("public.virtual keeps its replica identity"), "{told}");
    fresh.sql("CREATE TABLE later (id int, t int GENERATED ALWAYS AS (id) VIRTUAL)").await;
    for table in ["stored", "virtual", "keyless", "later"] {
        fresh
            .sql(&format!(
                "INSERT INTO {table} VALUES (1); UPDATE {table} SET id = 2; DELETE FROM {table}"
            ))
            .await;
    }
    assert_eq!(fresh.published("bemi").await, ["public.stored", "public.virtual"]);
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.keyless", "public.later"]);
    let doctor = fresh.worker(&["doctor"]).run_to_end().await.assert_code(0);
    assert!(doctor.stdout.contains("B020  warn"), "{doctor}");
}
