//! `as-of`, `diff` and `coverage`: what was there, what differs, and how far back it is known.

use serde_json::{Value, json};

use crate::shop::{Shop, TODO, lines};

/// A point just behind everything that was committed.
async fn here(shop: &Shop) -> String {
    let lsn: String = shop.tracked.value("SELECT pg_current_wal_insert_lsn()::text").await;
    format!("@lsn:{lsn}")
}

/// A table that was made while tracked, so that all of its rows are known.
async fn born() -> (Shop, String) {
    let shop = Shop::new("SELECT").await;
    shop.sql(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let then = here(&shop).await;
    shop.sql("UPDATE todo SET status = 'done' WHERE id = 1").await;
    shop.sql("DELETE FROM todo WHERE id = 2; INSERT INTO todo VALUES (3, 'c')").await;
    (shop, then)
}

#[tokio::test]
async fn a_row_was_there_or_was_not_or_is_unknown() {
    let shop = Shop::new(&format!("{TODO}; INSERT INTO todo VALUES (1, 'old')")).await;
    shop.sql("INSERT INTO todo VALUES (2, 'b')").await;
    let then = here(&shop).await;
    shop.sql("DELETE FROM todo WHERE id = 2").await;
    let told = shop.stable(&shop.says(&["as-of", &then, "todo", "2"]).await);
    assert_eq!(told, "todo 2  as of LSN\n  id: 2\n  status: \"open\"\n  task: \"b\"\n");
    let told = shop.says(&["as-of", "now", "todo", "2"]).await;
    assert_eq!(told, "todo 2  was not there\n");
    let output = shop.run(&["as-of", &then, "todo", "1"]).await.assert_code(4);
    assert!(output.stdout.starts_with("todo 1  is unknown: "), "{output}");
    // The row that is there now has not changed since.
    let told = shop.says(&["as-of", &then, "todo", "1", "--live"]).await;
    assert!(told.contains("  task: \"old\"\n"), "{told}");
}

#[tokio::test]
async fn a_whole_table_is_shown_in_columns() {
    let (shop, then) = born().await;
    let output = shop.run(&["as-of", &then, "todo"]).await.assert_code(0);
    assert_eq!(output.stdout, "id  status  task\n1   open    a\n2   open    b\n");
    assert_eq!(output.stderr, "");
    let output = shop.run(&["as-of", "now", "todo"]).await.assert_code(0);
    assert_eq!(output.stdout, "id  status  task\n1   done    a\n3   open    c\n");
    shop.sql("DELETE FROM todo").await;
    let output = shop.run(&["as-of", "now", "todo"]).await.assert_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "the table was empty\n"));
}

#[tokio::test]
async fn a_table_of_many_pages_is_whole() {
    let shop = Shop::new("SELECT").await;
    shop.sql("CREATE TABLE n (id int PRIMARY KEY); INSERT INTO n SELECT generate_series(1, 2500)")
        .await;
    let told = shop.json(&["as-of", "now", "n"]).await;
    let mut ids: Vec<i64> = told.iter().map(|row| row["row"]["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=2500).collect::<Vec<i64>>());
}

#[tokio::test]
async fn where_not_all_rows_are_known_it_says_so() {
    let shop = Shop::new(&format!("{TODO}; INSERT INTO todo VALUES (1, 'old')")).await;
    shop.sql("INSERT INTO todo VALUES (2, 'b')").await;
    let output = shop.run(&["as-of", "now", "todo", "--format", "json"]).await.assert_code(4);
    assert_eq!(lines(&output.stdout)[0]["primary_key"], "2");
    assert!(output.stderr.contains("not all rows are known"), "{output}");
}

#[tokio::test]
async fn rows_of_the_past_have_these_fields() {
    let shop = Shop::new(&format!("{TODO}; INSERT INTO todo VALUES (1, 'old')")).await;
    shop.sql("INSERT INTO todo VALUES (2, 'b, \"c\"')").await;
    let then = here(&shop).await;
    let all: [(&str, i32, &str, Value, Value); 3] = [
        ("2", 0, "present", json!({"id": 2, "task": "b, \"c\"", "status": "open"}), Value::Null),
        ("3", 4, "unknown", Value::Null, json!({"reason": "before_record"})),
        ("1", 4, "unknown", Value::Null, json!({"reason": "before_record"})),
    ];
    for (key, code, state, row, unknown) in all {
        let ask = async |format| shop.run(&["as-of", &then, "todo", key, "--format", format]).await;
        let told = lines(&ask("json").await.assert_code(code).stdout).remove(0);
        let position = told["commit_position"].clone();
        let expected = json!({"commit_position": position, "schema": "public", "table": "todo",
            "primary_key": key, "state": state, "row": row, "unknown": unknown});
        assert_eq!(told, expected);
        let csv = shop.stable(&ask("csv").await.assert_code(code).stdout);
        assert!(
            csv.starts_with(
                "commit_position,schema,table,primary_key,state,row,unknown\nN,public,todo,"
            ),
            "{csv}"
        );
    }
    let csv = shop.says(&["as-of", &then, "todo", "2", "--format", "csv"]).await;
    let row = r#""{""id"":2,""status"":""open"",""task"":""b, \""c\""""}""#;
    assert!(csv.ends_with(&format!(",public,todo,2,present,{row},\n")), "{csv}");
}

#[tokio::test]
async fn a_difference_is_the_net_of_what_happened() {
    let (shop, then) = born().await;
    shop.sql("UPDATE todo SET task = 'x' WHERE id = 3; UPDATE todo SET task = 'c' WHERE id = 3")
        .await;
    let told = shop.says(&["diff", &then, "now"]).await;
    assert_eq!(
        told,
        "~ todo 1
  status: \"open\" → \"done\"
- todo 2
  - id: 2
  - status: \"open\"
  - task: \"b\"
+ todo 3
  + id: 3
  + status: \"open\"
  + task: \"c\"
"
    );
    let json = shop.json(&["diff", &then, "now", "todo"]).await;
    let absent = json!({"state": "absent", "row": null, "unknown": null});
    assert_eq!(json[2]["before"], absent);
    assert_eq!(json[2]["after"]["row"], json!({"id": 3, "status": "open", "task": "c"}));
    let csv = shop.says(&["diff", &then, "now", "todo", "--format", "csv"]).await;
    let heading = "schema,table,primary_key,before_state,before_row,before_unknown,after_state,after_row,after_unknown";
    assert_eq!(csv.lines().next(), Some(heading));
    assert_eq!(csv.lines().count(), 4);
    let output = shop.run(&["diff", &then, &then]).await.assert_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "no rows differ\n"));
}

#[tokio::test]
async fn what_is_covered_is_told_of_each_table() {
    let shop = Shop::new(TODO).await;
    shop.sql("CREATE TABLE \"Later\" (id int PRIMARY KEY)").await;
    shop.says(&["as-of", "now", "\"Later\""]).await;
    let told = shop.stable(&shop.says(&["coverage"]).await);
    let squeezed: Vec<String> =
        told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        squeezed,
        [
            "TABLE CHANGES SINCE ALL ROWS SINCE OLD ROWS",
            "\"Later\" INSTANT INSTANT whole",
            "todo INSTANT not yet: see backfill whole",
        ]
    );
    let json = shop.json(&["coverage", "todo"]).await;
    assert_eq!(json[0]["complete_since"], Value::Null);
    assert_eq!(json[0]["identity"], "full");
    assert_eq!(json[0]["holes"], json!([]));
    assert!(
        json[0]["since"]["at"].is_string() && json[0]["since"]["position"].is_number(),
        "{json:?}"
    );
    let csv = shop.stable(&shop.says(&["coverage", "--format", "csv"]).await);
    assert_eq!(
        csv,
        "schema,table,since_position,since,complete_since_position,complete_since,identity,holes\n\
         public,Later,N,INSTANT,N,INSTANT,full,[]\npublic,todo,N,INSTANT,,,full,[]\n"
    );
}

#[tokio::test]
async fn a_point_that_is_not_there_or_not_stored_yet_is_unknown() {
    let shop = Shop::new(TODO).await;
    shop.refuses(&["as-of", "@tx:1", "todo"], 4, "transaction 1 is not in the record").await;
    shop.refuses(
        &["as-of", "@lsn:FFFF/0", "todo", "--wait", "100ms"],
        4,
        "stored everything up to",
    )
    .await;
    shop.refuses(&["as-of", "2999-01-01T00:00:00Z", "todo", "--wait", "100ms"], 4, "2999-01-01")
        .await;
    let Shop { tracked, worker } = shop;
    worker.stop().await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let output = tracked
        .worker(&["as-of", "now", "todo", "--wait", "100ms"])
        .run_to_end()
        .await
        .assert_code(4);
    assert!(output.stderr.contains("is it running?"), "{output}");
}
