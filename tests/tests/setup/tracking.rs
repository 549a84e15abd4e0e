//! Which tables are tracked, and how.

use super::fresh::Fresh;

const SCHEMA: &str = "
CREATE TABLE todo (id bigint PRIMARY KEY);
CREATE TABLE users (id bigint PRIMARY KEY, email text, password_hash text);
CREATE TABLE log_1 (line text);
CREATE TABLE \"Log_2\" (line text);
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id bigint PRIMARY KEY);
CREATE TABLE sales.log_3 (line text)";

#[tokio::test]
async fn keep_leaves_identities_alone_and_full_sets_them() {
    let fresh = Fresh::new(SCHEMA).await;
    let identity = "SELECT string_agg(DISTINCT relreplident::text, '') FROM pg_class \
        WHERE relname IN ('todo', 'users', 'log_1', 'Log_2', 'orders', 'log_3')";
    let told = fresh.ok(&["setup", "--all-tables"]).await;
    assert_eq!(fresh.value::<String>(identity).await, "d");
    assert!(told.contains("UPDATE and DELETE of public.\"Log_2\", public.log_1"), "{told}");
    assert_eq!(fresh.published("bemi").await, ["public.todo", "public.users", "sales.orders"]);
    let without = fresh.published("bemi_insert_only").await;
    assert_eq!(without, ["public.Log_2", "public.log_1", "sales.log_3"]);
    // Published for insert only, the application may still update it.
    fresh.sql("INSERT INTO log_1 VALUES ('a'); UPDATE log_1 SET line = 'b'").await;

    fresh.ok(&["setup", "--replica-identity", "full"]).await;
    assert_eq!(fresh.value::<String>(identity).await, "f");
    assert_eq!(fresh.published("bemi").await.len(), 6);
    assert!(fresh.published("bemi_insert_only").await.is_empty());
}

#[tokio::test]
async fn names_are_written_as_in_psql_and_rules_add_up() {
    let fresh = Fresh::new(SCHEMA).await;
    fresh.ok(&["setup", "--tables", "TODO,\"Log_2\"", "--tables", "Sales.*"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.todo", "sales.orders"]);
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.Log_2", "sales.log_3"]);

    fresh.ok(&["setup", "--tables", "users", "--exclude", "sales.log_*"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.todo", "public.users", "sales.orders"]);
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.Log_2"]);
    // Taken back by the same pattern.
    fresh.ok(&["setup", "--tables", "sales.log_*"]).await;
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.Log_2", "sales.log_3"]);
}

#[tokio::test]
async fn what_somebody_else_publishes_with_ours_stays() {
    let fresh = Fresh::new(SCHEMA).await;
    fresh.ok(&["setup", "--tables", "todo"]).await;
    fresh.sql("ALTER PUBLICATION bemi ADD TABLE users").await;
    let told = fresh.ok(&["setup"]).await;
    assert!(told.starts_with("nothing to do"), "{told}");
    assert_eq!(fresh.published("bemi").await, ["public.todo", "public.users"]);
}

#[tokio::test]
async fn excluded_columns_are_never_stored() {
    let fresh = Fresh::new(SCHEMA).await;
    let full = ["--replica-identity", "full"];
    let exclude = ["--exclude", "*.*.password_*"];
    fresh.ok(&[&["setup", "--all-tables"], &full[..], &exclude[..]].concat()).await;
    fresh
        .sql(
            "INSERT INTO users VALUES (1, 'a@example', 'hunter2');
             UPDATE users SET password_hash = 'hunter3', email = 'b@example';
             DELETE FROM users",
        )
        .await;
    fresh.ok(&["run", "--once"]).await;
    let rows: Vec<String> = fresh
        .value("SELECT array_agg(c::text ORDER BY sequence, commit_position) FROM changes c")
        .await;
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| !row.contains("hunter") && row.contains("example")), "{rows:?}");
}

#[tokio::test]
async fn a_key_cannot_be_excluded() {
    let fresh = Fresh::new(SCHEMA).await;
    let arguments = ["setup", "--all-tables", "--exclude", "public.users.id"];
    fresh.refused(&arguments, 3, &["id of public.users", "identifies the row"]).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM pg_publication").await, 0);
}

#[tokio::test]
async fn partitions_are_tracked_through_their_root() {
    let fresh = Fresh::new(
        "CREATE TABLE events (id int, day date, note text) PARTITION BY RANGE (day);
         CREATE TABLE events_2025 PARTITION OF events
             FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         CREATE TABLE keyed (id int PRIMARY KEY, day date)",
    )
    .await;
    let partition = ["setup", "--tables", "events_2025"];
    fresh.refused(&partition, 3, &["partition of public.events"]).await;
    fresh.ok(&["setup", "--tables", "events"]).await;
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.events"]);
    fresh.ok(&["setup", "--replica-identity", "full"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.events"]);
    fresh
        .sql(
            "CREATE TABLE events_2026 PARTITION OF events
                 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
             INSERT INTO events VALUES (1, '2025-05-05', 'a'), (2, '2026-05-05', 'b');
             UPDATE events SET note = 'c'",
        )
        .await;
    fresh.ok(&["run", "--once"]).await;
    let stored = "SELECT count(*) FROM changes WHERE \"table\" = 'events' \
        AND (operation = 'CREATE' OR operation = 'UPDATE' AND before_complete AND before ? 'note')";
    assert_eq!(fresh.value::<i64>(stored).await, 4);
}
