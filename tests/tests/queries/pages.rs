//! Pages: they neither repeat nor miss a change, whatever is stored meanwhile.

use bemi_core::record::{Changes, Cursor, Record};
use bemi_tests::Tracked;
use bemi_worker::connect::Session;

use crate::asked::record;

/// All pages, with something done before each but the first.
async fn turned(
    record: &mut Record<Session>,
    changes: &Changes,
    mut between: impl AsyncFnMut(),
) -> Vec<Cursor> {
    let mut page = record.changes(changes).await.unwrap();
    let mut places: Vec<Cursor> = page.items.iter().map(bemi_core::Change::cursor).collect();
    while let Some(next) = page.next {
        between().await;
        page = record.changes(&changes.clone().after(next)).await.unwrap();
        places.extend(page.items.iter().map(bemi_core::Change::cursor));
    }
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn they_hold_each_change_once_in_order() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    for first in [0, 10, 20] {
        tracked
            .sql(&format!("INSERT INTO todo SELECT generate_series({first}, {first} + 9)"))
            .await;
    }
    tracked.store().await;
    let mut record = record(&tracked).await;
    for limit in [1, 7, 10, 29, 30, 31] {
        let newest = turned(&mut record, &Changes::new().limit(limit), async || ()).await;
        let oldest =
            turned(&mut record, &Changes::new().oldest_first().limit(limit), async || ()).await;
        assert_eq!(oldest.len(), 30);
        assert!(oldest.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(newest.iter().rev().eq(&oldest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_meanwhile_moves_nothing() {
    let tracked = Tracked::new("CREATE TABLE todo (id serial PRIMARY KEY)").await;
    let insert = "INSERT INTO todo SELECT FROM generate_series(1, 6)";
    tracked.sql(insert).await;
    tracked.store().await;
    let mut record = record(&tracked).await;
    let before = turned(&mut record, &Changes::new(), async || ()).await;
    let store = async || {
        tracked.sql(insert).await;
        tracked.store().await;
    };
    // Backwards it is what was there at the first page; forwards it goes on to the end.
    assert_eq!(turned(&mut record, &Changes::new().limit(2), store).await, before);
    let mut times = 0;
    let store_once = async || {
        times += 1;
        if times == 1 {
            store().await;
        }
    };
    let forwards = turned(&mut record, &Changes::new().oldest_first().limit(5), store_once).await;
    assert_eq!(forwards, turned(&mut record, &Changes::new().oldest_first(), async || ()).await);
    assert_eq!(forwards.len(), 24);
}
