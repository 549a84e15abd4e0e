//! The todo list answers the same before it had bemi and after.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use bemi_examples::todo;
use bemi_tests::{TestDatabase, shared_cluster};
use sqlx::PgPool;
use tower::ServiceExt;

/// Method, path, user and body of a request, and the answer that is due.
type Exchange =
    (&'static str, &'static str, Option<&'static str>, &'static str, (u16, &'static str));

const CONVERSATION: [Exchange; 11] = [
    ("GET", "/todos", Some("187"), "", (200, "[]")),
    (
        "POST",
        "/todos",
        Some("187"),
        r#"{"task": "Sleep"}"#,
        (201, r#"{"id":1,"task":"Sleep","is_completed":false}"#),
    ),
    (
        "POST",
        "/todos",
        Some("1"),
        r#"{"task": "Eat"}"#,
        (201, r#"{"id":2,"task":"Eat","is_completed":false}"#),
    ),
    ("POST", "/todos", Some("1"), "{}", (422, "")),
    (
        "PUT",
        "/todos/1/complete",
        Some("187"),
        "",
        (200, r#"{"id":1,"task":"Sleep","is_completed":true}"#),
    ),
    ("PUT", "/todos/9/complete", Some("187"), "", (404, r#"{"error":"there is no such todo"}"#)),
    ("DELETE", "/todos/2", Some("187"), "", (204, "")),
    ("DELETE", "/todos/2", Some("187"), "", (404, r#"{"error":"there is no such todo"}"#)),
    ("DELETE", "/todos/1", None, "", (401, r#"{"error":"say who asks, by x-user-id: 1"}"#)),
    ("DELETE", "/todos/1", Some("root"), "", (401, r#"{"error":"say who asks, by x-user-id: 1"}"#)),
    ("GET", "/todos", Some("187"), "", (200, r#"[{"id":1,"task":"Sleep","is_completed":true}]"#)),
];

async fn converse(app: fn(PgPool) -> Router) {
    let database = TestDatabase::create(shared_cluster()).await.unwrap();
    let pool = PgPool::connect(&database.url()).await.unwrap();
    sqlx::raw_sql(todo::SCHEMA).execute(&pool).await.unwrap();
    let app = app(pool.clone());
    for (method, path, user, body, (status, answer)) in CONVERSATION {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        if let Some(user) = user {
            request = request.header("x-user-id", user);
        }
        let response = app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{method} {path} {body}");
        let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        // What axum says of a body that it cannot read is its own affair.
        if status != 422 {
            assert_eq!(text, answer, "{method} {path} {body}");
        }
    }
    pool.close().await;
    database.close().await.unwrap();
}

#[tokio::test]
async fn the_list_without_bemi() {
    converse(todo::before::app).await;
}

#[tokio::test]
async fn the_list_with_bemi() {
    converse(todo::after::app).await;
}
