//! A hundred users at once, on a pool of ten connections: no change ever carries another user's context.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use bemi_examples::todo;
use bemi_tests::{TestDatabase, eventually, shared_cluster};
use bemi_worker::config::{Config, RunOptions};
use bemi_worker::setup::{IdentityPolicy, SetupOptions};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;

const USERS: i64 = 100;

/// Each user makes, completes and removes that many todos.
const TODOS_EACH: i64 = 5;

type Http = Client<HttpConnector, Body>;

async fn ask(
    http: &Http,
    server: SocketAddr,
    user: i64,
    method: Method,
    path: &str,
    body: &Value,
) -> Value {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{server}{path}"))
        .header("x-user-id", user)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = http.request(request).await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// What one user does; each todo says whose it is.
async fn use_the_list(http: Http, server: SocketAddr, user: i64) {
    for number in 0..TODOS_EACH {
        let new = json!({ "task": format!("{user}: {number}") });
        let todo = ask(&http, server, user, Method::POST, "/todos", &new).await;
        let id = todo["id"].as_i64().unwrap();
        let complete = format!("/todos/{id}/complete");
        ask(&http, server, user, Method::PUT, &complete, &Value::Null).await;
        ask(&http, server, user, Method::DELETE, &format!("/todos/{id}"), &Value::Null).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_carries_the_context_of_another_request() {
    let database = TestDatabase::create(shared_cluster()).await.unwrap();
    let client = database.connect().await.unwrap();
    client.batch_execute(todo::SCHEMA).await.unwrap();
    let mut config = Config::new(database.url().parse().unwrap());
    config.slot = database.slot_name().parse().unwrap();
    let options = SetupOptions::new().all_tables().replica_identity(IdentityPolicy::Full);
    bemi_worker::setup::run(&config, &options).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(async move {
        bemi_worker::pipeline::run(&config, RunOptions::new(), stopped).await
    });

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = listener.local_addr().unwrap();
    let pool = PgPoolOptions::new().max_connections(10).connect(&database.url()).await.unwrap();
    let list = tokio::spawn(async move { axum::serve(listener, todo::after::app(pool)).await });

    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let users: Vec<_> =
        (1..=USERS).map(|user| tokio::spawn(use_the_list(http.clone(), server, user))).collect();
    for user in users {
        user.await.unwrap();
    }

    let expected = USERS * TODOS_EACH * 3;
    eventually(Duration::from_secs(60), "all changes to be stored", async || {
        let row = client.query_one("SELECT count(*) FROM changes", &[]).await.unwrap();
        (row.get::<_, i64>(0) >= expected).then_some(())
    })
    .await;
    let rows = client
        .query("SELECT operation, primary_key, before, after, context FROM changes", &[])
        .await
        .unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), expected);
    let mut of_user: HashMap<i64, i64> = HashMap::new();
    for row in &rows {
        let (operation, key): (&str, &str) = (row.get(0), row.get(1));
        let (before, after, context): (Value, Value, Value) = (row.get(2), row.get(3), row.get(4));
        let todo = if operation == "DELETE" { before } else { after };
        let (owner, _) = todo["task"].as_str().unwrap().split_once(':').unwrap();
        assert_eq!(context["user_id"].to_string(), owner, "{todo} {context}");
        let (method, params, endpoint) = match operation {
            "CREATE" => ("POST", json!({ "task": todo["task"] }), "/todos".to_owned()),
            "UPDATE" => ("PUT", json!({ "id": todo["id"] }), format!("/todos/{key}/complete")),
            _ => ("DELETE", json!({ "id": todo["id"] }), format!("/todos/{key}")),
        };
        assert_eq!(context["method"], method);
        assert_eq!(context["params"], params);
        assert_eq!(context["endpoint"], endpoint.as_str());
        *of_user.entry(context["user_id"].as_i64().unwrap()).or_default() += 1;
    }
    assert!((1..=USERS).all(|user| of_user.get(&user) == Some(&(TODOS_EACH * 3))));

    list.abort();
    stop.send(true).unwrap();
    worker.await.unwrap().unwrap();
    drop(client);
    database.close().await.unwrap();
}
