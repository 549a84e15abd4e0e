//! Behind PgBouncer in transaction mode, and on a hot standby.

use std::sync::Arc;

use bemi_core::{Settings, with_context};
use bemi_tests::journal::user;
use serde_json::{Value, json};

use super::{assert_refused, values};
use crate::driver::Bind::{Int, Text};
use crate::driver::{Begin, Driver};
use crate::stage::Stage;
use crate::stored::{created, deleted, todo, updated};

cases![
    clients_of_pgbouncer_do_not_share_contexts,
    messages_in_the_statement_pass_pgbouncer,
    a_standby_reads_in_a_scope_and_refuses_to_write,
    a_read_only_session_reads_in_a_scope_and_refuses_to_write,
];

const CLIENTS: i32 = 20;

async fn clients_of_pgbouncer_do_not_share_contexts(stage: Stage) {
    behind_bouncer(&stage, Settings::new().without_sql(), true).await;
}

/// Not in autocommit: there the libraries prepare a statement before they run it, with us and without, and the connection of the
/// server that runs it may be another one.
async fn messages_in_the_statement_pass_pgbouncer(stage: Stage) {
    behind_bouncer(&stage, Settings::new().without_sql().inline_messages(), false).await;
}

/// Twenty clients share two server connections.
async fn behind_bouncer(stage: &Stage, settings: Settings, in_autocommit: bool) {
    let Some((driver, bouncer)) = stage.behind_bouncer(settings).await else { return };
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|id| {
            let work = write(driver.clone(), stage.schema, id, in_autocommit);
            tokio::spawn(with_context(user(id), work))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    // Outside any scope, on a server connection that all of them have used.
    driver.script(&format!("DELETE FROM {}.todo", stage.schema)).await.unwrap();
    drop(bouncer);

    let mut stored = stage.stored().await;
    let id = |row: &Value| row["id"].as_i64();
    stored.sort_by_key(|row| id(&row.after).or(id(&row.before)));
    let mut expected = Vec::new();
    for id in 1..=CLIENTS {
        let by = json!({"user_id": id});
        expected.push(created(todo(id, "a")).under(by.clone()));
        expected.push(updated(todo(id, "a"), todo(id, "b")).under(by.clone()));
        if in_autocommit {
            expected.push(updated(todo(id, "b"), todo(id, "c")).under(by));
        }
        expected.push(deleted(todo(id, if in_autocommit { "c" } else { "b" })));
    }
    assert_eq!(stored, expected);
}

async fn write(driver: Arc<dyn Driver>, schema: &str, id: i32, in_autocommit: bool) {
    let insert = format!("INSERT INTO {schema}.todo VALUES ($1, $2)");
    let update = format!("UPDATE {schema}.todo SET task = $1 WHERE id = $2");
    let mut tx = driver.begin(Begin::Default).await.unwrap();
    assert_eq!(tx.execute(&insert, &[Int(id), Text("a")]).await.unwrap(), 1);
    assert_eq!(tx.execute(&update, &[Text("b"), Int(id)]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    if in_autocommit {
        assert_eq!(driver.execute(&update, &[Text("c"), Int(id)]).await.unwrap(), 1);
    }
}

async fn a_standby_reads_in_a_scope_and_refuses_to_write(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    reads_and_refuses_to_write(&*stage.on_standby().await).await;
    assert_eq!(stage.stored().await, [created(todo(1, "a"))]);
}

async fn a_read_only_session_reads_in_a_scope_and_refuses_to_write(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let driver = stage.with_server_setting("default_transaction_read_only", "on").await;
    reads_and_refuses_to_write(&*driver).await;
    assert_eq!(stage.stored().await, [created(todo(1, "a"))]);
}

async fn reads_and_refuses_to_write(driver: &dyn Driver) {
    let read = "SELECT task AS value FROM todo WHERE id = $1";
    let insert = "INSERT INTO todo VALUES ($1, $2)";
    with_context(user(7), async {
        assert_eq!(driver.query(read, &[Int(1)]).await.unwrap(), values(["a"]));
        assert_refused(driver.execute(insert, &[Int(2), Text("b")]).await, "25006");
        assert_refused(driver.script("DELETE FROM todo").await, "25006");
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        assert_eq!(tx.query(read, &[Int(1)]).await.unwrap(), values(["a"]));
        assert_refused(tx.execute(insert, &[Int(2), Text("b")]).await, "25006");
        tx.rollback().await.unwrap();
        assert_eq!(driver.query(read, &[Int(1)]).await.unwrap(), values(["a"]));
        driver.script("BEGIN; SELECT 1; COMMIT").await.unwrap();
    })
    .await;
}
