//! `changes`: which ones a filter finds, in which order, page by page.

use crate::shop::{Shop, TODO, what};

/// A few changes that filters tell apart.
async fn busy() -> Shop {
    let shop =
        Shop::new(&format!("{TODO}; CREATE TABLE note (id int PRIMARY KEY, body jsonb)")).await;
    shop.with_context(r#"{"user_id": 188, "user": {"id": 5}}"#, "INSERT INTO todo VALUES (1, 'a')")
        .await;
    shop.with_context(r#"{"user_id": 7, "trace_id": "t-1"}"#, "UPDATE todo SET status = 'done'")
        .await;
    shop.sql("UPDATE todo SET task = 'b'").await;
    shop.sql("INSERT INTO note VALUES (1, '{\"a\": [1, 2]}'), (2, '{}')").await;
    shop.sql("DELETE FROM todo").await;
    shop
}

#[tokio::test]
async fn every_filter_finds_what_it_says() {
    let shop = busy().await;
    let all = ["DELETE 1", "CREATE 2", "CREATE 1", "UPDATE 1", "UPDATE 1", "CREATE 1"];
    let cases: [(&[&str], &[&str]); 17] = [
        (&[], &all),
        (&["--table", "note"], &all[1..3]),
        (&["--table", "note", "--table", "todo"], &all),
        (&["--table", "note", "--key", "2"], &all[1..2]),
        (&["--operation", "delete"], &all[..1]),
        (&["--operation", "delete,CREATE"], &["DELETE 1", "CREATE 2", "CREATE 1", "CREATE 1"]),
        (&["--field", "status"], &["UPDATE 1"]),
        (&["--field", "status", "--field", "task"], &[]),
        (&["--where", "user_id=188"], &["CREATE 1"]),
        (&["--where", "user.id=5"], &["CREATE 1"]),
        (&["--where", "user_id=188", "--where", "trace_id=t-1"], &[]),
        (&["--no-context"], &["DELETE 1", "CREATE 2", "CREATE 1", "UPDATE 1"]),
        (&["--trace", "t-1"], &["UPDATE 1"]),
        (&["--before-contains", r#"{"task": "b"}"#], &["DELETE 1"]),
        (&["--after-contains", r#"{"body": {"a": [2]}}"#], &["CREATE 1"]),
        (&["--context-contains", r#"{"user": {}}"#], &["CREATE 1"]),
        (&["--database", "elsewhere"], &[]),
    ];
    for (filter, expected) in cases {
        let told = shop.told(&[&["changes"], filter].concat()).await;
        assert_eq!(told, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_stretch_is_between_instants_or_places() {
    let shop = busy().await;
    let all = shop.json(&["changes", "--order", "oldest"]).await;
    let transaction = all[1]["transaction_id"].to_string();
    let (at, before) = (format!("@tx:{transaction}"), format!("@before:tx:{transaction}"));
    let instant = all[1]["committed_at"].as_str().unwrap();
    let lsn = bemi_core::Lsn::from_bigint(all[1]["commit_position"].as_i64().unwrap()).to_string();
    let cases: [(&[&str], &[usize]); 8] = [
        (&["--since", &before, "--until", &at], &[1]),
        (&["--transaction", &transaction], &[1]),
        (&["--commit", &lsn], &[1]),
        (&["--since", &at], &[2, 3, 4, 5]),
        (&["--until", instant], &[0]),
        (&["--since", instant, "--until", &at], &[1]),
        (&["--since", "-1h"], &[0, 1, 2, 3, 4, 5]),
        (&["--until", "-1h"], &[]),
    ];
    for (span, expected) in cases {
        let told = shop.json(&[&["changes", "--order", "oldest"], span].concat()).await;
        let expected: Vec<_> = expected.iter().map(|at| all[*at].clone()).collect();
        assert_eq!(told, expected, "{span:?}");
    }
}

#[tokio::test]
async fn an_answer_that_was_limited_says_how_to_go_on() {
    let shop = busy().await;
    for order in ["newest", "oldest"] {
        let all = shop.json(&["changes", "--order", order]).await;
        let mut pages = Vec::new();
        let mut after: Vec<String> = Vec::new();
        loop {
            let mut arguments =
                vec!["changes", "--order", order, "--limit", "2", "--format", "json"];
            arguments.extend(after.iter().map(String::as_str));
            let output = shop.run(&arguments).await.assert_code(0);
            let page = crate::shop::lines(&output.stdout);
            assert!(page.len() <= 2);
            pages.extend(page);
            let Some((_, place)) = output.stderr.split_once("there are more: --after ") else {
                break;
            };
            after = vec!["--after".to_owned(), place.trim().to_owned()];
        }
        assert_eq!(pages, all);
    }
}

#[tokio::test]
async fn all_of_a_long_answer_comes_without_a_limit() {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo SELECT n FROM generate_series(1, 2500) AS n").await;
    let told = shop.json(&["changes", "--order", "oldest"]).await;
    let expected: Vec<_> = (1..=2500).map(|n| format!("CREATE {n}")).collect();
    assert_eq!(what(&told), expected);
}

#[tokio::test]
async fn what_was_committed_just_now_is_in_the_answer() {
    let shop = Shop::new(TODO).await;
    for n in 1..20 {
        shop.sql(&format!("INSERT INTO todo VALUES ({n}, 'x')")).await;
        assert_eq!(shop.told(&["changes", "--limit", "1"]).await, [format!("CREATE {n}")]);
    }
}

#[tokio::test]
async fn where_no_worker_runs_the_answer_says_that_it_is_old() {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a')").await;
    assert_eq!(shop.told(&["changes"]).await, ["CREATE 1"]);
    let Shop { tracked, worker } = shop;
    worker.stop().await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    let ask = async |wait| {
        tracked.worker(&["changes", "--format", "json", "--wait", wait]).run_to_end().await
    };
    let output = ask("100ms").await.assert_code(0);
    assert_eq!(what(&crate::shop::lines(&output.stdout)), ["CREATE 1"]);
    assert!(output.stderr.contains("this is not all"), "{output}");
    assert_eq!(ask("0s").await.assert_code(0).stderr, "");
}
