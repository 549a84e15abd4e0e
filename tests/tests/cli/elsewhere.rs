//! The changes in another database than the one that is tracked, and in another schema.

use bemi_tests::{Output, RunningWorker, TestDatabase, Tracked, shared_cluster};

use crate::shop::{TODO, lines, what};

/// A shop whose record is elsewhere.
struct Apart {
    tracked: Tracked,
    audit: TestDatabase,
    _worker: RunningWorker,
}

impl Apart {
    async fn new(schema: &str) -> Self {
        let tracked = Tracked::untracked(shared_cluster(), schema).await;
        let audit = TestDatabase::create(shared_cluster()).await.unwrap();
        let worker = |arguments: &[&str]| {
            tracked
                .worker(arguments)
                .env("DESTINATION_DATABASE_URL", audit.url())
                .env("BEMI_CHANGES_SCHEMA", "my \"audit\"")
        };
        let setup = ["setup", "--all-tables", "--replica-identity", "full"];
        worker(&setup).run_to_end().await.assert_code(0);
        let mut running = worker(&["run"]).spawn();
        running.wait_for_log("streaming").await;
        Self { tracked, audit, _worker: running }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.tracked
            .worker(&[arguments, &["--changes-schema", "my \"audit\""]].concat())
            .env("DESTINATION_DATABASE_URL", self.audit.url())
            .run_to_end()
            .await
    }
}

#[tokio::test]
async fn the_record_is_asked_where_it_is_and_is_not_old() {
    let shop = Apart::new(TODO).await;
    for n in 1..10 {
        shop.tracked.sql(&format!("INSERT INTO todo VALUES ({n}, 'a')")).await;
        let output =
            shop.run(&["history", "todo", &n.to_string(), "--format", "json"]).await.assert_code(0);
        assert_eq!(what(&lines(&output.stdout)), [format!("CREATE {n}")]);
    }
}

#[tokio::test]
async fn who_knows_the_destination_alone_can_ask() {
    let shop = Apart::new(TODO).await;
    shop.tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    shop.run(&["changes"]).await.assert_code(0);
    let output = shop
        .tracked
        .worker(&["changes", "--format", "json", "--changes-schema", "my \"audit\""])
        .env("DATABASE_URL", "")
        .env("DESTINATION_DATABASE_URL", shop.audit.url())
        .run_to_end()
        .await
        .assert_code(0);
    assert_eq!(what(&lines(&output.stdout)), ["CREATE 1"]);
}

#[tokio::test]
async fn a_source_that_is_another_database_is_not_taken_for_it() {
    let shop = Apart::new(TODO).await;
    let other = TestDatabase::create(shared_cluster()).await.unwrap();
    let output = shop
        .tracked
        .worker(&["changes", "--changes-schema", "my \"audit\""])
        .env("DATABASE_URL", other.url())
        .env("DESTINATION_DATABASE_URL", shop.audit.url())
        .run_to_end()
        .await
        .assert_code(3);
    assert!(output.stderr.contains("the source that was given is"), "{output}");
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_told_and_the_record_is_as_it_is() {
    let shop = Apart::new(TODO).await;
    shop.tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    shop.run(&["changes"]).await.assert_code(0);
    let output = shop
        .tracked
        .worker(&["changes", "--format", "json", "--changes-schema", "my \"audit\""])
        .env("DATABASE_URL", "postgres://postgres@127.0.0.1:1/nowhere")
        .env("DESTINATION_DATABASE_URL", shop.audit.url())
        .run_to_end()
        .await
        .assert_code(0);
    assert_eq!(what(&lines(&output.stdout)), ["CREATE 1"]);
    assert!(output.stderr.contains("the source cannot be asked"), "{output}");
}

#[tokio::test]
async fn the_past_is_known_up_to_now_though_nothing_was_written_since() {
    let shop = Apart::new(TODO).await;
    shop.tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    for point in ["now", "-0s"] {
        let output = shop.run(&["as-of", point, "todo", "1"]).await.assert_code(0);
        assert!(output.stdout.contains("  task: \"a\"\n"), "{output}");
    }
    let now: String = shop
        .tracked
        .value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        .await;
    shop.run(&["as-of", &now, "todo", "1"]).await.assert_code(0);
    let output = shop.run(&["diff", &now, "now"]).await.assert_code(0);
    assert_eq!(output.stderr, "no rows differ\n");
}

#[tokio::test]
async fn what_is_taken_back_is_written_to_the_source() {
    let shop = Apart::new(TODO).await;
    shop.tracked.sql("INSERT INTO todo VALUES (1, 'a'); UPDATE todo SET task = 'b'").await;
    let which = ["revert", "where", "--table", "todo", "--operation", "update", "--yes"];
    shop.run(&which).await.assert_code(0);
    assert_eq!(shop.tracked.value::<String>("SELECT task FROM todo").await, "a");
    let output = shop.run(&["history", "todo", "1", "--format", "json"]).await.assert_code(0);
    assert_eq!(what(&lines(&output.stdout)), ["UPDATE 1", "UPDATE 1", "CREATE 1"]);
}
