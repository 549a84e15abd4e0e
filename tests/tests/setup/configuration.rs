//! Flags beat the environment, which beats the file; each command explains itself.

use bemi_tests::WorkerCommand;

use super::fresh::Fresh;

#[tokio::test]
async fn flags_beat_the_environment_which_beats_the_file() {
    let fresh = Fresh::new("").await;
    let other = Fresh::new("").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let connected_to = |output: bemi_tests::Output| {
        let line = output.stdout.lines().next().unwrap().to_owned();
        line.rsplit('/').next().unwrap().to_owned()
    };
    let command = |arguments: &[&str]| WorkerCommand::under_test(arguments);
    let text = format!("slot = \"of_file\"\n[source]\nurl = \"{}\"\n", fresh.database.url());
    std::fs::write(&path, text).unwrap();

    let by_file = command(&["doctor", "--config", &path]).run_to_end().await;
    assert_eq!(connected_to(by_file), fresh.database.name());
    let by_environment = command(&["doctor", "--config", &path])
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", bemi_tests::shared_cluster().port().to_string())
        .env("DB_USER", "postgres")
        .env("DB_NAME", other.database.name());
    assert_eq!(connected_to(by_environment.run_to_end().await), other.database.name());
    let by_flag = command(&["doctor", "--database-url", &fresh.database.url()])
        .env("DATABASE_URL", other.database.url());
    assert_eq!(connected_to(by_flag.run_to_end().await), fresh.database.name());
}

#[tokio::test]
async fn a_socket_will_do() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let cluster = bemi_tests::shared_cluster();
    let folder = cluster.socket_dir().to_str().unwrap();
    let url = format!(
        "postgres://postgres@/{}?host={folder}&port={}",
        fresh.database.name(),
        cluster.port()
    );
    fresh.worker_at(&url, &["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.worker_at(&url, &["run", "--once"]).run_to_end().await.assert_code(0);
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 1);
}

#[tokio::test]
async fn help_shows_an_example_and_no_secret() {
    for command in [&[][..], &["setup"], &["run"], &["doctor"], &["status"], &["teardown"]] {
        let arguments = [command, &["--help"]].concat();
        let output = WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", "postgres://me:hunter2@localhost/shop")
            .run_to_end()
            .await
            .assert_code(0);
        assert!(output.stdout.contains("Examples:\n  "), "{output}");
        assert!(output.stdout.contains("bemi-worker "), "{output}");
        assert!(!output.stdout.contains("hunter2"), "{output}");
    }
}

#[tokio::test]
async fn the_log_is_json_where_asked_for() {
    let fresh = Fresh::new("").await;
    let output = fresh
        .worker(&["setup", "--all-tables", "--log-format", "json"])
        .run_to_end()
        .await
        .assert_code(0);
    for line in output.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(!output.stderr.is_empty());
    let refused = fresh.worker_at("", &["status", "--log-format", "json"]);
    let refused = refused.run_to_end().await.assert_code(2);
    serde_json::from_str::<serde_json::Value>(refused.stderr.trim()).unwrap();
}
