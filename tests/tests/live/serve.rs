//! `serve`: the same, beside a worker that runs elsewhere.

use bemi_tests::{Tracked, WorkerCommand};

use super::events::{Events, keys};
use super::live::{self, BEARER, listens_at};

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text)";

/// It is told the destination alone.
fn serve(tracked: &Tracked) -> WorkerCommand {
    let command = WorkerCommand::under_test(["serve", "--http", "127.0.0.1:0"])
        .env("DESTINATION_DATABASE_URL", tracked.database.url())
        .env("BEMI_SLOT", tracked.database.slot_name());
    live::with_tokens(command)
}

#[tokio::test]
async fn what_another_process_stores_is_streamed() {
    let tracked = Tracked::new(TODO).await;
    let mut server = serve(&tracked).spawn();
    let address = listens_at(&mut server).await;
    let mut events = Events::open(&address, "/changes/stream", &[BEARER]).await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    let worker = tracked.run().await;
    assert_eq!(keys(&events.changes(1).await), ["1"]);
    tracked.sql("INSERT INTO todo VALUES (2), (3)").await;
    assert_eq!(keys(&events.changes(2).await), ["2", "3"]);
    worker.stop().await;
    server.terminate();
    assert_eq!(events.next().await, None);
    server.wait(super::http::ANSWERED_WITHIN).await.assert_code(0);
}

#[tokio::test]
async fn a_stream_that_cannot_go_on_says_so_and_ends() {
    let tracked = Tracked::new(TODO).await;
    let mut server = serve(&tracked).spawn();
    let address = listens_at(&mut server).await;
    let mut events = Events::open(&address, "/changes/stream", &[BEARER]).await;
    tracked
        .sql(
            "ALTER TABLE changes RENAME TO elsewhere; \
              UPDATE bemi.checkpoint SET position = position + 8, committed_at = now()",
        )
        .await;
    let last = events.next().await.unwrap();
    assert_eq!(last.name, "error");
    assert!(last.data["error"].as_str().unwrap().contains("log"), "{last:?}");
    assert_eq!(events.next().await, None);
    assert!(server.stderr().contains("changes"), "{}", server.stderr());
}

/// As the guide says.
#[tokio::test]
async fn its_role_may_do_nothing_but_read_two_tables() {
    let tracked = Tracked::new(TODO).await;
    let role = tracked.database.unique_name("reader");
    tracked
        .sql(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA bemi TO {role}; \
             GRANT SELECT ON bemi.checkpoint, changes TO {role}"
        ))
        .await;
    let url = tracked.database.url().replacen("postgres@", &format!("{role}@"), 1);
    assert!(url.contains(&role), "{url}");
    let mut server = serve(&tracked).env("DESTINATION_DATABASE_URL", url).spawn();
    let address = listens_at(&mut server).await;
    let mut events = Events::open(&address, "/changes/stream", &[BEARER]).await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    assert_eq!(keys(&events.changes(1).await), ["1"]);
    server.stop().await;
    tracked.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn it_needs_a_record_and_an_address() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    let output = serve(&tracked).run_to_end().await.assert_code(3);
    assert!(output.stderr.contains("setup"), "{output}");
    let tracked = Tracked::new(TODO).await;
    let output = tracked.worker(&["serve"]).run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("--http"), "{output}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = tracked.worker(&["serve", "--http", &address]).run_to_end().await.assert_code(1);
    assert!(output.stderr.contains(&address), "{output}");
    let nowhere = tracked.worker(&["serve", "--http", "127.0.0.1:0"]);
    let nowhere = nowhere.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere");
    nowhere.run_to_end().await.assert_code(6);
}
