//! Who gets what, and what everybody gets.

use bemi_tests::Tracked;

use super::http::{Answer, ask};
use super::live::{self, BEARER, Live, RECORDS_TOKEN, TOKEN};

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text)";
const STREAM: &str = "/changes/stream";

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let live = Live::new(TODO).await;
    let with = async |target: &str, headers: &[(&str, &str)]| -> Answer {
        ask(&live.address, "HEAD", target, headers).await
    };
    let almost = format!("Bearer {}", TOKEN.strip_suffix('2').unwrap());
    for target in [STREAM, "/changes/stream?cursor=begin", "/records/todo/1"] {
        for headers in [
            &[][..],
            &[("Authorization", "")],
            &[("Authorization", "Bearer")],
            &[("Authorization", almost.as_str())],
            &[("Authorization", TOKEN)],
            &[("Authorization", "Basic aHVudGVyMg==")],
            &[("Cookie", TOKEN)],
            &[BEARER, BEARER],
        ] {
            let answer = with(target, headers).await;
            assert_eq!(answer.status, 401, "{headers:?} {answer:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        // Not in the address, where it would be written to logs.
        let answer = with(&format!("{STREAM}?token={TOKEN}"), &[]).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(with(STREAM, &[BEARER]).await.status, 200);
}

#[tokio::test]
async fn the_token_of_records_opens_records_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[[http.expose]]\ntable = \"todo\"\ncolumns = [\"task\"]\n")
        .unwrap();
    let live = Live::with_file(TODO, file.path()).await;
    let bearer = format!("Bearer {RECORDS_TOKEN}");
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(ask(&live.address, "GET", "/records/todo/1", &headers).await.status, 200);
    assert_eq!(ask(&live.address, "GET", STREAM, &headers).await.status, 401);
    assert_eq!(live.get("/records/todo/1").await.status, 200);
}

#[tokio::test]
async fn tokens_are_never_logged() {
    let tracked = Tracked::new(TODO).await;
    let command = live::with_tokens(live::run(&tracked, &["--log-level", "trace"]));
    let (worker, address) = live::start(command).await;
    ask(&address, "HEAD", STREAM, &[BEARER]).await;
    ask(&address, "GET", STREAM, &[("Authorization", "Bearer hunter2-and-something-else")]).await;
    let output = worker.stop().await;
    assert!(!output.stderr.contains("hunter2"), "{output}");
    assert!(!output.stderr.contains("swordfish"), "{output}");
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused_without_a_token() {
    let tracked = Tracked::new(TODO).await;
    let run = |address: &str| tracked.worker(&["run", "--http", address]);
    let output = run("0.0.0.0:0").run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("BEMI_HTTP_TOKEN"), "{output}");
    let output = run("0.0.0.0:0").env("BEMI_HTTP_TOKEN", "short").run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("openssl") && !output.stderr.contains("short"), "{output}");
    let output = run("todo").run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("127.0.0.1:8080"), "{output}");
}

#[tokio::test]
async fn without_tokens_it_is_for_this_machine_and_by_its_own_names() {
    let tracked = Tracked::new(TODO).await;
    let (_worker, address) = live::start(live::run(&tracked, &[])).await;
    let status = async |host: &str| ask(&address, "HEAD", STREAM, &[("Host", host)]).await.status;
    assert_eq!(status(&address).await, 200);
    assert_eq!(status("localhost").await, 200);
    // A page from elsewhere whose name was made to lead here.
    assert_eq!(status("evil.example").await, 421);
}

#[tokio::test]
async fn a_token_may_stand_in_a_file_of_its_own() {
    let tracked = Tracked::new(TODO).await;
    let (token, file) =
        (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(token.path(), format!("{TOKEN}\n")).unwrap();
    let text = format!("[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = {:?}\n", token.path());
    std::fs::write(file.path(), text).unwrap();
    let worker = tracked.worker(&["run", "--config", file.path().to_str().unwrap()]);
    let (_worker, address) = live::start(worker).await;
    assert_eq!(ask(&address, "HEAD", STREAM, &[BEARER]).await.status, 200);
    assert_eq!(ask(&address, "HEAD", STREAM, &[]).await.status, 401);
}

#[tokio::test]
async fn nothing_is_served_unless_it_is_asked_for() {
    let tracked = Tracked::new(TODO).await;
    let worker = tracked.run().await;
    let output = worker.stop().await;
    assert!(!output.stderr.contains("HTTP"), "{output}");
}

#[tokio::test]
async fn every_answer_is_kept_nowhere_and_taken_for_nothing_else() {
    let live = Live::new(TODO).await;
    for (method, target, status) in [
        ("GET", "/", 404),
        ("GET", "/changes", 404),
        ("GET", "/changes/stream/", 404),
        ("GET", "/records/todo", 404),
        ("GET", "/records/todo/1", 404),
        ("GET", "/records//1", 404),
        ("GET", "/records/todo/1/2", 404),
        ("GET", "/changes/stream?x=1", 400),
        ("HEAD", "/changes/stream", 200),
        ("HEAD", "/changes/stream?x=1", 400),
        ("OPTIONS", "/changes/stream", 204),
        ("OPTIONS", "/records/todo/1", 204),
        ("POST", "/changes/stream", 405),
        ("PUT", "/records/todo/1", 405),
        ("DELETE", "/records/todo/1", 405),
        ("TRACE", "/changes/stream", 405),
        ("WHATEVER", "/changes/stream", 405),
    ] {
        let answer = ask(&live.address, method, target, &[BEARER, ("Origin", "https://a.example")]);
        let answer = answer.await;
        assert_eq!(answer.status, status, "{method} {target} {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert!(answer.header("content-security-policy").is_some(), "{answer:?}");
        // Pages of other origins get nothing.
        assert!(!answer.head.to_lowercase().contains("access-control"), "{answer:?}");
        if matches!(status, 204 | 405) {
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"), "{answer:?}");
        }
        if matches!(method, "HEAD" | "OPTIONS") {
            assert_eq!(answer.body, "");
        } else {
            assert!(!answer.error().is_empty());
        }
    }
}
