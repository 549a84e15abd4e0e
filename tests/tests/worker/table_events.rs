//! What becomes of tracked tables is in the stream, at its place among the changes.

use bemi_tests::Tracked;
use serde_json::{Value, json};

/// The events, in order: what, of which table, behind which change, and whether rows were rewritten.
pub(super) async fn events(tracked: &Tracked) -> Vec<String> {
    tracked.store().await;
    tracked
        .value(
            "SELECT coalesce(array_agg(concat_ws(' ', event, schema || '.' || \"table\",
                        CASE WHEN sequence > 0 THEN 'behind ' || sequence END,
                        CASE WHEN rewritten THEN 'rewritten' END)
                    ORDER BY commit_position, sequence, ordinal), '{}')
             FROM bemi.table_events",
        )
        .await
}

/// The columns of the last event of a table, as they were told.
async fn columns(tracked: &Tracked, table: &str) -> Value {
    tracked.store().await;
    tracked
        .client
        .query_one(
            "SELECT columns FROM bemi.table_events WHERE \"table\" = $1
             ORDER BY commit_position DESC, sequence DESC, ordinal DESC LIMIT 1",
            &[&table],
        )
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn setup_says_which_tables_are_tracked_and_says_it_once() {
    let tracked =
        Tracked::new("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int)").await;
    for _ in 0..2 {
        let told = tracked.setup(&[]).await.stdout;
        assert!(told.starts_with("nothing to do\n"), "{told}");
    }
    assert_eq!(events(&tracked).await, ["tracked public.a", "tracked public.b"]);
    let told = tracked.setup(&[]).await.stdout;
    assert!(told.starts_with("nothing to do\n"), "{told}");
    tracked.setup(&["--exclude", "b"]).await;
    assert_eq!(events(&tracked).await[2..], ["untracked public.b"]);
    tracked.setup(&["--all-tables", "--exclude", "a"]).await;
    assert_eq!(events(&tracked).await[3..], ["untracked public.a"]);
}

#[tokio::test]
async fn what_a_table_is_stands_between_the_changes_before_and_behind_it() {
    let tracked = Tracked::new("").await;
    tracked
        .sql(
            "BEGIN; CREATE TABLE todo (id int PRIMARY KEY, task text);
             INSERT INTO todo VALUES (1, 'a'), (2, 'b');
             ALTER TABLE todo ADD note varchar(9) DEFAULT 'none';
             SAVEPOINT s; ALTER TABLE todo ADD never int; ROLLBACK TO s;
             UPDATE todo SET task = 'c' WHERE id = 1;
             ALTER TABLE todo ALTER id TYPE bigint; ALTER TABLE todo RENAME task TO what; COMMIT;
             DROP TABLE todo",
        )
        .await;
    assert_eq!(
        events(&tracked).await,
        [
            "created public.todo",
            "altered public.todo behind 2",
            "altered public.todo behind 3 rewritten",
            "altered public.todo behind 3",
            "dropped public.todo",
        ]
    );
    let told: Vec<(Option<String>, Option<Vec<String>>, Option<Value>)> = tracked
        .client
        .query(
            "SELECT identity, key_columns, columns FROM bemi.table_events
             ORDER BY commit_position, sequence, ordinal",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(told[0].0.as_deref(), Some("full"));
    assert_eq!(told[0].1, Some(vec!["id".to_owned()]));
    let column = |number: i32, name: &str, data_type: &str, missing: Value| json!({"number": number, "name": name, "type": data_type, "generated": false, "missing": missing});
    assert_eq!(
        told[1].2,
        Some(json!([
            column(1, "id", "integer", Value::Null),
            column(2, "task", "text", Value::Null),
            column(3, "note", "character varying(9)", json!("none")),
        ]))
    );
    assert_eq!(told[3].2.as_ref().unwrap()[1], column(2, "what", "text", Value::Null));
    assert_eq!(told[4], (None, None, None));
    let sequences: Vec<i64> = tracked.changes().await.iter().map(|c| c.sequence).collect();
    assert_eq!(sequences, [1, 2, 3], "an event takes no number of a change");
}
