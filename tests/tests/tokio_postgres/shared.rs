//! One client or transaction that several futures use at a time: what they send is pipelined, and must not mix.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bemi_tests::eventually;
use bemi_tests::journal::{Stitched, by, by_nobody, inserted, user};
use bemi_tokio_postgres::{BemiClient, ContextFutureExt, with_context};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::app::{App, INSERT};

const TASKS: i32 = 100;
const ROUNDS: i32 = 10;

/// One write, by one of the ways there are. Every other id is there already.
async fn write(client: &BemiClient, id: i32) -> bool {
    let sql = format!("INSERT INTO todo VALUES ({id}, 'x')");
    let written = match id % 5 {
        0 => client.execute(INSERT, &[&id, &"x"]).await.map(drop),
        1 => client.execute_typed(&sql, &[]).await.map(drop),
        2 => client.query(&sql, &[]).await.map(drop),
        3 => client.batch_execute(&sql).await,
        _ => client.batch_execute(&format!("BEGIN; {sql}; COMMIT")).await,
    };
    written.is_ok()
}

/// The user whose task writes this id; none, where it does so outside any scope.
fn writer(id: i32) -> Option<i64> {
    let task = id / (2 * ROUNDS);
    (task % 4 != 0).then(|| i64::from(task))
}

/// Those of `journal`, by id.
fn by_id(journal: Vec<Vec<Stitched>>) -> BTreeMap<i32, Option<i64>> {
    let changes = journal.into_iter().flatten();
    changes
        .map(|(user, change)| {
            let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap();
            (id.parse().unwrap(), user)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_share_a_client_lose_no_row_and_no_context_while_others_fail() {
    let app = App::new().await;
    // Half of the writes violate a constraint, so that their transactions are rolled back.
    app.run(&format!(
        "INSERT INTO todo SELECT 2 * n + 1, 'before' FROM generate_series(0, {}) n",
        TASKS * ROUNDS - 1
    ))
    .await;
    app.journal().await;
    let client = Arc::new(app.another().await);
    let tasks = (0..TASKS).map(|task| {
        let client = Arc::clone(&client);
        let ids = (0..2 * ROUNDS).map(move |round| 2 * ROUNDS * task + round);
        let writes = async move {
            // All in flight at once.
            let outcomes = join_all(ids.clone().map(|id| {
                let client = &client;
                async move {
                    // A script that fails leaves its transaction open, which is not for sharing.
                    let fails = id % 2 == 1;
                    if fails && id % 5 == 4 { false } else { write(client, id).await }
                }
            }));
            for (id, written) in ids.zip(outcomes.await) {
                assert_eq!(written, id % 2 == 0, "{id}");
            }
        };
        tokio::spawn(async move {
            match writer(2 * ROUNDS * task) {
                Some(task) => writes.with_context(user(task)).await,
                None => writes.await,
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let expected: BTreeMap<_, _> =
        (0..2 * ROUNDS * TASKS).step_by(2).map(|id| (id, writer(id))).collect();
    assert_eq!(by_id(app.changes().await), expected);
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn writes_that_are_joined_in_one_transaction_have_each_its_own_context() {
    let mut app = App::new().await;
    let insert = app.client.prepare(INSERT).await.unwrap();
    let tx = app.client.transaction().await.unwrap();
    let (one, two, three) = tokio::join!(
        biased;
        tx.execute(&insert, &[&1, &"x"]).with_context(user(1)),
        tx.execute(&insert, &[&2, &"x"]).with_context(user(2)),
        tx.execute(&insert, &[&3, &"x"]),
    );
    let (four, five) = tokio::join!(
        biased;
        // Prepared first, so that it is sent behind the next.
        tx.execute(INSERT, &[&4, &"x"]).with_context(user(1)),
        tx.execute_typed("INSERT INTO todo VALUES (5, 'x')", &[]).with_context(user(2)),
    );
    for outcome in [one, two, three, four, five] {
        outcome.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(
        app.changes().await,
        [[
            by(1, inserted(1, "x")),
            by(2, inserted(2, "x")),
            by_nobody(inserted(3, "x")),
            by(2, inserted(5, "x")),
            by(1, inserted(4, "x")),
        ]]
    );
}

#[tokio::test]
async fn a_transaction_as_text_can_be_pipelined() {
    let app = App::new().await;
    let insert = app.client.prepare(INSERT).await.unwrap();
    with_context(user(1), async {
        let (begin, first, undo, second, end, after) = tokio::join!(
            biased;
            app.client.batch_execute("BEGIN; SAVEPOINT a"),
            app.client.execute(&insert, &[&1, &"x"]),
            app.client.batch_execute("ROLLBACK TO a"),
            app.client.execute(&insert, &[&2, &"x"]),
            app.client.batch_execute("COMMIT"),
            app.client.execute(&insert, &[&3, &"x"]),
        );
        assert!(begin.is_ok() && first.is_ok() && undo.is_ok());
        assert!(second.is_ok() && end.is_ok() && after.is_ok());
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))], [by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn a_begin_that_turns_out_to_have_failed_does_not_cost_later_writes_their_context() {
    let app = App::new().await;
    let insert = app.client.prepare(INSERT).await.unwrap();
    with_context(user(1), async {
        let (begin, _) = tokio::join!(
            biased;
            app.client.batch_execute("BEGIN; SELEC"),
            app.client.execute(&insert, &[&1, &"x"])
        );
        begin.unwrap_err();
        assert!(!app.client.is_in_transaction());
        app.client.execute(&insert, &[&2, &"x"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await.last().unwrap(), &[by(1, inserted(2, "x"))]);
}

/// In the plain client the transaction of the script would be left open, and aborted.
#[tokio::test]
async fn a_script_that_fails_while_a_write_is_in_flight_does_not_cost_later_writes_their_context() {
    let app = App::new().await;
    let insert = app.client.prepare(INSERT).await.unwrap();
    with_context(user(1), async {
        let (script, write) = tokio::join!(
            biased;
            app.client.batch_execute("BEGIN; SELECT 1 / 0; COMMIT"),
            app.client.execute(&insert, &[&1, &"x"]),
        );
        assert_eq!(script.unwrap_err().code().unwrap().code(), "22012");
        assert_eq!(write.unwrap_err().code().unwrap().code(), "25P02");
        assert_eq!(app.idle_in_transaction().await, 0);
        app.client.execute(&insert, &[&2, &"x"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}

/// Nobody waits for the answers, and the outcome of each is not known when the next is sent.
#[tokio::test]
async fn what_was_sent_and_dropped_misleads_nobody() {
    let app = App::new().await;
    let insert = app.client.prepare(INSERT).await.unwrap();
    let text = |sql: &'static str| assert!(app.client.batch_execute(sql).now_or_never().is_none());
    let write = |id: i32| {
        assert!(app.client.execute(&insert, &[&id, &"x"]).now_or_never().is_none());
    };
    with_context(user(1), async {
        text("BEGIN; SAVEPOINT a");
        write(2);
        // It fails, and so does all behind it, up to the rollback, which is to the first of the two savepoints.
        write(2);
        text("RELEASE a");
        text("SAVEPOINT a");
        text("ROLLBACK TO a");
        app.client.execute(&insert, &[&3, &"x"]).await.unwrap();
        app.client.batch_execute("COMMIT").await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(3, "x"))]]);
}

/// An autocommit write is queued as a whole: the messages of two that are polled at once do not mix.
#[tokio::test]
async fn what_belongs_together_is_adjacent_on_the_wire() {
    let app = App::new().await;
    let (client, _) = app.logged().await;
    let insert = client.prepare(INSERT).await.unwrap();
    let read = client.prepare("SELECT 1").await.unwrap();
    with_context(user(1), async {
        let (one, read, two) = tokio::join!(
            biased;
            client.execute(&insert, &[&1, &"x"]),
            client.query(&read, &[]),
            client.execute(&insert, &[&2, &"x"]),
        );
        assert!(one.is_ok() && read.is_ok() && two.is_ok());
    })
    .await;
    assert_eq!(
        app.sent(),
        ["BEGIN; <emit>", INSERT, "COMMIT", "SELECT 1", "BEGIN; <emit>", INSERT, "COMMIT"]
    );
}

/// All that a write needs is in the server's hands before the client waits for the first answer: one round trip.
#[tokio::test]
async fn a_write_is_committed_although_nobody_reads_an_answer() {
    let app = App::new().await;
    let insert = app.client.prepare(INSERT).await.unwrap();
    let mut write = Box::pin(app.client.execute(&insert, &[&1, &"x"]).with_context(user(1)));
    assert!((&mut write).now_or_never().is_none(), "it was polled once");
    let committed = eventually(Duration::from_secs(20), "the write to be committed", async || {
        (app.count("todo").await == 1).then_some(())
    });
    committed.await;
    assert_eq!(write.await.unwrap(), 1);
}
