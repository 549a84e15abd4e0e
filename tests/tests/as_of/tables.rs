//! A whole table as of a point.

use bemi_core::record::{Key, RowAt};
use bemi_tests::Tracked;

use super::asked::{TODO, now, record, short, todo};

async fn rows(
    tracked: &Tracked,
    point: bemi_core::record::Point,
    table: &str,
) -> (Vec<String>, bool) {
    let mut record = record(tracked).await;
    let table = record.as_of(point).table(&table.parse().unwrap()).await.unwrap();
    (table.rows.into_iter().map(|row| short(row.row)).collect(), table.is_complete)
}

#[tokio::test]
async fn a_table_has_the_rows_that_were_there() {
    let tracked = Tracked::new("").await;
    tracked.sql(TODO).await;
    tracked.sql("INSERT INTO todo SELECT g, 't' || g FROM generate_series(1, 25) g").await;
    tracked.sql("DELETE FROM todo WHERE id > 3; UPDATE todo SET id = 30 WHERE id = 3").await;
    let then = now(&tracked).await;
    tracked.sql("TRUNCATE todo").await;
    let emptied = now(&tracked).await;
    tracked.store().await;

    let (told, is_complete) = rows(&tracked, then, "todo").await;
    assert_eq!(
        told,
        [
            r#"{"done":false,"id":1,"task":"t1"}"#,
            r#"{"done":false,"id":2,"task":"t2"}"#,
            r#"{"done":false,"id":30,"task":"t3"}"#
        ]
    );
    assert!(is_complete);
    assert_eq!(rows(&tracked, emptied, "todo").await, (vec![], true));
}

#[tokio::test]
async fn pages_are_the_whole_table() {
    let tracked = Tracked::new("").await;
    tracked.sql(TODO).await;
    tracked.sql("INSERT INTO todo SELECT g, 't' || g FROM generate_series(1, 25) g; DELETE FROM todo WHERE id % 3 = 0").await;
    let then = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut then = record.as_of(then);
    let whole = then.table(&todo()).await.unwrap();
    let mut paged = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let page = then.page(&todo(), after.as_ref(), 4).await.unwrap();
        assert!(page.rows.len() <= 4 && page.is_complete);
        paged.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole.rows);
    assert_eq!(paged.len(), 17);
}

#[tokio::test]
async fn a_table_is_complete_only_if_all_its_rows_are_known() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    tracked.sql("UPDATE todo SET done = true WHERE id = 1").await;
    let then = now(&tracked).await;
    tracked.store().await;

    // Of the other row there is no trace.
    let (told, is_complete) = rows(&tracked, then, "todo").await;
    assert_eq!(told, [r#"{"done":true,"id":1,"task":"a"}"#]);
    assert!(!is_complete);
}

#[tokio::test]
async fn rows_without_a_key_are_counted() {
    let tracked = Tracked::new("").await;
    tracked.sql("CREATE TABLE note (t text, n int)").await;
    tracked.sql("INSERT INTO note VALUES ('a', 1), ('a', 1), ('b', 2), ('c', 3)").await;
    tracked.sql("DELETE FROM note WHERE ctid = (SELECT min(ctid) FROM note); UPDATE note SET n = 1, t = 'a' WHERE t = 'c'").await;
    let then = now(&tracked).await;
    tracked.sql("ALTER TABLE note ADD m int DEFAULT 7").await;
    let added = now(&tracked).await;
    tracked.store().await;

    let (told, is_complete) = rows(&tracked, then, "note").await;
    assert_eq!(told, [r#"{"n":1,"t":"a"}"#, r#"{"n":1,"t":"a"}"#, r#"{"n":2,"t":"b"}"#]);
    assert!(is_complete);
    let (told, _) = rows(&tracked, added, "note").await;
    assert_eq!(told[2], r#"{"m":7,"n":2,"t":"b"}"#);
}

#[tokio::test]
async fn without_a_baseline_rows_without_a_key_are_not_known() {
    let tracked =
        Tracked::untracked(bemi_tests::shared_cluster(), "CREATE TABLE note (t text)").await;
    tracked.sql("INSERT INTO note VALUES ('a'), ('a')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    tracked.sql("INSERT INTO note VALUES ('b')").await;
    let before = now(&tracked).await;
    tracked.worker(&["backfill", "--all-tables"]).run_to_end().await.assert_code(0);
    tracked.sql("INSERT INTO note VALUES ('c')").await;
    let after = now(&tracked).await;
    tracked.store().await;

    assert_eq!(rows(&tracked, before, "note").await, (vec![], false));
    let (told, is_complete) = rows(&tracked, after, "note").await;
    assert_eq!(told, [r#"{"t":"a"}"#, r#"{"t":"a"}"#, r#"{"t":"b"}"#, r#"{"t":"c"}"#]);
    assert!(is_complete);
}

#[tokio::test]
async fn tables_of_one_name_in_two_schemas_are_two() {
    let tracked = Tracked::new(&format!(
        "{TODO}; CREATE SCHEMA sales; CREATE TABLE sales.todo (id int PRIMARY KEY)"
    ))
    .await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'); INSERT INTO sales.todo VALUES (1), (2)").await;
    let then = now(&tracked).await;
    tracked.store().await;

    assert_eq!(rows(&tracked, then, "todo").await.0, [r#"{"done":false,"id":1,"task":"a"}"#]);
    assert_eq!(rows(&tracked, then, "sales.todo").await.0, [r#"{"id":1}"#, r#"{"id":2}"#]);
}

#[tokio::test]
async fn keys_of_several_columns_and_odd_texts_are_keys() {
    let tracked = Tracked::new("CREATE TABLE pair (y text, x int, PRIMARY KEY (x, y))").await;
    tracked.sql(r#"INSERT INTO pair VALUES ('a"b', 1), ('', 2), ('ä, \ ', 3)"#).await;
    let then = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut then = record.as_of(then);
    for (x, y) in [("1", "a\"b"), ("2", ""), ("3", "ä, \\ ")] {
        let row = then.row(&"pair".parse().unwrap(), &Key::of([x, y])).await.unwrap();
        let RowAt::Present(row) = row else { panic!("{x} {y}: {row:?}") };
        assert_eq!(row.get("x"), Some(x));
    }
}
