//! How many messages there are.

use bemi_core::{Settings, with_context};
use bemi_tests::journal::user;
use serde_json::json;

use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, todo, updated};

cases![
    without_the_text_a_transaction_has_one_message,
    with_the_text_each_different_statement_has_a_message,
    an_autocommit_write_has_one_message,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";
const UPDATE: &str = "UPDATE todo SET task = $1";

async fn without_the_text_a_transaction_has_one_message(stage: Stage) {
    let driver = stage.with_settings(Settings::new().without_sql()).await;
    let journal = stage.journal().await;
    with_context(user(7).with("case", stage.schema), async {
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        tx.execute(UPDATE, &[Text("b")]).await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        inner.execute(INSERT, &[Int(2), Text("b")]).await.unwrap();
        inner.commit().await.unwrap();
        tx.script("INSERT INTO todo VALUES (3, 'b'); DELETE FROM todo WHERE id = 9").await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(journal.messages_with(stage.schema).await.len(), 1);
    journal.close().await;
    let context = json!({"user_id": 7, "case": stage.schema});
    let expected = [
        created(todo(1, "a")),
        updated(todo(1, "a"), todo(1, "b")),
        created(todo(2, "b")),
        created(todo(3, "b")),
    ];
    assert_eq!(stage.transactions().await, [expected.map(|row| row.under(context.clone()))]);
}

async fn with_the_text_each_different_statement_has_a_message(stage: Stage) {
    let journal = stage.journal().await;
    with_context(user(7).with("case", stage.schema), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        for id in [1, 2, 3] {
            tx.execute(INSERT, &[Int(id), Text("a")]).await.unwrap();
        }
        tx.execute(UPDATE, &[Text("b")]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let messages = journal.messages_with(stage.schema).await;
    journal.close().await;
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("INSERT") && messages[1].contains("UPDATE"), "{messages:?}");
}

async fn an_autocommit_write_has_one_message(stage: Stage) {
    let journal = stage.journal().await;
    with_context(user(7).with("case", stage.schema), async {
        stage.driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        stage.driver.query("DELETE FROM todo RETURNING task AS value", &[]).await.unwrap();
        stage.driver.script("INSERT INTO todo VALUES (2, 'a')").await.unwrap();
    })
    .await;
    assert_eq!(journal.messages_with(stage.schema).await.len(), 3);
    journal.close().await;
    assert_eq!(stage.transactions().await.len(), 3);
}
