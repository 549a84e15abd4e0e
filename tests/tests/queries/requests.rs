//! Activity: what was done under one request, in one transaction, in one trace.

use bemi_core::record::{Activity, Changes, Grouping};
use bemi_tests::Tracked;

use crate::asked::{record, todo, under};

const SCHEMA: &str =
    "CREATE TABLE todo (id int PRIMARY KEY, task text); CREATE TABLE note (id int PRIMARY KEY)";

fn touched(activity: &Activity) -> Vec<String> {
    activity
        .touched
        .iter()
        .map(|touched| format!("{} {} {}", touched.changes, touched.operation, touched.table))
        .collect()
}

fn ids(activities: &[Activity]) -> Vec<&str> {
    activities.iter().map(|activity| activity.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_all_that_was_done_under_its_id() {
    let tracked = Tracked::new(SCHEMA).await;
    let a = r#"{"request_id": "a", "user_id": 188, "endpoint": "/todos"}"#;
    let b = r#"{"request_id": "b", "user": "bob"}"#;
    tracked.sql(&under(a, "INSERT INTO todo VALUES (1), (2)")).await;
    tracked.sql(&under(b, "INSERT INTO note VALUES (1)")).await;
    tracked.sql("INSERT INTO note VALUES (2)").await;
    tracked
        .sql(&under(a, "UPDATE todo SET task = 'Eat' WHERE id = 1; INSERT INTO note VALUES (3)"))
        .await;
    tracked.store().await;
    let mut record = record(&tracked).await;
    let changes = record.changes(&Changes::new().oldest_first()).await.unwrap().items;

    let page = record.requests(&Grouping::default(), &Changes::new()).await.unwrap();
    assert_eq!(ids(&page.items), ["a", "b"], "the one that did something last comes first");
    let request = &page.items[0];
    assert_eq!(request.changes, 4);
    assert_eq!(touched(request), ["2 CREATE todo", "1 UPDATE todo", "1 CREATE note"]);
    assert_eq!(
        (&request.who[..], &request.endpoints[..]),
        (&["188".to_owned()][..], &["/todos".to_owned()][..])
    );
    assert_eq!(
        (request.first_at, request.last_at),
        (changes[0].committed_at, changes[5].committed_at)
    );
    assert_eq!((request.first, request.last), (changes[0].cursor(), changes[5].cursor()));
    assert_eq!(request.databases, [tracked.database.name()]);
    assert_eq!(
        (&page.items[1].who[..], page.items[1].endpoints.len()),
        (&["bob".to_owned()][..], 0)
    );

    // The filter says which changes count.
    let notes = Changes::new().table("note".parse().unwrap());
    let page = record.requests(&Grouping::default(), &notes).await.unwrap();
    assert_eq!(touched(&page.items[0]), ["1 CREATE note"]);
    let of_one = Changes::new().record(todo(), 1);
    let page = record.requests(&Grouping::default(), &of_one).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(touched(&page.items[0]), ["1 CREATE todo", "1 UPDATE todo"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_and_traces() {
    let tracked = Tracked::new(SCHEMA).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let shop = format!(r#"{{"trace_id": "{trace}", "request_id": "a"}}"#);
    let billing =
        format!(r#"{{"traceparent": "00-{trace}-00f067aa0ba902b7-01", "request_id": "b"}}"#);
    tracked.sql(&under(&shop, "INSERT INTO todo VALUES (1)")).await;
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    tracked.sql(&under(&billing, "INSERT INTO note VALUES (1), (2)")).await;
    tracked.store().await;
    let mut record = record(&tracked).await;

    let page = record.requests(&Grouping::Trace, &Changes::new()).await.unwrap();
    assert_eq!(ids(&page.items), [trace]);
    assert_eq!(page.items[0].changes, 3);

    let page = record.requests(&Grouping::Transaction, &Changes::new()).await.unwrap();
    let newest = record.changes(&Changes::new().limit(1)).await.unwrap().items.remove(0);
    let counts: Vec<u64> = page.items.iter().map(|transaction| transaction.changes).collect();
    assert_eq!(counts, [2, 1, 1]);
    assert_eq!(page.items[0].id, newest.commit_position.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_on_one_page_only() {
    let tracked = Tracked::new(SCHEMA).await;
    // Each request has an early change and a late one, so that pages cut through all of them.
    for id in (0..10).chain(100..110) {
        let context = format!(r#"{{"request_id": {}}}"#, id % 100);
        tracked.sql(&under(&context, &format!("INSERT INTO todo VALUES ({id})"))).await;
    }
    tracked.store().await;
    let mut record = record(&tracked).await;
    let asked = Changes::new().limit(3);
    let mut page = record.requests(&Grouping::default(), &asked).await.unwrap();
    let mut seen = page.items;
    while let Some(next) = page.next {
        page = record.requests(&Grouping::default(), &asked.clone().after(next)).await.unwrap();
        seen.append(&mut page.items);
    }
    assert_eq!(ids(&seen), ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    assert!(seen.iter().all(|request| request.changes == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_is_nobodys_doing() {
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY); INSERT INTO todo VALUES (1)",
    )
    .await;
    tracked.setup(&["--all-tables"]).await;
    tracked.store().await;
    tracked.worker(&["backfill", "--all-tables"]).run_to_end().await.assert_code(0);
    assert_eq!(tracked.count().await, 1);
    let page = record(&tracked).await.requests(&Grouping::Transaction, &Changes::new()).await;
    assert!(page.unwrap().items.is_empty());
}
