//! A slot is never made again silently.

use super::fresh::Fresh;

async fn set_up() -> (Fresh, String) {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let slot = fresh.database.slot_name();
    (fresh, slot)
}

#[tokio::test]
async fn a_slot_that_was_dropped_is_made_again_only_when_told_and_leaves_a_gap() {
    let (fresh, slot) = set_up().await;
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.ok(&["run", "--once"]).await;
    fresh.database.drop_slot(&slot).await;
    fresh.sql("INSERT INTO t VALUES (2)").await;

    fresh.refused(&["setup"], 3, &["is gone", "--recreate-slot"]).await;
    let doctor = fresh.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("B021  FAIL"), "{doctor}");
    fresh.ok(&["setup", "--recreate-slot"]).await;
    fresh.sql("INSERT INTO t VALUES (3)").await;
    fresh.ok(&["run", "--once"]).await;
    let keys: Vec<String> =
        fresh.value("SELECT array_agg(primary_key ORDER BY commit_position) FROM changes").await;
    assert_eq!(keys, ["1", "3"]);
    let reason = "SELECT reason FROM bemi.gaps WHERE to_position > from_position";
    assert!(fresh.value::<String>(reason).await.contains("slot was gone"));
    let doctor = fresh.worker(&["doctor"]).run_to_end().await.assert_code(0);
    assert!(doctor.stdout.contains("1 gaps are recorded"), "{doctor}");
}

#[tokio::test]
async fn a_slot_of_somebody_else_is_refused() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let slot = fresh.database.slot_name();
    for plugin in ["pgoutput", "test_decoding"] {
        fresh
            .sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', '{plugin}')"))
            .await;
        let says = [plugin, "--slot", "pg_drop_replication_slot"];
        fresh.refused(&["setup", "--all-tables"], 3, &says).await;
        fresh.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    }
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM pg_publication").await, 0);
    // Slots belong to the cluster: that of another database is somebody else's too.
    let (other, taken) = set_up().await;
    let command = fresh.worker(&["setup", "--all-tables", "--slot", &taken]);
    let output = super::fresh::says_all(command.run_to_end().await.assert_code(3), &["--slot"]);
    assert!(output.stderr.contains(other.database.name()), "{output}");
}

#[tokio::test]
async fn a_checkpoint_that_is_gone_starts_where_the_slot_is_and_the_rest_is_a_gap() {
    let (fresh, _) = set_up().await;
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.ok(&["run", "--once"]).await;
    fresh.sql("DELETE FROM bemi.checkpoint").await;
    let doctor = fresh.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("no checkpoint"), "{doctor}");
    fresh.ok(&["setup"]).await;
    fresh.sql("INSERT INTO t VALUES (2)").await;
    fresh.ok(&["run", "--once"]).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 2);
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM bemi.gaps").await, 1);
}
