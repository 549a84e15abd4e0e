//! `revert`: what is shown is what is done, and what stands in the way is told before.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use bemi_tests::Output;
use nix::pty::openpty;
use serde_json::{Value, json};

use crate::shop::{Shop, TODO, lines};

/// A request that has done harm.
async fn harmed() -> Shop {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let harm = "UPDATE todo SET status = 'gone' WHERE id = 1; DELETE FROM todo WHERE id = 2; INSERT INTO todo VALUES (3, 'c')";
    shop.with_context(r#"{"request_id": "r-1", "user_id": 66}"#, harm).await;
    shop
}

async fn rows(shop: &Shop) -> Value {
    shop.tracked
        .value("SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY id), '[]') FROM todo AS t")
        .await
}

fn before() -> Value {
    json!([{"id": 1, "task": "a", "status": "open"}, {"id": 2, "task": "b", "status": "open"}])
}

const REQUEST: [&str; 3] = ["revert", "where", "request_id=r-1"];

async fn revert(shop: &Shop, more: &[&str]) -> Output {
    shop.run(&[&REQUEST, more].concat()).await
}

#[tokio::test]
async fn a_plan_is_shown_and_nothing_is_written() {
    let shop = harmed().await;
    let harmed = rows(&shop).await;
    let output = revert(&shop, &["--dry-run"]).await.assert_code(0);
    assert!(output.stdout.contains("UPDATE todo 1\n  status: \"gone\" → \"open\"\n"), "{output}");
    assert!(output.stdout.contains("INSERT todo 2\n  + id: 2\n"), "{output}");
    assert!(output.stdout.contains("DELETE todo 3\n  - id: 3\n"), "{output}");
    assert!(output.stderr.contains("takes back 3 changes: "), "{output}");
    assert_eq!(rows(&shop).await, harmed);
}

#[tokio::test]
async fn what_was_shown_is_done_and_says_who_did_it_why_and_how_to_take_it_back() {
    let shop = harmed().await;
    let shown = revert(&shop, &["--dry-run"]).await.assert_code(0).stdout;
    let how = ["--yes", "--reason", "ticket 1", "--user", "ana"];
    let output = revert(&shop, &how).await.assert_code(0);
    assert_eq!(output.stdout, shown);
    assert_eq!(rows(&shop).await, before());
    let context = &shop.json(&["changes", "--limit", "1"]).await[0]["context"];
    assert_eq!((&context["reason"], &context["user"]), (&json!("ticket 1"), &json!("ana")));
    assert!(context["revert_of"].is_object(), "{context}");
    // As it says.
    let (_, command) = output.stderr.split_once("`bemi-worker ").unwrap();
    let (command, _) = command.split_once('`').unwrap();
    let again: Vec<&str> = command.split(' ').chain(["--yes"]).collect();
    shop.says(&again).await;
    assert_eq!(
        rows(&shop).await,
        json!([{"id": 1, "task": "a", "status": "gone"}, {"id": 3, "task": "c", "status": "open"}])
    );
}

#[tokio::test]
async fn everything_that_can_be_selected_can_be_taken_back() {
    let shop = harmed().await;
    let changes = shop.json(&["changes", "--where", "request_id=r-1", "--order", "oldest"]).await;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let (id, transaction) = (text(&changes[0]["id"]), text(&changes[0]["transaction_id"]));
    let position = changes[0]["commit_position"].as_i64().unwrap();
    let (commit, since) =
        (bemi_core::Lsn::from_bigint(position).to_string(), format!("@before:tx:{transaction}"));
    let cases: [(&[&str], usize); 7] = [
        (&["change", &id], 1),
        (&["tx", &transaction], 3),
        (&["tx", &commit], 3),
        (&["record", "todo", "2", "--since", &since], 1),
        (&["where", "user_id=66", "--operation", "delete"], 1),
        (&["where", "--since", &since], 3),
        (&["where", "--table", "todo", "--field", "status"], 1),
    ];
    for (what, statements) in cases {
        let told = shop.json(&[&["revert"], what, &["--dry-run"]].concat()).await;
        let found = told.iter().filter(|line| line["kind"] == "statement").count();
        assert_eq!(found, statements, "{what:?} {told:?}");
    }
}

#[tokio::test]
async fn a_plan_as_json_has_these_lines() {
    let shop = harmed().await;
    shop.sql("UPDATE todo SET status = 'other' WHERE id = 1").await;
    let ask = async |operation, how, code| {
        let which = ["--operation", operation, how, "--format", "json"];
        lines(&revert(&shop, &which).await.assert_code(code).stdout)
    };
    let table = json!({"schema": "public", "table": "todo"});
    let summary = |conflicts, updated, inserted| {
        json!({"kind": "summary", "changes": 1, "conflicts": conflicts, "blocking": conflicts,
            "tables": [{"table": table, "deleted": 0, "updated": updated, "inserted": inserted}]})
    };
    let told = ask("update", "--dry-run", 5).await;
    let find = ["changes", "--operation", "update", "--where", "request_id=r-1"];
    let id = shop.json(&find).await[0]["id"].clone();
    assert_eq!(
        told,
        [
            json!({"kind": "statement", "action": "UPDATE", "schema": "public", "table": "todo", "primary_key": "1",
                "columns": [{"column": "status", "from": "other", "to": "open"}]}),
            json!({"kind": "conflict", "conflict": "row_changed", "handling": "blocks", "schema": "public",
                "table": "todo", "primary_key": "1", "change": id, "columns": ["status"],
                "detail": told[1]["detail"]}),
            summary(1, 1, 0),
        ]
    );
    let told = ask("delete", "--yes", 0).await;
    assert_eq!(
        told,
        [
            json!({"kind": "statement", "action": "INSERT", "schema": "public", "table": "todo", "primary_key": "2",
                "columns": [{"column": "id", "from": null, "to": 2}, {"column": "status", "from": null, "to": "open"},
                    {"column": "task", "from": null, "to": "b"}]}),
            summary(0, 0, 1),
            json!({"kind": "applied", "transaction_id": told[2]["transaction_id"], "rows": 1}),
        ]
    );
}

#[tokio::test]
async fn conflicts_are_told_in_full_and_nothing_is_written() {
    let shop = harmed().await;
    shop.sql("UPDATE todo SET status = 'mine' WHERE id = 1; INSERT INTO todo VALUES (2, 'other')")
        .await;
    let now = rows(&shop).await;
    for how in ["--yes", "--dry-run", "--sql"] {
        let output = revert(&shop, &[how]).await.assert_code(5);
        assert!(output.stdout.contains("row changed since: todo 1 (status)"), "{output}");
        assert!(output.stdout.contains("key taken: todo 2"), "{output}");
        assert!(output.stderr.contains("nothing was written"), "{output}");
        assert_eq!(rows(&shop).await, now);
    }
    let output = revert(&shop, &["--yes", "--on-conflict", "skip"]).await.assert_code(0);
    assert!(output.stdout.contains("skipped  row changed since: todo 1"), "{output}");
    assert_eq!(
        rows(&shop).await,
        json!([{"id": 1, "task": "a", "status": "mine"}, {"id": 2, "task": "other", "status": "open"}])
    );
}

#[tokio::test]
async fn the_script_does_the_same() {
    let shop = harmed().await;
    let script = revert(&shop, &["--sql"]).await.assert_code(0).stdout;
    // What is for psql alone.
    let sql: String = script
        .lines()
        .filter(|line| !line.starts_with('\\'))
        .map(|line| format!("{line}\n"))
        .collect();
    shop.sql(&sql).await;
    assert_eq!(rows(&shop).await, before());
}

#[tokio::test]
async fn without_a_terminal_nobody_is_asked_and_nothing_is_done() {
    let shop = harmed().await;
    let output = revert(&shop, &[]).await.assert_code(2);
    assert!(output.stderr.contains("add --yes"), "{output}");
    shop.refuses(&["revert", "where", "--yes"], 2, "say which").await;
    shop.refuses(&["revert", "tx", "x"], 2, "look like 740").await;
    shop.refuses(&["revert", "tx", "1", "--yes"], 4, "transaction 1 is not in the record").await;
    shop.refuses(&["revert", "where", "request_id=r-2", "--yes"], 0, "no changes were found").await;
}

/// Runs it on a terminal where somebody gives that answer.
fn answered(shop: &Shop, answer: &str) -> (Option<i32>, String) {
    let terminal = openpty(None, None).unwrap();
    let mut command =
        std::process::Command::new(std::env::var_os("CARGO_BIN_EXE_worker-under-test").unwrap());
    command
        .args(REQUEST)
        .env("DATABASE_URL", shop.tracked.database.url())
        .env("BEMI_SLOT", shop.tracked.database.slot_name())
        .stdin(terminal.slave)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut asked = child.stderr.take().unwrap();
    let mut told = String::new();
    let mut byte = [0];
    while !told.ends_with("[y/N] ") {
        assert_eq!(asked.read(&mut byte).unwrap(), 1, "{told}");
        told.push(char::from(byte[0]));
    }
    let mut keyboard = File::from(terminal.master);
    keyboard.write_all(answer.as_bytes()).unwrap();
    asked.read_to_string(&mut told).unwrap();
    (child.wait().unwrap().code(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_asks() {
    let shop = harmed().await;
    let harmed = rows(&shop).await;
    let (code, _) = answered(&shop, "\n");
    assert_eq!((code, rows(&shop).await), (Some(0), harmed));
    let (code, told) = answered(&shop, "y\n");
    assert_eq!((code, rows(&shop).await), (Some(0), before()), "{told}");
}
