//! `@bemi-db/prisma`: a comment behind each statement, and row triggers on the tables of all schemas.

use bemi_tests::Stored;
use serde_json::json;

use crate::app::Program;
use crate::{install, todo};

async fn program() -> Program {
    let folder = install::node("prisma").await;
    Program { interpreter: "node".into(), script: folder.join("app.js") }
}

pub(crate) async fn contexts_equal_what_the_middleware_was_told() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    let contexts = todo::contexts();
    todo::requests(&app, &contexts).await;
    todo::require(&tracked, &contexts).await;
}

pub(crate) async fn statements_of_many_rows_transactions_and_sql_of_ones_own_have_it_too() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    let context = json!({"user_id": 1, "url": "/more?page=2 100%25 sure"});
    app.request("POST", "/more", &context, &json!({})).await;
    let changes = todo::stored(&tracked).await;
    let what: Vec<_> = changes.iter().map(Stored::what).collect();
    assert_eq!(what[..3], [("CREATE", "1"), ("CREATE", "2"), ("CREATE", "3")]);
    assert_eq!(what[3..], [("UPDATE", "1"), ("UPDATE", "2"), ("UPDATE", "3")]);
    assert!(changes[..5].iter().all(|change| change.context == context), "{changes:?}");
    let mut grown = context;
    grown["step"] = json!("raw");
    assert_eq!(changes[5].context, grown);
}

pub(crate) async fn its_documented_queries_run_unchanged() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    todo::requests(&app, &todo::contexts()).await;
    tracked.store().await;
    let query = json!({"user_id": 2});
    let found = app.request("POST", "/changes", &json!({}), &query).await;
    let model = &found["model"][0];
    assert_eq!((&model["operation"], &model["primaryKey"]), (&json!("UPDATE"), &json!("1")));
    assert_eq!(model["before"], json!({"id": 1, "task": "Sleep"}));
    assert_eq!(model["after"], json!({"id": 1, "task": "Eat"}));
    assert_eq!((&model["schema"], &model["table"]), (&json!("public"), &json!("todo")));
    assert_eq!(model["context"], todo::contexts()[1]);
    for column in ["id", "database"] {
        assert!(model[column].is_string(), "{column} in {model}");
    }
    let raw = &found["raw"][0];
    assert_eq!((&raw["operation"], &raw["primary_key"]), (&json!("UPDATE"), &json!("1")));
}

/// Two event triggers see the table: the package's, and ours.
pub(crate) async fn a_table_that_is_made_later_has_its_trigger_and_is_tracked() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    tracked.sql("CREATE TABLE later (id int PRIMARY KEY)").await;
    tracked.sql("INSERT INTO later VALUES (1) /*Bemi {\"user_id\":1} Bemi*/").await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let stored: Vec<_> =
        changes.iter().map(|change| (change.table.as_str(), &change.context)).collect();
    assert_eq!(stored, [("later", &json!({"user_id": 1}))]);
}
