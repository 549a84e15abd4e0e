//! What the guide says is done here as it says.

use std::sync::mpsc;

use serde_json::Value;

use super::http;
use super::live::{Live, RECORDS_TOKEN, TOKEN};

const GUIDE: &str = include_str!("../../../docs/guide/live.md");
const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean)";

/// A database, and a worker with the configuration of the guide.
async fn live() -> Live {
    let (_, toml) = GUIDE.split_once("```toml\n").unwrap();
    let (toml, _) = toml.split_once("```").unwrap();
    // The tokens come from the environment here, and any port will do.
    let toml: String =
        toml.lines().filter(|line| !line.contains("token")).collect::<Vec<_>>().join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    Live::with_file(TODO, file.path()).await
}

#[tokio::test]
async fn each_request_of_the_guide_is_answered() {
    let live = live().await;
    let requests: Vec<&str> = GUIDE.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(requests.len(), 5);
    for request in requests {
        let (_, target) = request.split_once("http://127.0.0.1:8080").unwrap();
        let token =
            if request.contains("$BEMI_HTTP_RECORDS_TOKEN") { RECORDS_TOKEN } else { TOKEN };
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        let target = target.trim_end_matches('"');
        let answer = http::ask(&live.address, "HEAD", target, &headers).await;
        assert_eq!(answer.status, 200, "{request}");
    }
}

#[tokio::test]
async fn each_filter_of_the_guide_is_one() {
    let live = live().await;
    let (_, filters) = GUIDE.split_once("### Filters").unwrap();
    let (filters, _) = filters.split_once("\n### ").unwrap();
    let rows = filters.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    for name in rows.flat_map(|(names, _)| names.split("`, `")) {
        let value = match name {
            "key" => "1&table=todo",
            "operation" => "ddl",
            "where" => "user_id%3D188",
            "no-context" => "true",
            "before" | "after" | "context" => "%7B%22a%22%3A1%7D",
            "since" | "until" => "-2h",
            "table" | "changed" | "trace" => "todo",
            _ => panic!("{name} is not tried here"),
        };
        let answer = live.head(&format!("/changes/stream?{name}={value}")).await;
        assert_eq!(answer.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_record_looks_as_the_guide_shows_it() {
    let live = live().await;
    live.tracked
        .sql(
            "INSERT INTO todo VALUES (26, 'Sleep', false); \
              BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"user_id\": 188}'); \
              UPDATE todo SET task = 'Eat'; COMMIT",
        )
        .await;
    live.tracked.wait_for_count(2).await;
    let mut answered = live.get("/records/todo/26?limit=1").await.json();
    let (_, shown) = GUIDE.split_once("```json\n").unwrap();
    let mut shown: Value = serde_json::from_str(shown.split_once("```").unwrap().0).unwrap();
    assert!(answered["next"].is_string());
    for page in [&mut answered, &mut shown] {
        for of_the_moment in ["cursor", "committed_at"] {
            assert!(page["changes"][0][of_the_moment].take().is_string());
        }
        page["next"].take();
    }
    assert_eq!(answered, shown);
}

#[tokio::test]
async fn the_consumer_of_the_guide_goes_on_where_it_was() {
    let (_, consumer) = include_str!("consumer.rs").split_once("\n\n").unwrap();
    assert!(GUIDE.contains(consumer), "the guide has another consumer");
    let mut live = Live::new(TODO).await;
    let (seen, reacted) = mpsc::channel();
    let consume = |address: String, mut last_id: String| {
        let seen = seen.clone();
        tokio::task::spawn_blocking(move || {
            let react = |change: Value| seen.send(change["primary_key"].clone()).unwrap();
            super::consumer::follow(&address, TOKEN, &mut last_id, react).unwrap();
            last_id
        })
    };
    // Sees where it begins, and is told to go.
    let begun = live.events("").await.last_id;
    let consumer = consume(live.address.clone(), begun);
    live.tracked
        .sql("INSERT INTO todo VALUES (1), (2); CREATE TABLE other (id int PRIMARY KEY)")
        .await;
    live.tracked.wait_for_count(2).await;
    bemi_tests::eventually(http::ANSWERED_WITHIN, "two reactions", async || {
        reacted.try_iter().last().filter(|key| key == "2")
    })
    .await;
    live.restart(async |worker| {
        worker.terminate();
        worker.wait(http::ANSWERED_WITHIN).await.assert_code(0);
    })
    .await;
    let last_id = consumer.await.unwrap();
    live.tracked.sql("INSERT INTO todo VALUES (3)").await;
    let consumer = consume(live.address.clone(), last_id);
    let first = bemi_tests::eventually(http::ANSWERED_WITHIN, "a reaction", async || {
        reacted.try_recv().ok()
    });
    assert_eq!(first.await, "3");
    let (address, mut nowhere) = (live.address.clone(), String::new());
    let wrong = tokio::task::spawn_blocking(move || {
        super::consumer::follow(&address, "wrong", &mut nowhere, |_| {})
    });
    assert!(wrong.await.unwrap().unwrap_err().to_string().contains("401"));
    live.worker.terminate();
    consumer.await.unwrap();
}
