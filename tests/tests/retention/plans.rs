//! Questions go to the partitions by their indexes.

use super::aged::{partitioned, with_old_days};

#[tokio::test]
async fn the_history_of_a_record_is_found_by_the_index_of_each_partition() {
    let tracked = partitioned().await;
    with_old_days(&tracked).await;
    tracked.sql("INSERT INTO todo SELECT i FROM generate_series(1, 2000) AS i").await;
    tracked.store().await;
    tracked
        .sql(
            "BEGIN; SET LOCAL bemi.append_only = 'off';
             UPDATE changes SET committed_at = committed_at - make_interval(days => primary_key::int % 100);
             COMMIT; ANALYZE changes;
             -- Partitions of a test have a page each, which is read faster than an index.
             SET enable_seqscan = off",
        )
        .await;
    for question in [
        "SELECT * FROM changes WHERE \"table\" = 'todo' AND primary_key = '7' ORDER BY commit_position, sequence",
        "SELECT * FROM changes ORDER BY commit_position DESC, sequence DESC LIMIT 10",
        "SELECT * FROM changes WHERE committed_at >= now() - interval '2 days' ORDER BY committed_at",
    ] {
        let rows = tracked.client.query(&format!("EXPLAIN {question}"), &[]).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let read_whole = plan.iter().any(|line| line.contains("Seq Scan"));
        assert!(!read_whole, "{question}: {plan:#?}");
    }
}
