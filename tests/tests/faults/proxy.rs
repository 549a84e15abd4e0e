//! The network that the other tests make bad: what it does is what they say.

use std::time::Duration;

use bemi_tests::faults::{Condition, Direction, Proxy, Which};
use bemi_tests::{STORED_WITHIN, TestDatabase, eventually, shared_cluster};
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn value(client: &Client) -> i32 {
    client.query_one("SELECT 1", &[]).await.unwrap().get(0)
}

/// A session through the proxy, and the proxy.
async fn session() -> (TestDatabase, Proxy, String, Client) {
    let database = TestDatabase::create(shared_cluster()).await.unwrap();
    let proxy = Proxy::to(shared_cluster());
    let url = proxy.url(&database.url());
    let client = connect(&url).await;
    assert_eq!(value(&client).await, 1);
    (database, proxy, url, client)
}

async fn wait_until_closed(client: &Client) {
    eventually(STORED_WITHIN, "the session to end", async || client.is_closed().then_some(()))
        .await;
}

/// Whether an answer comes, while the network passes nothing.
async fn is_silent(client: &Client) -> bool {
    tokio::time::timeout(Duration::from_millis(200), client.query_one("SELECT 1", &[]))
        .await
        .is_err()
}

#[tokio::test]
async fn a_network_that_is_cut_ends_sessions_and_takes_no_new_ones() {
    let (_database, proxy, url, client) = session().await;
    proxy.cut();
    wait_until_closed(&client).await;
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    proxy.heal();
    assert_eq!(value(&connect(&url).await).await, 1);
}

#[tokio::test]
async fn a_half_open_network_says_nothing_and_what_it_swallowed_never_arrives() {
    for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
        let (_database, proxy, url, client) = session().await;
        proxy.set(direction, Condition::HalfOpen);
        assert!(is_silent(&client).await, "{direction:?}");
        assert!(!client.is_closed());
        proxy.heal();
        wait_until_closed(&client).await;
        assert_eq!(value(&connect(&url).await).await, 1);
    }
}

#[tokio::test]
async fn a_half_open_network_that_nobody_used_goes_on() {
    let (_database, proxy, _url, client) = session().await;
    proxy.set(Direction::Both, Condition::HalfOpen);
    proxy.heal();
    assert_eq!(value(&client).await, 1);
}

#[tokio::test]
async fn a_late_and_a_slow_network_lose_nothing() {
    let (_database, proxy, _url, client) = session().await;
    let text = async || -> i64 {
        let row = client.query_one(
            "SELECT sum(length(t)) FROM (SELECT repeat('x', 1000) t \
            FROM generate_series(1, 20)) r",
            &[],
        );
        row.await.unwrap().get(0)
    };
    for condition in
        [Condition::Latency(Duration::from_millis(20)), Condition::BytesPerSecond(20_000)]
    {
        proxy.set(Direction::Both, condition);
        assert_eq!(text().await, 20_000, "{condition:?}");
    }
    proxy.set(Direction::ToClient, Condition::Latency(Duration::from_secs(3600)));
    assert!(is_silent(&client).await);
    proxy.heal();
    assert_eq!(text().await, 20_000, "what was on its way arrives at once");
}

#[tokio::test]
async fn a_reset_towards_one_side_leaves_the_other_one_hanging() {
    let (database, proxy, _url, client) = session().await;
    let direct = database.connect().await.unwrap();
    let sessions = async || -> i64 {
        let others = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        direct.query_one(others, &[]).await.unwrap().get(0)
    };
    assert_eq!(sessions().await, 1);
    proxy.reset(Direction::ToClient);
    wait_until_closed(&client).await;
    assert_eq!(sessions().await, 1, "the server was told nothing");
    proxy.heal();
    eventually(STORED_WITHIN, "the server to be told", async || {
        (sessions().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_session_is_lost_and_new_ones_are_well() {
    let (_database, proxy, url, client) = session().await;
    proxy.strand(Which::Replication);
    assert_eq!(value(&client).await, 1, "it is none in replication mode");
    proxy.strand(Which::Queries);
    assert!(is_silent(&client).await);
    proxy.heal();
    assert!(is_silent(&client).await, "it is lost for good");
    assert_eq!(value(&connect(&url).await).await, 1);
}
