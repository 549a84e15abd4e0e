//! A todo list over HTTP, with axum and sqlx: before it had bemi, and after.
//!
//! The two differ by ten lines, as a test counts. What both need to run is here.

use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use sqlx::PgPool;
use tokio::net::TcpListener;

pub mod after;
pub mod before;

/// The table of the list.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS todo (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        task text NOT NULL,
        is_completed boolean NOT NULL DEFAULT false
    )";

const PORT: u16 = 3000;

/// Serves the list of the database at `DATABASE_URL` on 127.0.0.1, port 3000, until the process ends.
///
/// # Errors
///
/// When the variable is not set, the database does not answer, or the port is taken.
pub async fn serve(app: fn(PgPool) -> Router) -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL")
        .map_err(|error| format!("set DATABASE_URL to the list's database: {error}"))?;
    let pool = PgPool::connect(&url).await?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await?;
    eprintln!("the list is at http://{}/todos", listener.local_addr()?);
    Ok(axum::serve(listener, app(pool)).await?)
}
