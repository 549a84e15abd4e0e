//! Runs the todo list with bemi, on the database at `DATABASE_URL`.
//!
//! ```sh
//! DATABASE_URL=postgres://localhost/todo cargo run --package bemi-examples --bin todo
//! curl -X POST http://127.0.0.1:3000/todos -H 'x-user-id: 187' --json '{"task": "Sleep"}'
//! ```

use bemi_examples::todo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    todo::serve(todo::after::app).await
}
