//! What happens in the demo: some requests, one change behind the application's back, and the table
//! that tells of both.

use std::io::Write;
use std::time::Duration;

use axum::http::Method;
use bemi_examples::{Result, Stage, table};
use serde_json::json;
use tokio_postgres::Column;

use crate::client::Client;
use crate::list::List;

const USER_ID: u32 = 187;

/// How many rows the story changes.
const CHANGES: i64 = 6;

/// How long the worker may take to store them; it takes some milliseconds.
const STORED_DEADLINE: Duration = Duration::from_secs(30);

/// How often to look whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What the README shows, word for word.
const QUERY: &str = r#"SELECT "primary_key", "table", "operation", "before", "after", "context", "committed_at" FROM changes"#;

/// Plays it, and prints the table.
pub(crate) async fn tell(stage: &mut Stage, list: &List) -> Result<()> {
    eprintln!("user {USER_ID} asks the todo list at http://{}:", list.server());
    let client = Client::new(list.server(), USER_ID);
    for task in ["Sleep", "Eat", "Repeat"] {
        client.send(Method::POST, "/todos", Some(json!({ "task": task }))).await?;
    }
    client.send(Method::PUT, "/todos/1/complete", None).await?;
    client.send(Method::DELETE, "/todos/2", None).await?;

    let by_hand = "UPDATE todo SET task = 'Repeat daily' WHERE id = 3";
    eprintln!("somebody else, by plain SQL:\n  {by_hand}");
    stage.database().batch_execute(by_hand).await?;

    stage.while_the_worker_runs(until_stored).await?;
    eprintln!("the worker has stored this:\n  {}", psql(stage));
    std::io::stdout().write_all(changes(stage).await?.as_bytes())?;
    Ok(())
}

/// For whoever keeps it running.
pub(crate) fn say_how_to_look_around(stage: &Stage, list: &List) {
    let (server, url) = (list.server(), stage.url());
    eprintln!(
        "\nEverything is still running. Change something, and look at it:\n  \
           curl -X POST http://{server}/todos -H 'x-user-id: {USER_ID}' -H 'content-type: application/json' -d '{{\"task\": \"Rest\"}}'\n  \
           psql {url}\n\
         Ctrl-C stops and removes it all."
    );
}

fn psql(stage: &Stage) -> String {
    format!("psql {} -c '{QUERY}'", stage.url())
}

async fn until_stored(database: &tokio_postgres::Client) -> Result<()> {
    let look = async {
        loop {
            let stored: i64 = database.query_one("SELECT count(*) FROM changes", &[]).await?.get(0);
            if stored >= CHANGES {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let late = |_| format!("the worker has not stored {CHANGES} changes after {STORED_DEADLINE:?}");
    tokio::time::timeout(STORED_DEADLINE, look).await.map_err(late)?
}

/// The table, as psql prints it, with the JSON broken into lines.
async fn changes(stage: &Stage) -> Result<String> {
    let columns = stage.database().prepare(QUERY).await?;
    let names: Vec<_> = columns.columns().iter().map(Column::name).collect();
    let texts = format!(
        "SELECT {} FROM changes ORDER BY commit_position, sequence",
        names.iter().map(|name| format!("\"{name}\"::text")).collect::<Vec<_>>().join(", ")
    );
    let mut rows = Vec::new();
    for row in stage.database().query(&texts, &[]).await? {
        let cell = |column| -> Result<String> {
            let text: Option<&str> = row.try_get(column)?;
            Ok(table::break_object(text.unwrap_or_default()))
        };
        rows.push((0..names.len()).map(cell).collect::<Result<Vec<_>>>()?);
    }
    Ok(table::render(&names, &rows))
}
