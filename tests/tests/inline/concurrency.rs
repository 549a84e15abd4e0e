//! Statements that wait for a row, and look at it again when they have it.

use std::time::Duration;

use bemi_core::statement::with_message;
use bemi_tests::eventually;

use crate::journal::{EMITTED, Journal};
use crate::twins::{MESSAGE, Twins, clusters};

#[tokio::test]
async fn a_condition_that_is_looked_at_again_emits_once_and_holds() {
    for cluster in clusters() {
        let twins = Twins::new(
            cluster,
            "CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int)",
        )
        .await;
        twins.both("INSERT INTO t VALUES (1, 1), (2, 1); INSERT INTO u VALUES (1), (2)").await;
        let journal = Journal::of(&twins.database).await;
        let other = twins.database.connect().await.unwrap();
        other.batch_execute("SET search_path = inlined").await.unwrap();
        for (sql, affected, changes) in [
            // The row still matches.
            ("UPDATE t SET a = a + 1 WHERE id = 1 AND a < 100", 1, &["t: UPDATE"][..]),
            ("UPDATE t SET a = t.a + 1 FROM u WHERE u.id = t.id AND t.id = 1", 1, &["t: UPDATE"]),
            ("UPDATE t SET a = a + 1 WHERE true", 2, &["t: UPDATE", "t: UPDATE"]),
            // It does not any more.
            ("UPDATE t SET a = -1 WHERE id = 1 AND a % 10 = 0", 0, &[]),
            ("DELETE FROM t WHERE id = 1 AND a >= 10", 1, &["t: DELETE"]),
        ] {
            other.batch_execute("UPDATE t SET a = 10 WHERE id = 1").await.unwrap();
            other.batch_execute("BEGIN; UPDATE t SET a = a + 1 WHERE id = 1").await.unwrap();
            journal.entries().await;
            let with = with_message(sql, 1).unwrap();
            let waits = twins.inlined.execute(&with, &[&MESSAGE]);
            let goes_on = async {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
                eventually(
                    Duration::from_secs(20),
                    "the statement to wait for the row",
                    async || {
                        let count: i64 = twins.plain.query_one(waiting, &[]).await.unwrap().get(0);
                        (count == 1).then_some(())
                    },
                )
                .await;
                other.batch_execute("COMMIT").await.unwrap();
            };
            let (count, ()) = tokio::join!(waits, goes_on);
            assert_eq!(count.unwrap(), affected, "{sql}");
            let expected: Vec<_> = ["t: UPDATE", EMITTED].iter().chain(changes).collect();
            assert_eq!(journal.entries().await.iter().collect::<Vec<_>>(), expected, "{sql}");
        }
        let left = twins.inlined.query_one("SELECT sum(a) FROM t", &[]).await.unwrap();
        assert_eq!(left.get::<_, Option<i64>>(0), Some(2));
    }
}
