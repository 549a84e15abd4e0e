//! `history`: what became of one record, or of all of a table.

use crate::shop::{Shop, TODO, what};

#[tokio::test]
async fn the_history_of_a_record_says_what_changed_by_whom_the_last_first() {
    let shop = Shop::new(TODO).await;
    shop.with_context(
        r#"{"user_id": 188, "endpoint": "POST /todos"}"#,
        "INSERT INTO todo VALUES (26, 'Eat')",
    )
    .await;
    shop.sql("INSERT INTO todo VALUES (27, 'Sleep')").await;
    shop.with_context(r#"{"user_id": 7}"#, "UPDATE todo SET status = 'done' WHERE id = 26").await;
    let told = shop.stable(&shop.says(&["history", "todo", "26"]).await);
    assert_eq!(
        told,
        "INSTANT  UPDATE todo 26
  change   ID, transaction N
  context  user_id: 7
  status: \"open\" → \"done\"

INSTANT  CREATE todo 26
  change   ID, transaction N
  context  endpoint: \"POST /todos\", user_id: N
  + id: 26
  + status: \"open\"
  + task: \"Eat\"
"
    );
    assert_eq!(shop.told(&["history", "todo"]).await, ["UPDATE 26", "CREATE 27", "CREATE 26"]);
}

#[tokio::test]
async fn a_key_of_several_columns_is_an_argument_for_each_or_the_array() {
    let schema =
        "CREATE TABLE stock (shop int, day date, item text, n int, PRIMARY KEY (shop, day, item))";
    let shop = Shop::new(schema).await;
    shop.sql(
        "INSERT INTO stock VALUES (-1, '2026-05-05', 'a, \"b\"', 1), (1, '2026-05-06', '', 1)",
    )
    .await;
    let by_arguments = shop.json(&["history", "stock", "-1", "2026-05-05", "a, \"b\""]).await;
    let by_array = shop.json(&["history", "stock", r#"["-1","2026-05-05","a, \"b\""]"#]).await;
    assert_eq!(by_arguments, by_array);
    assert_eq!(what(&by_arguments), [r#"CREATE ["-1","2026-05-05","a, \"b\""]"#]);
}

#[tokio::test]
async fn a_record_is_found_under_each_key_that_it_has_had() {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a'), (3, 'b')").await;
    shop.sql("UPDATE todo SET id = 2 WHERE id = 1").await;
    shop.sql("TRUNCATE todo").await;
    let moved = ["TRUNCATE -", "UPDATE 2"];
    assert_eq!(shop.told(&["history", "todo", "2"]).await, moved);
    assert_eq!(shop.told(&["history", "todo", "1"]).await, [&moved[..], &["CREATE 1"]].concat());
    let told = shop.says(&["history", "todo", "2"]).await;
    assert!(told.contains("UPDATE todo 2, which was 1"), "{told}");
}

#[tokio::test]
async fn any_name_is_a_name_of_a_table() {
    let schema = "CREATE SCHEMA \"My.Schema\";
         CREATE TABLE \"My.Schema\".\"Order \"\"Items\"\"\" (\"ID\" text PRIMARY KEY, \"A: b\" int)";
    let shop = Shop::new(schema).await;
    shop.sql("INSERT INTO \"My.Schema\".\"Order \"\"Items\"\"\" VALUES ('it''s', 1)").await;
    let name = r#""My.Schema"."Order ""Items""""#;
    let told = shop.says(&["history", name, "it's"]).await;
    assert!(told.contains(&format!("CREATE {name} it's\n")), "{told}");
    assert!(told.contains("  + A: b: 1\n"), "{told}");
}

#[tokio::test]
async fn where_the_record_does_not_tell_what_was_there_it_says_so() {
    let shop = Shop::with_keys_alone(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a')").await;
    shop.sql("UPDATE todo SET status = 'done'").await;
    let told = shop.says(&["history", "todo", "1", "--limit", "1"]).await;
    assert!(told.contains("not recorded as a whole"), "{told}");
    assert!(told.contains("  status: ? → \"done\"\n"), "{told}");
}

#[tokio::test]
async fn nothing_found_is_no_failure_and_says_so_beside_the_data() {
    let shop = Shop::new(TODO).await;
    for format in ["table", "json"] {
        let output = shop.run(&["history", "todo", "99", "--format", format]).await.assert_code(0);
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("", "no changes were found\n")
        );
    }
}
