//! Erasure: what goes, what stays, and that the chain tells it from tampering.

use bemi_tests::Output;
use serde_json::{Value, json};

use crate::chained::{Chained, KEY};

const SCHEMA: &str = "CREATE TABLE users (id int PRIMARY KEY, name text, email text); \
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, address text)";

/// Ann is user 1, and later 10; Ben is user 2.
async fn shop(key: Option<&'static str>) -> Chained {
    let chained = Chained::with(SCHEMA, key).await;
    let emit = |who: &str| {
        format!(
            "SELECT pg_logical_emit_message(true, '_bemi', '{{\"user_id\": \"{who}\", \"ip\": \"::1\"}}')"
        )
    };
    let (ann, ben) = (emit("ann"), emit("ben"));
    chained
        .sql(&format!(
            "BEGIN; {ann}; INSERT INTO users VALUES (1, 'Ann', 'ann@example.com'); \
             INSERT INTO orders VALUES (7, 1, 'Elm Street'); COMMIT; \
             BEGIN; {ben}; INSERT INTO users VALUES (2, 'Ben', 'ben@example.com'); \
             UPDATE users SET id = 10, name = 'Anna' WHERE id = 1; COMMIT; \
             BEGIN; {ann}; UPDATE users SET email = 'anna@example.com' WHERE id = 10; COMMIT"
        ))
        .await;
    chained.store().await;
    chained
}

async fn erase(chained: &Chained, arguments: &[&str]) -> Output {
    let output = chained.worker(&[&["erase", "--yes"], arguments].concat()).run_to_end().await;
    output.assert_code(0)
}

/// Everything of ours in the destination that holds this text.
async fn holds(chained: &Chained, text: &str) -> bool {
    chained
        .tracked
        .value(&format!(
            "SELECT EXISTS (SELECT FROM changes c WHERE c::text LIKE '%{text}%') \
                 OR EXISTS (SELECT FROM bemi.erasures e WHERE e::text LIKE '%{text}%')"
        ))
        .await
}

#[tokio::test]
async fn a_record_is_erased_under_all_its_keys_and_what_happened_stays() {
    for key in [None, Some(KEY)] {
        let chained = shop(key).await;
        let before: i64 = chained.tracked.count().await;
        let output =
            erase(&chained, &["--table", "users", "--key", "10", "--reason", "request 7"]).await;
        assert!(output.stdout.contains("also had the keys 1"), "{}", output.stdout);
        for text in ["Ann", "ann@", "anna@"] {
            assert!(!holds(&chained, text).await, "{text}");
        }
        assert!(holds(&chained, "Ben").await && holds(&chained, "Elm Street").await);
        assert_eq!(chained.tracked.count().await, before);
        let changes = chained.tracked.changes().await;
        let first = &changes[0];
        assert_eq!((first.what(), &first.after), (("CREATE", "1"), &json!({ "id": 1 })));
        assert_eq!(first.unavailable, Some(vec!["email".to_owned(), "name".to_owned()]));
        assert_eq!(first.context["user_id"], "ann", "who did it is another question");
        let update = changes.iter().find(|change| change.previous_key.is_some()).unwrap();
        assert!(!update.before_complete);
        let report = chained.sound().await;
        assert_eq!(report["erased"].as_u64(), Some(3));
    }
}

#[tokio::test]
async fn a_subject_is_erased_from_the_contexts_of_what_they_did() {
    let chained = shop(None).await;
    erase(&chained, &["--subject", "user_id=ann"]).await;
    let changes = chained.tracked.changes().await;
    let erased: Vec<&Value> =
        changes.iter().map(|change| &change.context).filter(|c| c.get("ip").is_none()).collect();
    assert_eq!(erased.len(), 3);
    assert!(
        erased
            .iter()
            .all(|context| **context == json!({ "_bemi": { "erased": ["ip", "user_id"] } }))
    );
    assert!(holds(&chained, "Anna").await, "rows are another question");
    assert_eq!(chained.sound().await["erased"].as_u64(), Some(3));
}

#[tokio::test]
async fn rows_are_erased_by_a_column_and_columns_by_name() {
    let chained = shop(None).await;
    let arguments = ["--table", "orders", "--where", "user_id=1", "--columns", "address"];
    let preview = chained.worker(&[&["erase", "--dry-run"], &arguments[..]].concat());
    let preview = preview.run_to_end().await.assert_code(0);
    assert!(preview.stdout.contains("1 would be erased"), "{}", preview.stdout);
    assert!(holds(&chained, "Elm Street").await);
    erase(&chained, &arguments).await;
    assert!(!holds(&chained, "Elm Street").await);
    let again = erase(&chained, &arguments).await;
    assert!(again.stdout.contains("nothing erased"), "{}", again.stdout);
    chained.sound().await;
}

#[tokio::test]
async fn the_past_does_not_invent_what_was_erased() {
    let chained = shop(None).await;
    erase(&chained, &["--table", "users", "--key", "2"]).await;
    let asked = ["as-of", "now", "users", "2", "--format", "json"];
    let output = chained.worker(&asked).run_to_end().await;
    assert!(!output.stdout.contains("Ben"), "{}", output.stdout);
    assert!(
        output.code != Some(0) || output.stdout.to_lowercase().contains("incomplete"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_change_that_was_altered_after_it_was_erased_is_found() {
    for tampering in [
        "UPDATE changes SET after = after || '{\"name\": \"Eve\"}' WHERE unavailable IS NOT NULL",
        "UPDATE bemi.erasures SET reason = 'another one'",
        "DELETE FROM bemi.erasures",
        "DELETE FROM changes WHERE unavailable IS NOT NULL",
    ] {
        let chained = shop(None).await;
        erase(&chained, &["--table", "users", "--key", "2"]).await;
        chained.sound().await;
        chained.tamper(tampering).await;
        assert_eq!(chained.kinds().await.len(), 1, "{tampering}");
    }
}

#[tokio::test]
async fn nothing_that_is_left_lets_anybody_try_what_was_erased() {
    let chained = shop(None).await;
    erase(&chained, &["--table", "users", "--key", "2"]).await;
    let without_salt: i64 = chained
        .tracked
        .value(
            "SELECT count(*) FROM bemi.chain_rows, generate_series(0, length(salts) / 16 - 1) AS i \
             WHERE substring(salts FROM i * 16 + 1 FOR 16) = decode(repeat('00', 16), 'hex')",
        )
        .await;
    assert_eq!(without_salt, 1);
}

#[tokio::test]
async fn the_key_stays_and_is_not_to_be_named() {
    let chained = shop(None).await;
    let arguments = ["erase", "--yes", "--table", "users", "--key", "2", "--columns", "id"];
    let output = chained.worker(&arguments).run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("is the key"), "{}", output.stderr);
}
