//! A job queue in a table: each job carries the context that it was enqueued in, and runs in it.
//!
//! ```text
//!  request ─▶ enqueue: INSERT INTO job … context ─▶ worker loop: SELECT … FOR UPDATE SKIP LOCKED ─▶ with_context ─▶ writes
//! ```
//!
//! ```sh
//! cargo run -p bemi-examples --bin job_queue
//! ```
//!
//! It runs on a PostgreSQL that exists only for it; with `DATABASE_URL` on that database, where `bemi-worker` must be running.

use std::process::ExitCode;

use bemi_examples::{Result, program};
use bemi_sqlx::{BemiPool, Context, carrier, with_context};
use sqlx::PgPool;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS job (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        address text NOT NULL,
        context text,
        done_at timestamptz
    );
    CREATE TABLE IF NOT EXISTS mail (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        address text NOT NULL
    )";

const WORKERS: usize = 3;

/// Who asks for mails to be sent, and to whom.
const REQUESTS: [(u32, &str); 4] = [
    (187, "ada@example.com"),
    (187, "grace@example.com"),
    (42, "alan@example.com"),
    (7, "edsger@example.com"),
];

fn main() -> ExitCode {
    program::run(program::play(SCHEMA, async |stage| {
        let db = BemiPool::new(PgPool::connect(stage.url()).await?);
        for (user_id, address) in REQUESTS {
            let request = Context::new().with("endpoint", "/mails").with("user_id", user_id);
            with_context(request, enqueue(&db, address)).await?;
        }
        let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(work(db.clone()))).collect();
        for worker in workers {
            worker.await??;
        }
        // Each job: enqueued, done, and its mail.
        print!("{}", stage.changes(&["job", "mail"], 3 * REQUESTS.len()).await?);
        Ok(())
    }))
}

/// Writes a job down, with the context of the request that asks for it.
async fn enqueue(db: &BemiPool, address: &str) -> sqlx::Result<()> {
    let mut context = None;
    carrier::inject(|_, value| context = Some(value));
    let insert = sqlx::query("INSERT INTO job (address, context) VALUES ($1, $2)");
    insert.bind(address).bind(context).execute(db).await.map(drop)
}

#[derive(sqlx::FromRow)]
struct Job {
    id: i64,
    address: String,
    context: Option<String>,
}

/// Works jobs off until none is left. A real one would wait for a `NOTIFY` then, or look again after a while.
async fn work(db: BemiPool) -> Result<()> {
    while work_one_off(&db).await? {}
    Ok(())
}

/// Takes a job that nobody else has taken, does it, and marks it as done, in one transaction; false where there is none.
async fn work_one_off(db: &BemiPool) -> Result<bool> {
    let mut tx = db.begin().await?;
    let next = "SELECT id, address, context FROM job WHERE done_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(job) = sqlx::query_as::<_, Job>(next).fetch_optional(&mut *tx).await? else {
        return Ok(false);
    };
    let carried = carrier::extract(|_| job.context.as_deref())?.unwrap_or_default();
    with_context(carried.with("job", job.id), async {
        send(&job.address);
        let insert = sqlx::query("INSERT INTO mail (address) VALUES ($1)").bind(job.address);
        insert.execute(&mut *tx).await?;
        let update = sqlx::query("UPDATE job SET done_at = now() WHERE id = $1").bind(job.id);
        update.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    })
    .await
}

/// Where a real one would talk to a mail server.
fn send(address: &str) {
    eprintln!("mail to {address}");
}
