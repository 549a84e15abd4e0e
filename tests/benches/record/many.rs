//! Many changes, as the worker would have stored them, made by one statement.
//!
//! Five changes are a transaction and a request, of one of 5000 users. A row's changes lie far apart, as they do in life: its
//! history is on as many pages of the disk.

use tokio_postgres::Client;

use crate::Result;

/// How many users there are.
pub(crate) const USERS: u32 = 5000;

/// How many changes a transaction has, and a request.
pub(crate) const TRANSACTION_CHANGES: u32 = 5;

/// The columns that the statement fills; the server fills the other one.
pub(crate) const COLUMNS: &str = "id, primary_key, before, after, context, database, schema, \"table\", previous_key, \
     operation, committed_at, queued_at, transaction_id, position, commit_position, sequence, before_complete";

/// Makes changes of `rows` rows: each is created, then updated again and again; in the end as many are there. With `moves`
/// one in a hundred changes gives the row another key, which is given back by the next one.
pub(crate) async fn make(client: &Client, changes: u32, rows: u32, moves: bool) -> Result<()> {
    let first: i64 = client.query_one("SELECT position FROM bemi.checkpoint", &[]).await?.get(0);
    let name = "current_database()";
    let moved = if moves { "CASE WHEN n % 100 = 77 THEN '-' || key::text END" } else { "NULL" };
    // Of a prime, so that the rows come in another order than their keys.
    client
        .batch_execute(&format!(
            "INSERT INTO changes ({COLUMNS})
             SELECT gen_random_uuid(), key::text,
                 CASE WHEN n >= {rows} THEN jsonb_build_object('id', key, 'task', 'what is to be done about number ' || key,
                     'done', n % 2 = 0, 'price', (n % 1000) / 4.0, 'updated_at', at - interval '1 day') ELSE '{{}}' END,
                 jsonb_build_object('id', key, 'task', 'what is to be done about number ' || key,
                     'done', n % 2 = 1, 'price', (n % 1000 + 1) / 4.0, 'updated_at', at),
                 jsonb_build_object('user_id', transaction % {USERS}, 'request_id', md5(transaction::text),
                     'endpoint', '/todos/' || transaction % 40, 'SQL', 'UPDATE todo SET done = $1, price = $2 WHERE id = $3'),
                 {name}, 'public', 'todo', {moved}, CASE WHEN n < {rows} THEN 'CREATE' ELSE 'UPDATE' END,
                 at, at, transaction, {first} + n * 100, {first} + (transaction + 1) * 1000, n % {TRANSACTION_CHANGES} + 1, true
             FROM (SELECT n, n / {TRANSACTION_CHANGES} AS transaction, n::bigint * 15485863 % {rows} AS key,
                     timestamptz '2026-01-01T00:00:00Z' + n / {TRANSACTION_CHANGES} * interval '10 milliseconds' AS at
                 FROM generate_series(0, {changes} - 1) AS n) AS made;
             UPDATE bemi.checkpoint SET (position, commit_position, committed_at)
                 = (SELECT max(commit_position) + 100, max(commit_position), max(committed_at) FROM changes)"
        ))
        .await?;
    Ok(())
}
