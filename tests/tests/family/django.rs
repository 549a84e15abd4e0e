//! `bemi-django`: a comment behind each statement, its JSON percent-encoded, and row triggers.

use serde_json::{Value, json};

use crate::app::Program;
use crate::{install, todo};

async fn program() -> Program {
    Program {
        interpreter: install::python("django").await,
        script: install::application("django").join("app.py"),
    }
}

pub(crate) async fn contexts_equal_what_the_middleware_was_told() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    let contexts = todo::contexts();
    todo::requests(&app, &contexts).await;
    let statements = todo::require(&tracked, &contexts).await;
    let expected = [
        "INSERT INTO \"todo\" (\"task\") VALUES (%s) RETURNING \"todo\".\"id\"",
        "UPDATE \"todo\" SET \"task\" = %s WHERE \"todo\".\"id\" = %s",
        "DELETE FROM \"todo\" WHERE \"todo\".\"id\" = %s",
    ];
    assert_eq!(statements, expected.map(|statement| Some(statement.to_owned())));
}

pub(crate) async fn percent_encoding_is_decoded_where_it_is_certain() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    // Every character of ASCII that can be printed but `*`, `/` and `-`, which end up beside each
    // other only as below; and texts that look encoded and are not.
    let printable: String = (' '..='~').filter(|c| !"*/-".contains(*c)).collect();
    let contexts = [
        json!({"url": "/todos?page=2&q=a+b#top", "mail": "ann@example.org", "all": printable}),
        json!({"comment": "/* */ ; <b>!</b> $1 `x` a|b ^", "sure": "100%25 sure", "low": "%3f %zz %"}),
        json!({"quote": "%C3%A9 %20 %2F"}),
    ];
    todo::requests(&app, &contexts).await;
    todo::require(&tracked, &contexts).await;

    // Without parameters the driver leaves percent signs doubled: not the encoding that is known.
    let context = json!({"url": "/raw?x"});
    let sql = json!({"sql": "UPDATE todo SET task = 'x' WHERE id = 100"});
    app.request("POST", "/raw", &context, &sql).await;
    // Two hyphens would end the comment for some; the package sets a space between them, for good.
    let hyphens = json!({"rule": "a -- b"});
    app.request("POST", "/todos", &hyphens, &json!({"task": "hyphens"})).await;
    let changes = todo::stored(&tracked).await;
    assert_eq!(changes[4].context["url"], "/raw%%3Fx");
    assert_eq!(changes[5].context["rule"], "a - - b");
}

pub(crate) async fn its_read_helpers_run_unchanged() {
    let program = program().await;
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    todo::requests(&app, &todo::contexts()).await;
    tracked.store().await;
    let query = json!({"user_id": 2, "before": "Sleep", "after": "Eat"});
    let found = app.request("POST", "/todos/1/changes", &json!({"reader": 1}), &query).await;
    let of = |operations: &[&str]| -> Value {
        operations.iter().map(|operation| json!([operation, "1"])).collect()
    };
    assert_eq!(found["record"], of(&["CREATE", "UPDATE", "DELETE"]));
    assert_eq!(found["descending"], of(&["DELETE", "UPDATE", "CREATE"]));
    assert_eq!(found["created"], of(&["CREATE"]));
    assert_eq!(found["deleted"], of(&["DELETE"]));
    for helper in ["field", "before", "after", "context", "chained"] {
        assert_eq!(found[helper], of(&["UPDATE"]), "{helper}");
    }
    assert_eq!(found["context_not"], of(&["CREATE", "DELETE"]));
    for helper in ["before_not", "after_not"] {
        assert_eq!(found[helper], of(&[]), "{helper}");
    }
    assert_eq!(found["diff"], json!({"task": ["Sleep", "Eat"]}));
    assert!(found["at"].as_str().unwrap().ends_with("+00:00"), "{}", found["at"]);
}
