//! What a context may hold, and what becomes of it on its way.

use bemi_core::{Context, Settings, with_context};
use bemi_tests::journal::user;
use serde_json::json;

use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    any_text_arrives_as_it_is,
    nested_values_arrive_as_they_are,
    literals_are_not_in_the_text_of_the_statement,
    bound_values_are_never_in_the_context,
    the_raw_text_where_it_is_asked_for,
    a_text_of_the_users_own_wins,
    secrets_are_redacted,
    a_context_that_is_too_large_loses_its_largest_values,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

async fn any_text_arrives_as_it_is(stage: Stage) {
    let text = "'; DROP TABLE todo; --\\ \"quoted\" \\' $$ %s /* \u{1f600} \u{0639}\u{0631}\u{0628}\u{064a} \r\n\t\u{7f} nul:\0:";
    let context = Context::new().with("text", text).with("k'e\"y\\", "\\");
    with_context(context, async {
        stage.driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        stage.driver.script("INSERT INTO todo VALUES (2, 'a')").await.unwrap();
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(3), Text("a")]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    // jsonb cannot hold a NUL.
    let text = text.replace('\0', "\u{fffd}");
    let under =
        |id, sql| created(todo(id, "a")).under(json!({"text": text, "k'e\"y\\": "\\", "SQL": sql}));
    assert_eq!(
        stage.stored().await,
        [under(1, INSERT), under(2, "INSERT INTO todo VALUES (?, ?)"), under(3, INSERT)]
    );
}

async fn nested_values_arrive_as_they_are(stage: Stage) {
    let value = json!({"list": [1, -2.5, null, true, "x"], "deep": {"er": {"empty": {}}}, "large": 9007199254740993_i64});
    let context = Context::new().with("value", value.clone());
    with_context(context, stage.driver.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).under(json!({"value": value, "SQL": INSERT}))]
    );
}

async fn literals_are_not_in_the_text_of_the_statement(stage: Stage) {
    let sql =
        "INSERT INTO todo /* who */ VALUES (1 + 41, 'it''s' || E'\\'x' || $$y$$ || U&'z') -- end";
    with_context(user(7), async {
        stage.driver.execute(sql, &[]).await.unwrap();
    })
    .await;
    let stored = stage.stored().await;
    let text = stored[0].context["SQL"].as_str().unwrap();
    assert!(
        text.starts_with("INSERT INTO todo") && text.contains("VALUES (? + ?, ? || ? || ? || "),
        "{text}"
    );
    for literal in ["41", "it", "'x", "$y", "'z"] {
        assert!(!text.contains(literal), "{literal} in {text}");
    }
}

async fn bound_values_are_never_in_the_context(stage: Stage) {
    let settings = Settings::new().raw_sql_with_literals();
    for driver in [stage.driver.clone(), stage.with_settings(settings).await] {
        let delete = "DELETE FROM todo WHERE task = $1";
        with_context(user(7), async {
            driver.execute(INSERT, &[Int(4711), Text("hush")]).await.unwrap();
            driver.execute(delete, &[Text("hush")]).await.unwrap();
        })
        .await;
    }
    let stored = stage.stored().await;
    assert_eq!(stored.len(), 4);
    for row in stored {
        assert_eq!(row.context["user_id"], 7);
        let context = row.context.to_string();
        assert!(!context.contains("hush") && !context.contains("4711"), "{context}");
    }
}

async fn the_raw_text_where_it_is_asked_for(stage: Stage) {
    let driver = stage.with_settings(Settings::new().raw_sql_with_literals()).await;
    let sql = "INSERT INTO todo VALUES (1, $1 || 'b')";
    with_context(user(7), driver.execute(sql, &[Text("a")])).await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(1, "ab")).by(7, sql)]);
}

async fn a_text_of_the_users_own_wins(stage: Stage) {
    let context = Context::new().with("SQL", "import of 2026");
    with_context(context, stage.driver.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).under(json!({"SQL": "import of 2026"}))]
    );
}

async fn secrets_are_redacted(stage: Stage) {
    let context = Context::new()
        .with("api_TOKEN", "hush")
        .with(
            "request",
            json!({"headers": {"Cookie": "hush", "Authorization": ["hush"], "accept": "*/*"}}),
        )
        .with("users", json!([{"name": "ann", "password_hash": 1}]));
    with_context(context, stage.driver.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    let redacted = "[redacted]";
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).under(json!({
            "api_TOKEN": redacted,
            "request": {"headers": {"Cookie": redacted, "Authorization": redacted, "accept": "*/*"}},
            "users": [{"name": "ann", "password_hash": redacted}],
            "SQL": INSERT,
        }))]
    );
}

async fn a_context_that_is_too_large_loses_its_largest_values(stage: Stage) {
    let driver = stage.with_settings(Settings::new().size_limit_bytes(1024)).await;
    let context = user(7).with("body", "x".repeat(1_000_000)).with("note", "short");
    with_context(context, driver.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).under(json!({
            "user_id": 7, "note": "short", "SQL": INSERT, "_bemi": {"truncated": ["/body"]},
        }))]
    );
}
