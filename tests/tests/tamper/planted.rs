//! Tampering that is planted, one kind at a time.

use crate::chained::{Chained, KEY};

/// The change of that number in the order of commits.
fn nth(n: u32) -> String {
    format!(
        "(SELECT id FROM (SELECT id, row_number() OVER (ORDER BY commit_position, sequence) AS n \
         FROM changes) AS c WHERE n = {n})"
    )
}

#[tokio::test]
async fn an_altered_change_is_named_whatever_of_it_was_altered() {
    let chained = Chained::filled(None).await;
    let id: String = chained.tracked.value(&format!("SELECT {}::text", nth(2))).await;
    let original = "SELECT to_jsonb(c)::text FROM changes c WHERE id = ";
    let before: String = chained.tracked.value(&format!("{original}'{id}'")).await;
    for alteration in [
        "after = jsonb_set(after, '{task}', '\"other\"')",
        "before = '{\"id\": 2}'",
        "context = '{\"user_id\": 1}'",
        "operation = 'DELETE'",
        "primary_key = '7'",
        "previous_key = '7'",
        "\"table\" = 'other'",
        "committed_at = committed_at + interval '1 microsecond'",
        "created_at = created_at + interval '1 microsecond'",
        "transaction_id = 1",
        "before_complete = NOT before_complete",
        "unavailable = '{task}'",
        "encoded = '{}'",
    ] {
        chained.tamper(&format!("UPDATE changes SET {alteration} WHERE id = '{id}'")).await;
        let found = chained.tampered(&[]).await;
        assert_eq!(found.len(), 1, "{alteration}: {found:?}");
        assert_eq!(found[0].0, "altered_change", "{alteration}");
        assert!(found[0].1.contains(&id), "{found:?}");
        chained
            .tamper(&format!(
                "DELETE FROM changes WHERE id = '{id}'; \
                 INSERT INTO changes SELECT r.* FROM jsonb_populate_record(NULL::changes, '{}') AS r",
                before.replace('\'', "''")
            ))
            .await;
        chained.sound().await;
    }
}

#[tokio::test]
async fn a_change_that_was_removed_is_named() {
    for n in [1, 4, 6] {
        let chained = Chained::filled(None).await;
        let id: String = chained.tracked.value(&format!("SELECT {}::text", nth(n))).await;
        chained.tamper(&format!("DELETE FROM changes WHERE id = '{id}'")).await;
        let found = chained.tampered(&[]).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "missing_change");
        assert!(found[0].1.contains(&id), "{found:?}");
    }
}

#[tokio::test]
async fn a_change_that_was_added_is_named_wherever_it_was_put() {
    let chained = Chained::filled(None).await;
    for alteration in [
        "commit_position = commit_position + 1, committed_at = committed_at + interval '1 us'",
        "sequence = sequence + 100, committed_at = committed_at + interval '1 us'",
        "commit_position = commit_position + 1000000, id = gen_random_uuid()",
        "id = gen_random_uuid()",
        "committed_at = committed_at + interval '1 second'",
    ] {
        chained
            .tamper(&format!(
                "CREATE TEMP TABLE one AS SELECT * FROM changes WHERE id = {}; \
                 UPDATE one SET {alteration}; INSERT INTO changes SELECT * FROM one",
                nth(3)
            ))
            .await;
        let found = chained.tampered(&[]).await;
        assert!(found.iter().any(|(kind, _)| kind == "inserted_change"), "{alteration}: {found:?}");
        chained
            .tamper(
                "DELETE FROM changes WHERE (id, committed_at) IN (SELECT id, committed_at FROM one); \
                 DROP TABLE one",
            )
            .await;
        chained.sound().await;
    }
}

#[tokio::test]
async fn changes_that_were_swapped_are_both_altered() {
    let chained = Chained::filled(None).await;
    chained
        .tamper(&format!(
            "CREATE TEMP TABLE two AS SELECT id, after FROM changes WHERE id IN ({}, {}); \
             UPDATE changes AS c SET after = t.after FROM two AS t \
             WHERE c.id IN (SELECT id FROM two) AND t.id <> c.id",
            nth(1),
            nth(3)
        ))
        .await;
    assert_eq!(chained.kinds().await, ["altered_change", "altered_change"]);
}

#[tokio::test]
async fn a_change_that_was_moved_is_found_at_its_new_place_and_missed_at_its_old_one() {
    let chained = Chained::filled(None).await;
    chained
        .tamper(&format!("UPDATE changes SET sequence = sequence + 10 WHERE id = {}", nth(1)))
        .await;
    let kinds = chained.kinds().await;
    assert_eq!(kinds.len(), 1, "{kinds:?}");
}

#[tokio::test]
async fn links_that_were_altered_removed_or_put_in_another_order_are_found() {
    for (tampering, kind) in [
        (
            "UPDATE bemi.chain SET made_at = made_at + interval '1 s' WHERE number = 2",
            "altered_link",
        ),
        ("UPDATE bemi.chain SET row_count = row_count + 1 WHERE number = 2", "altered_link"),
        ("UPDATE bemi.chain SET note = '{}' WHERE number = 1", "altered_link"),
        ("UPDATE bemi.chain SET kind = 'end' WHERE number = 1", "altered_link"),
        ("UPDATE bemi.chain_heads SET hash = '\\x00'", "altered_link"),
        ("DELETE FROM bemi.chain WHERE number = 2", "missing_link"),
        ("DELETE FROM bemi.chain WHERE number = 1", "missing_link"),
        ("DELETE FROM bemi.chain WHERE number = 4", "missing_link"),
        (
            "UPDATE bemi.chain SET number = -number WHERE number IN (2, 3); \
             UPDATE bemi.chain SET number = 5 + number WHERE number < 0",
            "altered_link",
        ),
        (
            "UPDATE bemi.chain_rows SET rows = overlay(rows PLACING '\\x00' FROM 50 FOR 1)",
            "altered_rows",
        ),
        ("DELETE FROM bemi.chain_rows", "altered_rows"),
        (
            "UPDATE bemi.chain_rows SET salts = overlay(salts PLACING '\\x00000000' FROM 1 FOR 4)",
            "altered_change",
        ),
    ] {
        let chained = Chained::filled(None).await;
        chained.sql(&format!("BEGIN; {tampering}; COMMIT")).await;
        let kinds = chained.kinds().await;
        assert!(kinds.iter().any(|found| found == kind), "{tampering}: {kinds:?}");
    }
}

#[tokio::test]
async fn a_tail_that_was_cut_off_with_its_links_is_found_by_a_head_that_was_kept() {
    let chained = Chained::filled(None).await;
    let head = chained.head().await;
    chained
        .tamper(
            "DELETE FROM changes AS c USING bemi.chain AS l WHERE l.number = 4 \
               AND c.commit_position >= l.first_commit_position; \
             DELETE FROM bemi.chain WHERE number = 4; \
             UPDATE bemi.chain_heads SET number = 3, hash = (SELECT hash FROM bemi.chain WHERE number = 3)",
        )
        .await;
    // That the chain ends there it says itself, and nothing else does.
    chained.sound().await;
    let found = chained.tampered(&["--head", &head]).await;
    assert_eq!(found[0].0, "other_head", "{found:?}");
    assert!(found[0].1.contains("cut off"), "{found:?}");
}

#[tokio::test]
async fn without_its_head_a_cut_off_tail_is_found_by_itself() {
    let chained = Chained::filled(Some(KEY)).await;
    chained
        .tamper(
            "DELETE FROM changes AS c USING bemi.chain AS l WHERE l.number = 4 \
               AND c.commit_position >= l.first_commit_position; \
             DELETE FROM bemi.chain WHERE number = 4",
        )
        .await;
    assert_eq!(chained.kinds().await, ["missing_link"]);
}

#[tokio::test]
async fn everything_at_once_is_cut_short() {
    let chained = Chained::new().await;
    chained.sql("INSERT INTO todo SELECT n, 'x', 'y' FROM generate_series(1, 1000) AS n").await;
    chained.store().await;
    chained.tamper("UPDATE changes SET context = '{\"a\": 1}'").await;
    let found = chained.tampered(&[]).await;
    assert_eq!(found.len(), 100);
    let text = chained.worker(&["verify"]).run_to_end().await.assert_code(3);
    assert!(text.stdout.contains("there may be more"), "{}", text.stdout);
}
