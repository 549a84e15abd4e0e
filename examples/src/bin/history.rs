//! A support case: who changed this, what was it before, and undone, in a transaction of the application.
//!
//! ```sh
//! cargo run -p bemi-examples --bin history
//! ```
//!
//! It runs on a PostgreSQL that exists only for it; with `DATABASE_URL` on that database, where `bemi-worker` must be running.

use std::process::ExitCode;

use bemi_examples::{Result, program};
use bemi_sqlx::record::{Changes, Point, Record, RevertOptions, RowAt, Selection, TableName};
use bemi_sqlx::{BemiPool, Context, Settings, with_context};
use sqlx::PgPool;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS product (id bigint PRIMARY KEY, name text NOT NULL, price numeric NOT NULL);
    CREATE TABLE IF NOT EXISTS answer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ticket bigint, text text);
    INSERT INTO product VALUES (26, 'Teapot', 24.90) ON CONFLICT DO NOTHING";

fn main() -> ExitCode {
    program::run(program::play(SCHEMA, async |stage| {
        let settings = Settings::new().without_sql();
        let db = BemiPool::new(PgPool::connect(stage.url()).await?).with_settings(settings);
        // An import gone wrong.
        let import = Context::new().with("user", "ben").with("import", "prices.csv");
        let update = sqlx::query("UPDATE product SET price = 2.49 WHERE id = 26").execute(&db);
        with_context(import, update).await?;
        // A customer calls, and Ana answers.
        let request = Context::new().with("user", "ana");
        with_context(request, support(&db, 26, 4711)).await?;
        print!("{}", stage.changes(&["product", "answer"], 3).await?);
        Ok(())
    }))
}

async fn support(db: &BemiPool, product: i64, ticket: i64) -> Result<()> {
    let table: TableName = "product".parse()?;
    let mut record = Record::new(db);
    // Whatever has happened until now is in the record.
    let mut now = db.acquire().await?;
    record.catch_up(&mut now).await?;

    let history = Changes::new().record(table.clone(), product);
    let page = record.changes(&history).await?;
    let last = page.items.first().ok_or("nobody has changed it")?;
    println!("who changed product {product}: {}", last.context);
    for field in last.fields() {
        let (before, after) = (field.before.unwrap_or("?"), field.after.unwrap_or("?"));
        println!("  {}: {before} → {after}", field.column);
    }

    let mut then = record.as_of(Point::BeforeChange(last.id));
    if let RowAt::Present(row) = then.row(&table, &product.into()).await? {
        println!("before that it was {row}");
    }

    let undo = record.reverse(&Selection::Change(last.id)).await?;
    let mut tx = db.begin().await?;
    let options = RevertOptions::new().reason(format!("ticket {ticket}"));
    let plan = undo.plan(&mut tx, &options).await?;
    println!("to undo it: {}", plan.summary());
    plan.apply(&mut tx).await?;
    let answer = sqlx::query("INSERT INTO answer (ticket, text) VALUES ($1, 'It is right again.')");
    answer.bind(ticket).execute(&mut *tx).await?;
    tx.commit().await?;
    println!();
    Ok(())
}
