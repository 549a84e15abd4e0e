//! What an older version has set up is brought up to date by running setup again.

use super::doctor::finding;
use super::fresh::Fresh;

/// What came later is taken away.
const AS_BEFORE: &str = "
COMMENT ON TABLE bemi.checkpoint IS NULL;
DROP TABLE bemi.table_events;
ALTER TABLE bemi.backfill DROP COLUMN began_at_position;
DELETE FROM bemi.installation WHERE kind = 'table event'
    OR kind = 'event trigger' AND name <> 'bemi_track_tables';
DROP EVENT TRIGGER bemi_note_labels; DROP EVENT TRIGGER bemi_note_partitions;
DROP EVENT TRIGGER bemi_note_rewrites; DROP EVENT TRIGGER bemi_tell_drops;
DROP INDEX changes_previous_key_idx; DROP INDEX changes_truncate_idx;
DROP INDEX changes_record_idx; DROP INDEX changes_commit_position_idx;
CREATE INDEX changes_record_idx ON changes (\"table\", primary_key, committed_at);
CREATE INDEX changes_commit_position_idx ON changes USING brin (commit_position);";

#[tokio::test]
async fn an_older_installation_gets_what_came_later_and_keeps_what_it_has() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.ok(&["run", "--once"]).await;
    let now = "SELECT array_agg(pg_get_indexdef(indexrelid) ORDER BY 1) FROM pg_index WHERE indrelid = 'changes'::regclass";
    let indexes: Vec<String> = fresh.value(now).await;
    fresh.database.wait_for_free_slot(&fresh.database.slot_name()).await;
    fresh.sql(AS_BEFORE).await;

    for code in ["B016", "B052", "B053"] {
        assert_eq!(finding(&fresh, code).await.as_deref(), Some("warn"), "{code}");
    }
    let told = fresh.ok(&["setup"]).await;
    for step in [
        "create the tables bemi.checkpoint, ",
        "create index changes_record_idx on public.changes",
        "create index changes_commit_position_idx on public.changes",
        "create the event triggers that track new tables",
        "say in the stream that it is tracked: public.t",
    ] {
        assert!(told.contains(step), "{step}: {told}");
    }
    assert_eq!(fresh.value::<Vec<String>>(now).await, indexes);
    let again = fresh.ok(&["setup"]).await;
    assert!(again.starts_with("nothing to do\n"), "{again}");
    fresh.sql("ALTER TABLE t ADD a int; INSERT INTO t VALUES (2)").await;
    fresh.ok(&["run", "--once"]).await;
    let events: Vec<String> = fresh
        .value("SELECT array_agg(event ORDER BY commit_position) FROM bemi.table_events")
        .await;
    assert_eq!(events, ["tracked", "altered"]);
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 2);
    for code in ["B016", "B052", "B053"] {
        assert_eq!(finding(&fresh, code).await.as_deref(), Some("ok"), "{code}");
    }
}

#[tokio::test]
async fn a_worker_without_the_newer_tables_stores_changes_as_before() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh
        .sql("DROP TABLE bemi.table_events; ALTER TABLE t ADD a int; INSERT INTO t VALUES (1)")
        .await;
    let output = fresh.worker(&["run", "--once"]).run_to_end().await.assert_code(0);
    assert!(output.stderr.contains("cannot store what became of a table"), "{output}");
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 1);
}
