//! The todo list that all the applications are, and what must be stored of its requests.

use bemi_tests::{Cluster, Stored, Tracked};
use serde_json::{Value, json};

use crate::app::{App, Program};

/// Contexts with what is awkward on the way through a comment: quotes, escapes, other alphabets,
/// numbers, nesting.
pub(crate) fn contexts() -> [Value; 3] {
    [
        json!({"user_id": 1, "endpoint": "/todos", "method": "POST"}),
        json!({"user_id": 2, "name": "O'Hara \"the\" \\ cat", "flags": [true, null, 1.5], "deep": {"er": {}}}),
        json!({"user_id": 3, "city": "Zürich", "place": "東京", "mood": "🙂", "tab": "a\tb"}),
    ]
}

/// A database where the application's own migrations ran, and then our setup.
pub(crate) async fn tracked(program: &Program) -> Tracked {
    tracked_on(bemi_tests::shared_cluster(), program).await
}

async fn tracked_on(cluster: &Cluster, program: &Program) -> Tracked {
    let tracked = Tracked::untracked(cluster, "").await;
    program.migrate(&tracked).await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    tracked
}

/// Creates, updates and deletes a task, each in a request with a context of its own.
pub(crate) async fn requests(app: &App, contexts: &[Value; 3]) {
    let created = app.request("POST", "/todos", &contexts[0], &json!({"task": "Sleep"})).await;
    assert_eq!(created["id"], 1);
    app.request("PUT", "/todos/1", &contexts[1], &json!({"task": "Eat"})).await;
    app.request("DELETE", "/todos/1", &contexts[2], &json!({})).await;
}

/// The changes of table `todo`.
pub(crate) async fn stored(tracked: &Tracked) -> Vec<Stored> {
    tracked.store().await;
    let changes = tracked.changes().await;
    changes.into_iter().filter(|change| change.table == "todo").collect()
}

/// The three changes of [`requests`], with a row of psql behind them; their contexts without the
/// statement's text, which some packages add.
pub(crate) async fn require(tracked: &Tracked, contexts: &[Value; 3]) -> Vec<Option<String>> {
    tracked.sql("INSERT INTO todo (id, task) VALUES (100, 'by psql')").await;
    let changes = stored(tracked).await;
    let what: Vec<_> = changes.iter().map(Stored::what).collect();
    assert_eq!(what, [("CREATE", "1"), ("UPDATE", "1"), ("DELETE", "1"), ("CREATE", "100")]);
    let mut statements = Vec::new();
    for (change, context) in changes.iter().zip(contexts) {
        let mut stored = change.context.clone();
        let statement = stored.as_object_mut().unwrap().remove("SQL");
        statements.push(statement.map(|text| text.as_str().unwrap().to_owned()));
        assert_eq!(stored, *context);
    }
    assert_eq!(changes[3].context, json!({}));
    assert_eq!(
        (&changes[1].before["task"], &changes[1].after["task"]),
        (&json!("Sleep"), &json!("Eat"))
    );
    assert_eq!((&changes[2].before["task"], &changes[2].after), (&json!("Eat"), &json!({})));
    statements
}
