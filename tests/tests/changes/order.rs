//! The order of what is stored.

use bemi_tests::Tracked;
use std::fmt::Write as _;

/// `(commit_position, sequence)` is the order in which a second slot, read with another plugin, has
/// the same changes. Eight clients write at once, and their transactions commit out of the order in
/// which they began.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_that_in_which_the_database_committed() {
    let tracked = Tracked::new("CREATE TABLE t (id text PRIMARY KEY)").await;
    let witness = tracked.database.unique_name("witness");
    let create = format!("SELECT pg_create_logical_replication_slot('{witness}', 'test_decoding')");
    if let Err(error) = tracked.client.batch_execute(&create).await {
        // Some packages of PostgreSQL come without the plugin; CI's must not.
        assert!(error.code().is_some_and(|code| code.code() == "58P01"), "{error}");
        assert!(std::env::var_os("CI").is_none(), "{error}");
        eprintln!("left out: this PostgreSQL has no test_decoding");
        return;
    }

    let mut clients = Vec::new();
    for client in 0..8 {
        let connection = tracked.database.connect().await.unwrap();
        clients.push(tokio::spawn(async move {
            for transaction in 0..30 {
                let mut sql = String::from("BEGIN;");
                for row in 0..=(client + transaction) % 5 {
                    write!(sql, "INSERT INTO t VALUES ('{client}.{transaction}.{row}');").unwrap();
                }
                let end = if transaction % 7 == 3 { "ROLLBACK" } else { "COMMIT" };
                write!(
                    sql,
                    "UPDATE t SET id = id || 'u' WHERE id = '{client}.{transaction}.0'; {end}"
                )
                .unwrap();
                connection.batch_execute(&sql).await.unwrap();
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    tracked.store().await;

    // table public.t: INSERT: id[text]:'1.2.3'
    let rows = tracked
        .client
        .query(
            "SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL, 'include-xids', '0') \
             WHERE data LIKE 'table public.t: %'",
            &[&witness],
        )
        .await
        .unwrap();
    let witnessed: Vec<(String, String)> = rows
        .iter()
        .map(|row| {
            let text: &str = row.get(0);
            let operation = text.split(": ").nth(1).unwrap().replace("INSERT", "CREATE");
            let key = text.rsplit('\'').nth(1).unwrap().to_owned();
            (operation, key)
        })
        .collect();
    let stored: Vec<(String, String)> = tracked
        .changes()
        .await
        .into_iter()
        .map(|change| (change.operation, change.primary_key.unwrap()))
        .collect();
    assert!(stored.len() > 500, "{}", stored.len());
    assert_eq!(stored, witnessed);
}
