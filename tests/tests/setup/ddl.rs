//! What records DDL: where it is, that it goes, and that it is asked for by those who may.

use serde_json::Value;

use super::doctor::finding;
use super::fresh::Fresh;
use super::round_trip::{SCHEMA, catalog};

/// The event triggers that record DDL.
async fn triggers(fresh: &Fresh) -> Vec<String> {
    fresh
        .value(
            "SELECT coalesce(array_agg(evtname::text ORDER BY evtname), '{}') FROM pg_event_trigger \
             WHERE evtname LIKE 'bemi\\_record\\_%'",
        )
        .await
}

async fn status_says(fresh: &Fresh) -> bool {
    let status: Value =
        serde_json::from_str(&fresh.ok(&["status", "--format", "json"]).await).unwrap();
    status["rules"]["ddl"].as_bool().unwrap()
}

#[tokio::test]
async fn it_is_made_once_and_taken_back_by_its_switch_and_by_teardown() {
    let fresh = Fresh::new(SCHEMA).await;
    let before = catalog(&fresh).await;
    fresh.ok(&["setup", "--all-tables"]).await;
    assert!(triggers(&fresh).await.is_empty() && !status_says(&fresh).await);
    assert_eq!(finding(&fresh, "B042").await, None);

    let told = fresh.ok(&["setup", "--ddl"]).await;
    assert!(told.starts_with("create the event triggers that record DDL\n"), "{told}");
    assert_eq!(triggers(&fresh).await, ["bemi_record_ddl", "bemi_record_drops"]);
    assert!(status_says(&fresh).await);
    assert_eq!(finding(&fresh, "B042").await.as_deref(), Some("ok"));
    // What is not said stays.
    for arguments in [&["setup"][..], &["setup", "--ddl"]] {
        assert!(fresh.ok(arguments).await.starts_with("nothing to do\n"));
    }
    fresh.ok(&["setup", "--ddl=off"]).await;
    assert!(triggers(&fresh).await.is_empty() && !status_says(&fresh).await);
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));

    fresh.ok(&["setup", "--ddl=on"]).await;
    fresh.ok(&["teardown", "--drop-changes"]).await;
    assert_eq!(catalog(&fresh).await, before);
    fresh.sql("CREATE TABLE afterwards (id int); DROP TABLE afterwards").await;
}

#[tokio::test]
async fn what_is_broken_is_found_and_mended() {
    let fresh = Fresh::new("").await;
    fresh.ok(&["setup", "--all-tables", "--ddl"]).await;
    for (damage, mends) in [
        ("DROP EVENT TRIGGER bemi_record_ddl", ""),
        (
            "CREATE OR REPLACE FUNCTION bemi.record_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "",
        ),
        (
            "ALTER EVENT TRIGGER bemi_record_drops DISABLE",
            "ALTER EVENT TRIGGER bemi_record_drops ENABLE",
        ),
    ] {
        fresh.sql(damage).await;
        assert_eq!(finding(&fresh, "B042").await.as_deref(), Some("warn"), "{damage}");
        fresh.ok(&["setup"]).await;
        fresh.sql(mends).await;
        assert_eq!(finding(&fresh, "B042").await.as_deref(), Some("ok"), "{damage}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_is_told_and_the_rest_is_set_up() {
    let fresh = Fresh::new("").await;
    let (role, name) = (fresh.database.unique_name("owner"), fresh.database.name());
    fresh
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {name} TO {role};
             CREATE SCHEMA app AUTHORIZATION {role}; SET ROLE {role}; CREATE TABLE app.t (id int PRIMARY KEY);
             RESET ROLE"
        ))
        .await;
    let url = fresh.database.url().replace("postgres@", &format!("{role}@"));
    let setup =
        |arguments: &[&str]| fresh.worker_at(&url, arguments).env("BEMI_CHANGES_SCHEMA", "audit");
    let arguments = ["setup", "--tables", "app.*", "--ddl"];
    let told = setup(&arguments).run_to_end().await.assert_code(0);
    let says = format!("DDL is not recorded: role {role} may not create event triggers");
    assert!(
        told.stdout.contains(&says) && told.stdout.contains("create replication slot"),
        "{told}"
    );
    assert!(triggers(&fresh).await.is_empty());
    // Nor may a superuser rely on what such a role owns.
    let told = fresh.worker(&["setup", "--ddl"]).env("BEMI_CHANGES_SCHEMA", "audit");
    let told = told.run_to_end().await.assert_code(0);
    assert!(told.stdout.contains("must not rely on"), "{told}");
    assert!(triggers(&fresh).await.is_empty());
    setup(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    fresh.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn an_event_trigger_of_somebody_else_is_refused() {
    let fresh = Fresh::new(
        "CREATE FUNCTION other() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER bemi_record_drops ON sql_drop EXECUTE FUNCTION other()",
    )
    .await;
    let says = ["event trigger bemi_record_drops exists already", "DROP EVENT TRIGGER"];
    fresh.refused(&["setup", "--all-tables", "--ddl"], 3, &says).await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh.ok(&["teardown"]).await;
    assert_eq!(triggers(&fresh).await, ["bemi_record_drops"]);
}
