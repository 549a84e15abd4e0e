//! How a command ends: its exit code, and what it says to do.

use bemi_tests::{Tracked, shared_cluster};

use crate::shop::{Shop, TODO};

#[tokio::test]
async fn what_cannot_be_asked_is_a_mistake_in_usage() {
    let shop = Shop::new(TODO).await;
    for (arguments, says) in [
        (&["history"][..], "<TABLE>"),
        (&["history", "a.b.c"], "is not the name of a table"),
        (&["changes", "--key", "1"], "--table"),
        (&["changes", "--table", "a", "--table", "b", "--key", "1"], "only one"),
        (&["changes", "--operation", "upsert"], "--operation: 'UPSERT' is not an operation"),
        (&["changes", "--where", "user"], "--where: 'user' is not a key and a value"),
        (&["changes", "--after-contains", "{"], "--after-contains: this is not JSON"),
        (&["changes", "--since", "yesterday"], "is not a point in time"),
        (&["changes", "--after", "x"], "is not a place in the record"),
        (&["changes", "--limit", "0"], "--limit"),
        (&["changes", "--wait", "soon"], "one looks like 10s"),
        (&["show", "26"], "<ID>"),
        (&["tail", "--ndjson", "--format", "csv"], "--ndjson"),
    ] {
        shop.refuses(arguments, 2, says).await;
    }
}

#[tokio::test]
async fn what_the_record_does_not_have_is_unknown() {
    let shop = Shop::new(TODO).await;
    shop.refuses(&["show", "018bcfe5-6800-8a40-9b52-e72401e8144d"], 4, "is not in the record")
        .await;
    shop.refuses(&["changes", "--since", "@tx:1"], 4, "transaction 1 is not in the record").await;
    shop.refuses(
        &["changes", "--since", "@lsn:FFFF/0", "--wait", "100ms"],
        4,
        "stored everything up to",
    )
    .await;
}

#[tokio::test]
async fn without_a_set_up_there_is_no_record_and_it_says_what_to_do() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    for arguments in [&["changes"][..], &["history", "todo"], &["tail"], &["requests"]] {
        let output = tracked.worker(arguments).run_to_end().await.assert_code(3);
        assert!(output.stderr.contains("run `bemi-worker setup`"), "{output}");
    }
    let shop = Shop::new(TODO).await;
    shop.refuses(&["changes", "--changes-schema", "elsewhere"], 3, "name the schema of changes")
        .await;
}

#[tokio::test]
async fn who_cannot_connect_or_may_not_read_is_told() {
    let shop = Shop::new(TODO).await;
    let unreachable = "postgres://postgres@127.0.0.1:1/nowhere";
    let output = shop
        .tracked
        .worker(&["changes"])
        .env("DATABASE_URL", unreachable)
        .run_to_end()
        .await
        .assert_code(6);
    assert!(output.stderr.contains("DATABASE_URL"), "{output}");
    let role = shop.tracked.database.unique_name("reader");
    shop.sql(&format!("CREATE ROLE {role} LOGIN")).await;
    let url = shop.tracked.database.url().replacen("//postgres", &format!("//{role}"), 1);
    let output = shop
        .tracked
        .worker(&["changes"])
        .env("DATABASE_URL", url)
        .run_to_end()
        .await
        .assert_code(6);
    assert!(output.stderr.contains("permission denied"), "{output}");
    shop.sql(&format!("DROP ROLE {role}")).await;
}
