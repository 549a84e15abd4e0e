//! The todo list without bemi: an ordinary axum and sqlx application.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgPool};

type Db = PgPool;

/// The application.
pub fn app(pool: PgPool) -> Router {
    Router::new()
        .route("/todos", get(list).post(create))
        .route("/todos/{id}", delete(remove))
        .route("/todos/{id}/complete", put(complete))
        .layer(from_fn(authenticate))
        .with_state(pool)
}

#[derive(FromRow, Serialize)]
struct Todo {
    id: i64,
    task: String,
    is_completed: bool,
}

#[derive(Deserialize)]
struct NewTodo {
    task: String,
}

async fn list(State(db): State<Db>) -> Result<Json<Vec<Todo>>, AppError> {
    let todos = sqlx::query_as("SELECT * FROM todo ORDER BY id").fetch_all(&db).await?;
    Ok(Json(todos))
}

async fn create(
    State(db): State<Db>,
    Json(new): Json<NewTodo>,
) -> Result<(StatusCode, Json<Todo>), AppError> {
    let insert = sqlx::query_as("INSERT INTO todo (task) VALUES ($1) RETURNING *");
    let todo = insert.bind(new.task).fetch_one(&db).await?;
    Ok((StatusCode::CREATED, Json(todo)))
}

async fn complete(State(db): State<Db>, Path(id): Path<i64>) -> Result<Json<Todo>, AppError> {
    let update = sqlx::query_as("UPDATE todo SET is_completed = true WHERE id = $1 RETURNING *");
    let todo = update.bind(id).fetch_optional(&db).await?;
    todo.map(Json).ok_or(AppError::NoSuchTodo)
}

async fn remove(State(db): State<Db>, Path(id): Path<i64>) -> Result<StatusCode, AppError> {
    let deleted = sqlx::query("DELETE FROM todo WHERE id = $1").bind(id).execute(&db).await?;
    if deleted.rows_affected() == 0 {
        return Err(AppError::NoSuchTodo);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks, for handlers that want to know.
#[derive(Clone)]
pub struct User {
    /// The user's id.
    pub id: i64,
}

/// A real application would look at a session; this one believes a header.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, AppError> {
    let header = request.headers().get("x-user-id").and_then(|id| id.to_str().ok());
    let id: i64 = header.and_then(|id| id.parse().ok()).ok_or(AppError::Unauthorized)?;
    request.extensions_mut().insert(User { id });
    Ok(next.run(request).await)
}

enum AppError {
    Unauthorized,
    NoSuchTodo,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "say who asks, by x-user-id: 1"),
            Self::NoSuchTodo => (StatusCode::NOT_FOUND, "there is no such todo"),
            Self::Database(error) => {
                tracing::error!(%error, "the database failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "the database failed")
            }
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}
