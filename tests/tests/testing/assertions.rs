//! What a failed assertion says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bemi_sqlx::with_context;
use bemi_testing::{Expected, Made, created, deleted, updated};

use crate::app::{App, user};

/// What `assertion` panics with.
fn failure(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("it should fail");
    panic.downcast_ref::<String>().expect("a text").clone()
}

async fn made() -> Made {
    let app = App::new().await;
    app.sql("INSERT INTO todo VALUES (1, 'Sleep'), (2, 'Eat')").await;
    let recording = app.record().await;
    let code = async {
        with_context(user(42), app.rename(1, "Work")).await;
        app.sql("DELETE FROM todo WHERE id = 2").await;
    };
    let (_, made) = recording.changes_of(code).await.unwrap();
    recording.finish().await.unwrap();
    made
}

#[tokio::test]
async fn a_failed_assertion_shows_the_changes_field_by_field() {
    let made = made().await;
    made.assert([
        updated("todo").key(1).field("task", "Sleep", "Work").nothing_else().context("user_id", 42),
        deleted("todo").key(2).before("task", "Eat").no_context(),
    ]);

    let wrong = [
        updated("todo").key(1).field("task", "Sleep", "Rest").context("user_id", 7),
        deleted("todo").key(2),
    ];
    assert_eq!(
        failure(|| made.assert(wrong)),
        r#"the changes are not those expected

expected:
  1. UPDATE todo 1
       task: "Sleep" → "Rest"
       context.user_id: 7
  2. DELETE todo 2
made:
  1. UPDATE todo 1
       task: "Sleep" → "Work"
       context: {"user_id":42}
       ✗ task: expected "Sleep" → "Rest", is "Sleep" → "Work"
       ✗ context.user_id: expected 7, is 42
  2. DELETE todo 2
       done: false
       id: 2
       task: "Eat"
       context: {}
"#
    );
    assert_eq!(
        failure(|| made.assert_none()),
        r#"expected no change, made 2

made:
  1. UPDATE todo 1
       task: "Sleep" → "Work"
       context: {"user_id":42}
       ✗ nothing more was expected
  2. DELETE todo 2
       done: false
       id: 2
       task: "Eat"
       context: {}
       ✗ nothing more was expected
"#
    );
    let too_much = [updated("todo"), deleted("todo"), created("todo").after("task", "x")];
    let told = failure(|| made.assert(too_much));
    assert!(told.starts_with("expected 3 changes, made 2\n\nexpected:\n"), "{told}");
    assert!(told.contains("  3. CREATE todo\n       task: \"x\" after\n"), "{told}");
}

#[tokio::test]
async fn each_thing_that_is_expected_can_fail() {
    let made = made().await;
    let misfits = |expected: Expected| {
        let told = failure(|| made.assert_any(expected));
        assert!(told.starts_with("no change is the one expected, of 2 changes\n"), "{told}");
        let (_, first) = told.split_once("  1. UPDATE todo 1\n").unwrap();
        let (first, _) = first.split_once("\n  2. ").unwrap();
        let lines = first.lines().filter_map(|line| line.trim_start().strip_prefix("✗ "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(misfits(created("todo")), ["it is no CREATE"]);
    assert_eq!(misfits(updated("sales.todo")), ["the table is not sales.todo"]);
    assert_eq!(misfits(updated("todo").key(7)), ["the key is not 7"]);
    assert_eq!(
        misfits(updated("todo").before("task", "x").after("id", 2).after("nothing", 1)),
        [
            r#"task: expected "x" before, was "Sleep""#,
            "id: expected 2 after, is 1",
            "nothing: expected 1 after, is not there",
        ]
    );
    assert_eq!(
        misfits(updated("todo").field("task", "Sleep", "x")),
        [r#"task: expected "Sleep" → "x", is "Sleep" → "Work""#]
    );
    assert_eq!(misfits(updated("todo").nothing_else()), ["changed as well: task"]);
    assert_eq!(
        misfits(updated("todo").context("tenant", "a").no_context()),
        [r#"context.tenant: expected "a", and it is not there"#, "context: expected none",]
    );
}
