//! What differs between two points.

use bemi_core::record::{Point, RowDiff};
use bemi_tests::Tracked;

use super::asked::{TODO, now, record, short};

async fn diff(tracked: &Tracked, from: Point, to: Point) -> Vec<String> {
    let mut record = record(tracked).await;
    let mut diff = record.diff(from, to, None).await.unwrap();
    let mut rows = Vec::new();
    // Pages of one key: whatever the size, they are the same.
    while let Some(page) = diff.next_page(1).await.unwrap() {
        rows.extend(page.into_iter().map(shown));
    }
    rows
}

fn shown(row: RowDiff) -> String {
    let key = row.key.map_or_else(|| "-".to_owned(), |key| key.to_string());
    format!("{} {key}: {} -> {}", row.table, short(row.before), short(row.after))
}

#[tokio::test]
async fn a_diff_is_the_net_of_the_changes_in_between() {
    let tracked = Tracked::new("").await;
    tracked.sql(&format!("{TODO}; CREATE TABLE note (t text)")).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); INSERT INTO note VALUES ('x')").await;
    let from = now(&tracked).await;
    tracked
        .sql("UPDATE todo SET task = 'x' WHERE id = 1; UPDATE todo SET task = 'y' WHERE id = 1")
        .await;
    tracked
        .sql("UPDATE todo SET task = 'x' WHERE id = 2; UPDATE todo SET task = 'b' WHERE id = 2")
        .await;
    tracked.sql("DELETE FROM todo WHERE id = 3; UPDATE todo SET id = 5 WHERE id = 4; UPDATE note SET t = 'y'").await;
    tracked.sql("INSERT INTO todo VALUES (6, 'f'); DELETE FROM todo WHERE id = 6").await;
    let to = now(&tracked).await;
    tracked.store().await;

    let row = |id: i32, task: &str| format!(r#"{{"done":false,"id":{id},"task":"{task}"}}"#);
    let mut expected = vec![
        r#"note -: absent -> {"t":"y"}"#.to_owned(),
        r#"note -: {"t":"x"} -> absent"#.to_owned(),
        format!("todo 1: {} -> {}", row(1, "a"), row(1, "y")),
        format!("todo 3: {} -> absent", row(3, "c")),
        format!("todo 4: {} -> absent", row(4, "d")),
        format!("todo 5: absent -> {}", row(5, "d")),
    ];
    let mut there = diff(&tracked, from, to).await;
    there.sort();
    expected.sort();
    assert_eq!(there, expected);
    // And back again.
    assert_eq!(diff(&tracked, to, from).await.len(), expected.len());
}

#[tokio::test]
async fn rows_that_a_truncate_took_differ() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let from = now(&tracked).await;
    tracked.sql("TRUNCATE todo; INSERT INTO todo VALUES (2, 'b')").await;
    let to = now(&tracked).await;
    tracked.store().await;

    assert_eq!(
        diff(&tracked, from, to).await,
        [r#"todo 1: {"done":false,"id":1,"task":"a"} -> absent"#]
    );
}

#[tokio::test]
async fn rows_that_a_truncate_took_are_missing_where_they_were_not_known() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let from = now(&tracked).await;
    tracked.sql("TRUNCATE todo").await;
    let to = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let diff = record.diff(from, to, None).await.unwrap();
    assert_eq!(diff.incomplete(), ["todo".parse().unwrap()]);
}

#[tokio::test]
async fn what_is_not_known_at_both_points_is_said() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    let from = now(&tracked).await;
    tracked.sql("UPDATE todo SET task = 'x' WHERE id = 1").await;
    let to = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut diff = record.diff(from, to, None).await.unwrap();
    // Rows without a change are the same, though nobody knows what they are.
    assert_eq!(diff.incomplete(), []);
    let rows = diff.next_page(10).await.unwrap().unwrap();
    assert_eq!(
        rows.into_iter().map(shown).collect::<Vec<_>>(),
        [r#"todo 1: incomplete -> {"done":false,"id":1,"task":"x"}"#]
    );
}
