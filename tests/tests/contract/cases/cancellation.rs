//! Calls that are cancelled at each of their await points in turn.
//!
//! After each, the pool works, no transaction is open, and what was written is there with its context, or not at all.

use bemi_core::with_context;
use bemi_tests::at_each_await_point;
use bemi_tests::journal::user;

use super::values;
use crate::driver::Bind::{Int, Text};
use crate::driver::{Begin, Driver};
use crate::stage::Stage;
use crate::stored::{Stored, created, todo};

cases![
    a_cancelled_write_has_happened_or_not needs Cancel,
    a_cancelled_write_that_returns_rows_has_happened_or_not needs Cancel,
    a_cancelled_script_has_happened_or_not needs Cancel,
    a_cancelled_transaction_has_happened_or_not needs Cancel,
    a_cancelled_read_leaves_the_pool_usable needs Cancel,
    a_cancelled_copy_has_happened_or_not needs Cancel CopyIn,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

/// Drops `call` after one poll, after two, until it is done, which takes at least so many round trips. A call writes rows of task
/// `cancelled` whose ids are from its number times ten on.
async fn at_every_await_point(
    stage: &Stage,
    round_trips_min: i32,
    call: impl AsyncFn(&dyn Driver, i32),
) {
    let (driver, relay) = stage.behind_relay().await;
    let polls = at_each_await_point(async |polls| {
        let id = i32::try_from(polls).unwrap();
        let done =
            relay.cancelled_after(polls, with_context(user(id), call(&*driver, id * 10))).await;
        stage.settled().await;
        let inserted =
            with_context(user(0), driver.execute(INSERT, &[Int(-id), Text("after")])).await;
        assert_eq!(inserted.unwrap(), 1, "after {polls} polls");
        done
    })
    .await;
    let last = i32::try_from(polls).unwrap();
    assert!(last > round_trips_min, "it was cancelled at {} points only", last - 1);
    let stored = stage.stored().await;
    let (after, cancelled): (Vec<Stored>, Vec<_>) =
        stored.into_iter().partition(|row| row.after["task"] == "after");
    let expected: Vec<_> = (1..=last).map(|id| created(todo(-id, "after")).by(0, INSERT)).collect();
    assert_eq!(after, expected);
    // As many as are in the table, each under the context of its call.
    let landed = stage.look("SELECT id::text FROM todo WHERE id > 0 ORDER BY todo.id").await;
    let ids: Vec<_> = cancelled.iter().map(|row| row.after["id"].to_string()).map(Some).collect();
    assert_eq!(ids, landed);
    for row in cancelled {
        assert_eq!(row.context["user_id"], row.after["id"].as_i64().unwrap() / 10, "{row:?}");
    }
    let of_last = stage.look(&format!("SELECT id::text FROM todo WHERE id / 10 = {last}")).await;
    assert!(!of_last.is_empty(), "what was done is there");
}

async fn a_cancelled_write_has_happened_or_not(stage: Stage) {
    at_every_await_point(&stage, 1, async |driver, id| {
        driver.execute(INSERT, &[Int(id), Text("cancelled")]).await.unwrap();
    })
    .await;
}

async fn a_cancelled_write_that_returns_rows_has_happened_or_not(stage: Stage) {
    at_every_await_point(&stage, 1, async |driver, id| {
        let sql = "INSERT INTO todo VALUES ($1, 'cancelled') RETURNING task AS value";
        assert_eq!(driver.query(sql, &[Int(id)]).await.unwrap(), values(["cancelled"]));
    })
    .await;
}

async fn a_cancelled_script_has_happened_or_not(stage: Stage) {
    at_every_await_point(&stage, 1, async |driver, id| {
        let sql = format!("BEGIN; INSERT INTO todo VALUES ({id}, 'cancelled'); COMMIT; SELECT 1");
        driver.script(&sql).await.unwrap();
    })
    .await;
}

async fn a_cancelled_transaction_has_happened_or_not(stage: Stage) {
    at_every_await_point(&stage, 5, async |driver, id| {
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(id), Text("cancelled")]).await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        inner.execute(INSERT, &[Int(id + 1), Text("cancelled")]).await.unwrap();
        inner.commit().await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        inner.execute(INSERT, &[Int(id + 2), Text("cancelled")]).await.unwrap();
        inner.rollback().await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let sizes = "SELECT DISTINCT count(*)::text FROM todo WHERE id > 0 GROUP BY id / 10";
    assert_eq!(stage.look(sizes).await, values(["2"]));
}

async fn a_cancelled_read_leaves_the_pool_usable(stage: Stage) {
    at_every_await_point(&stage, 2, async |driver, id| {
        let sql = "SELECT i::text AS value FROM generate_series(1, 5000) AS i";
        assert_eq!(driver.query(sql, &[]).await.unwrap().len(), 5000);
        driver.execute(INSERT, &[Int(id), Text("cancelled")]).await.unwrap();
    })
    .await;
}

async fn a_cancelled_copy_has_happened_or_not(stage: Stage) {
    at_every_await_point(&stage, 2, async |driver, id| {
        let data = format!("{id}\tcancelled\n{}\tcancelled\n", id + 1);
        assert_eq!(driver.copy_in("COPY todo FROM STDIN", &data).await.unwrap(), 2);
    })
    .await;
    let sizes = "SELECT DISTINCT count(*)::text FROM todo WHERE id > 0 GROUP BY id / 10";
    assert_eq!(stage.look(sizes).await, values(["2"]));
}
