//! `requests`: what was done, grouped by what it belongs to; one trace over several services.

use serde_json::json;

use crate::shop::{Shop, TODO};

#[tokio::test]
async fn what_a_request_did_is_one_line() {
    let shop = Shop::new(TODO).await;
    let first = r#"{"request_id": "r-a", "user_id": 7, "endpoint": "POST /todos"}"#;
    shop.with_context(
        first,
        "INSERT INTO todo VALUES (1, 'a'), (2, 'b'); UPDATE todo SET task = 'c'",
    )
    .await;
    shop.sql("INSERT INTO todo VALUES (3, 'c')").await;
    shop.with_context(r#"{"request_id": "r-b"}"#, "DELETE FROM todo WHERE id = 3").await;
    let told = shop.stable(&shop.says(&["requests"]).await).replace("INSTANT", &"T".repeat(27));
    let expected = "\
LAST                         REQUEST_ID  WHO  CHANGES  WHAT                                ENDPOINT
TTTTTTTTTTTTTTTTTTTTTTTTTTT  r-b              1        1 deleted from todo
TTTTTTTTTTTTTTTTTTTTTTTTTTT  r-a         7    4        2 created in todo, 2 updated in todo  POST /todos
";
    let squeezed = |text: &str| {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(squeezed(&told), squeezed(expected));
}

#[tokio::test]
async fn changes_are_grouped_by_any_key_by_transaction_or_by_trace() {
    let shop = Shop::new(TODO).await;
    shop.with_context(
        r#"{"job": "import", "trace_id": "t-1"}"#,
        "INSERT INTO todo VALUES (1, 'a')",
    )
    .await;
    shop.with_context(r#"{"job": "import"}"#, "INSERT INTO todo VALUES (2, 'a')").await;
    let ids = async |arguments: &[&str]| {
        let groups = shop.json(&[&["requests"], arguments].concat()).await;
        groups
            .iter()
            .map(|group| (group["id"].clone(), group["changes"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--by", "job"]).await, [(json!("import"), json!(2))]);
    assert_eq!(ids(&["--by", "trace"]).await, [(json!("t-1"), json!(1))]);
    assert_eq!(ids(&["--by", "transaction"]).await.len(), 2);
    assert_eq!(ids(&["--trace", "t-1"]).await.len(), 1);
    assert_eq!(ids(&[]).await, []);
    // What a line is about is found by its id.
    let transactions = ids(&["--by", "transaction"]).await;
    let commit = transactions[1].0.as_str().unwrap();
    assert_eq!(shop.told(&["changes", "--commit", commit]).await, ["CREATE 1"]);
}

#[tokio::test]
async fn a_group_as_json_and_as_csv_has_these_fields() {
    let shop = Shop::new(TODO).await;
    let context = r#"{"request_id": "r-a", "user_id": 7, "endpoint": "POST /todos"}"#;
    shop.with_context(context, "INSERT INTO todo VALUES (1, 'a')").await;
    let json = shop.stable(&shop.says(&["requests", "--format", "json"]).await);
    assert_eq!(
        json,
        concat!(
            r#"{"id":"r-a","first_at":"INSTANT","last_at":"INSTANT","first":"CURSOR","last":"CURSOR","changes":1,"#,
            r#""touched":[{"schema":"public","table":"todo","operation":"CREATE","changes":1}],"#,
            r#""who":["7"],"endpoints":["POST /todos"],"databases":["DATABASE"]}"#,
            "\n"
        )
    );
    let csv = shop.stable(&shop.says(&["requests", "--format", "csv"]).await);
    let touched =
        r#""[{""schema"":""public"",""table"":""todo"",""operation"":""CREATE"",""changes"":1}]""#;
    assert_eq!(
        csv,
        format!(
            "id,first_at,last_at,first,last,changes,touched,who,endpoints,databases\n\
             r-a,INSTANT,INSTANT,CURSOR,CURSOR,1,{touched},\"[\"\"7\"\"]\",\"[\"\"POST /todos\"\"]\",\"[\"\"DATABASE\"\"]\"\n"
        )
    );
}

#[tokio::test]
async fn groups_come_page_by_page() {
    let shop = Shop::new(TODO).await;
    for n in 1..=5 {
        let context = format!(r#"{{"request_id": "r-{n}"}}"#);
        shop.with_context(&context, &format!("INSERT INTO todo VALUES ({n}, 'a')")).await;
    }
    let output = shop.run(&["requests", "--limit", "3", "--format", "json"]).await.assert_code(0);
    assert_eq!(output.stdout.lines().count(), 3);
    let (_, place) = output.stderr.split_once("there are more: --after ").unwrap();
    let rest = shop.json(&["requests", "--after", place.trim()]).await;
    let ids: Vec<_> = rest.iter().map(|group| group["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["r-2", "r-1"]);
}
