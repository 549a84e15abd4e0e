//! How the server answers: by an index, in order, without sorting what is not on the page.

use bemi_core::record::{Changes, Grouping, Record};
use bemi_tests::{Explained, Tracked};

use crate::asked::todo;

/// A record of a hundred thousand changes, as the worker would have stored them, of a thousand rows.
const MANY: &str = "INSERT INTO changes
    SELECT gen_random_uuid(), (n % 1000)::text, '{}', jsonb_build_object('id', n % 1000),
        jsonb_build_object('user_id', n % 5000, 'request_id', n / 4), 'shop', 'public', 'todo',
        CASE WHEN n % 1000 = 500 THEN (n % 1000 - 1)::text END, 'UPDATE',
        '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', now(), now(), n, n * 100, n * 100, 1, true
    FROM generate_series(1, 100000) AS n";

/// Indexes as docs/changes.md recommends them.
const RECOMMENDED: &str = "
    CREATE INDEX ON changes ((context ->> 'user_id'), commit_position, sequence);
    CREATE INDEX ON changes ((context ->> 'request_id'), commit_position, sequence)";

/// A database with them, and a connection that explains.
async fn many() -> (Tracked, Explained) {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    tracked.sql(MANY).await;
    tracked.sql(RECOMMENDED).await;
    tracked.sql("ANALYZE changes").await;
    let client = tracked.database.connect().await.unwrap();
    (tracked, Explained::new(client, "COSTS OFF"))
}

/// The plan of a question that finds as many changes on its page.
async fn plan(explained: &mut Explained, changes: &Changes, found: usize) -> String {
    let page = Record::new(&mut *explained).changes(changes).await.unwrap();
    assert_eq!(page.items.len(), found, "{}", explained.plan());
    explained.plan().to_owned()
}

#[track_caller]
fn assert_uses(plan: &str, index: &str) {
    assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_record_is_three_scans_of_indexes_in_order() {
    let (_tracked, mut explained) = many().await;
    let history = Changes::new().record(todo(), 499);
    for changes in [
        history.clone(),
        history.clone().oldest_first(),
        history.after("5000000.1".parse().unwrap()),
    ] {
        let plan = plan(&mut explained, &changes, 50).await;
        for index in ["changes_record_idx", "changes_previous_key_idx", "changes_truncate_idx"] {
            assert_uses(&plan, index);
        }
        assert!(!plan.contains("Sort Key") || plan.contains("Merge Append"), "{plan}");
        if changes != Changes::new().record(todo(), 499) {
            assert!(!plan.contains("Bitmap"), "{plan}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_context_is_found_by_the_recommended_index_in_order() {
    let (_tracked, mut explained) = many().await;
    for changes in [
        Changes::new().context("user_id", 188),
        Changes::new().context("user_id", 188).oldest_first(),
        Changes::new().context("user_id", 188).after("9999999.1".parse().unwrap()),
    ] {
        let plan = plan(&mut explained, &changes, 20).await;
        assert_uses(&plan, "changes_expr_commit_position_sequence_idx");
    }
    let request = plan(&mut explained, &Changes::new().context("request_id", 77), 4).await;
    assert_uses(&request, "changes_expr_commit_position_sequence_idx1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_found_by_the_key_of_the_table() {
    let (tracked, mut explained) = many().await;
    // Ids that begin with the time, as the worker's do.
    tracked
        .sql(
            "SET bemi.append_only = off;
             UPDATE changes SET id = (lpad(to_hex((extract(epoch FROM committed_at) * 1000)::bigint), 12, '0')
                 || right(id::text, -13))::uuid WHERE sequence = 1 AND commit_position <= 1000",
        )
        .await;
    let id: String =
        tracked.value("SELECT id::text FROM changes WHERE commit_position = 700").await;
    let change = Record::new(&mut explained).change(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(change.commit_position.0.get(), 700);
    assert_uses(explained.plan(), "changes_pkey");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_requests_are_read_without_the_earlier_ones() {
    let (_tracked, mut explained) = many().await;
    let page = Record::new(&mut explained)
        .requests(&Grouping::default(), &Changes::new().limit(5))
        .await
        .unwrap();
    let counts: Vec<u64> = page.items.iter().map(|request| request.changes).collect();
    assert_eq!(counts, [1, 4, 4, 4, 4]);
    assert_uses(explained.plan(), "changes_expr_commit_position_sequence_idx1");
}
