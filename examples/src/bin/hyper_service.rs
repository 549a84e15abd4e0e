//! Two services of plain hyper, where one asks the other: what both write has the context of the request that came first.
//!
//! ```text
//!  client ─▶ orders: ContextLayer ─▶ INSERT INTO orders
//!               └─ x-bemi-context ─▶ stock: ContextLayer.accept_context() ─▶ UPDATE stock
//! ```
//!
//! ```sh
//! cargo run -p bemi-examples --bin hyper_service
//! ```
//!
//! It runs on a PostgreSQL that exists only for it; with `DATABASE_URL` on that database, where `bemi-worker` must be running.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use bemi_axum::ContextLayer;
use bemi_examples::{Result, program};
use bemi_sqlx::{BemiPool, carrier};
use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text NOT NULL);
    CREATE TABLE IF NOT EXISTS stock (item text PRIMARY KEY, pieces int NOT NULL);
    INSERT INTO stock VALUES ('apple', 10), ('pear', 5) ON CONFLICT DO NOTHING";

/// Who orders what.
const ORDERS: [(&str, &str); 2] = [("187", "apple"), ("42", "pear")];

fn main() -> ExitCode {
    program::run(program::play(SCHEMA, async |stage| {
        let db = BemiPool::new(PgPool::connect(stage.url()).await?);
        // Nobody but the other service can reach it: it listens on the loopback interface.
        let of_stock =
            ContextLayer::new().accept_context().set_context(|_| json!({ "service": "stock" }));
        let stock = serve(of_stock.layer(service_fn({
            let db = db.clone();
            move |request| answer(take_from_stock(db.clone(), request))
        })))
        .await?;
        // This one is open to the world: it accepts no context, but looks at who asks.
        let of_orders = ContextLayer::new().request_id().set_context(|parts| {
            let user = parts.headers.get("x-user-id").and_then(|id| id.to_str().ok());
            json!({ "service": "orders", "endpoint": parts.uri.path(), "user_id": user })
        });
        let orders = serve(
            of_orders
                .layer(service_fn(move |request| answer(place_order(db.clone(), stock, request)))),
        )
        .await?;

        for (user_id, item) in ORDERS {
            let request = Request::post(format!("http://{orders}/orders/{item}"))
                .header("x-user-id", user_id)
                .header("x-request-id", format!("order-of-{item}s"));
            ask(request.body(Empty::new())?).await?;
        }
        print!("{}", stage.changes(&["orders", "stock"], 2 * ORDERS.len()).await?);
        Ok(())
    }))
}

/// `POST /orders/apple`
async fn place_order(db: BemiPool, stock: SocketAddr, request: Request<Incoming>) -> Result<()> {
    let item = item_of(&request)?;
    sqlx::query("INSERT INTO orders (item) VALUES ($1)").bind(&item).execute(&db).await?;
    let mut take = Request::post(format!("http://{stock}/stock/{item}")).body(Empty::new())?;
    let headers = take.headers_mut();
    carrier::inject(|name, value| Some(headers.insert(name, HeaderValue::try_from(value).ok()?)));
    ask(take).await
}

/// `POST /stock/apple`
async fn take_from_stock(db: BemiPool, request: Request<Incoming>) -> Result<()> {
    let update = sqlx::query("UPDATE stock SET pieces = pieces - 1 WHERE item = $1");
    update.bind(item_of(&request)?).execute(&db).await?;
    Ok(())
}

fn item_of(request: &Request<Incoming>) -> Result<String> {
    let (_, item) = request.uri().path().rsplit_once('/').ok_or("the path names no item")?;
    Ok(item.to_owned())
}

async fn answer(
    done: impl Future<Output = Result<()>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match done.await {
        Ok(()) => (StatusCode::CREATED, String::new()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    Ok(response)
}

async fn ask(request: Request<Empty<Bytes>>) -> Result<()> {
    let http = Client::builder(TokioExecutor::new()).build_http();
    let asked = request.uri().to_string();
    let response = http.request(request).await?;
    eprintln!("  POST {asked} → {}", response.status());
    if response.status().is_success() { Ok(()) } else { Err(format!("{asked} has failed").into()) }
}

/// Serves `service` on a free port of 127.0.0.1 for as long as the process lives.
async fn serve<S, B>(service: S) -> Result<SocketAddr>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let server = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
        }
    });
    Ok(server)
}
