//! The function that every setup installs for SQL itself.

use super::doctor::finding;
use super::fresh::Fresh;
use super::round_trip::catalog;

const CALL: &str = "SELECT bemi.set_context('{\"user\": \"ops\"}')";

/// What a version that did not have it yet left behind.
const BEFORE_IT: &str = "
    DROP FUNCTION bemi.set_context(jsonb); DROP FUNCTION bemi.redacted(jsonb, integer);
    REVOKE USAGE ON SCHEMA bemi FROM PUBLIC;
    DELETE FROM bemi.installation WHERE kind IN ('function', 'schema usage')";

#[tokio::test]
async fn an_installation_of_before_gets_it_by_running_setup_again() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let before = catalog(&fresh).await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let whole = catalog(&fresh).await;
    fresh.sql(BEFORE_IT).await;
    assert_eq!(finding(&fresh, "B036").await.as_deref(), Some("warn"));

    let told = fresh.ok(&["setup"]).await;
    assert_eq!(told, "create function bemi.set_context, by which SQL says its context\n");
    assert_eq!(finding(&fresh, "B036").await.as_deref(), Some("ok"));
    assert_eq!(catalog(&fresh).await, whole);
    fresh.sql(CALL).await;
    fresh.ok(&["teardown", "--drop-changes"]).await;
    assert_eq!(catalog(&fresh).await, before);
}

#[tokio::test]
async fn that_of_another_version_is_replaced_and_who_may_call_it_stays() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh
        .sql(
            "CREATE OR REPLACE FUNCTION bemi.set_context(context jsonb) RETURNS void
                 LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''old''; END';
             REVOKE EXECUTE ON FUNCTION bemi.set_context(jsonb) FROM PUBLIC",
        )
        .await;
    assert_eq!(finding(&fresh, "B036").await.as_deref(), Some("warn"));
    assert!(fresh.ok(&["setup"]).await.contains("create function bemi.set_context"));
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
    fresh.sql(CALL).await;
    let open = "SELECT EXISTS (SELECT FROM pg_proc p, aclexplode(p.proacl) a
                               WHERE p.proname = 'set_context' AND a.grantee = 0)";
    assert!(!fresh.value::<bool>(open).await);
}

#[tokio::test]
async fn default_privileges_that_close_functions_do_not_close_it() {
    let fresh = Fresh::new(
        "CREATE TABLE t (id int PRIMARY KEY);
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    )
    .await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let role = fresh.database.unique_name("app");
    fresh.sql(&format!("CREATE ROLE {role}; SET ROLE {role}; {CALL}; RESET ROLE")).await;
    fresh.sql(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn one_of_somebody_else_is_refused() {
    let fresh = Fresh::new(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA bemi;
         CREATE FUNCTION bemi.set_context(jsonb) RETURNS void LANGUAGE sql AS ''",
    )
    .await;
    let says = ["function bemi.set_context(jsonb) exists already, and setup did not make it"];
    fresh.refused(&["setup", "--all-tables"], 3, &says).await;
}

#[tokio::test]
async fn a_role_that_may_not_create_it_is_told_and_all_the_rest_is_done() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let role = fresh.database.unique_name("role");
    // Not the owner of what setup made, but allowed to use it.
    fresh
        .sql(&format!(
            "{BEFORE_IT}; CREATE FUNCTION bemi.set_context(context jsonb) RETURNS void LANGUAGE sql AS '';
             INSERT INTO bemi.installation VALUES ('function', 'bemi.set_context(jsonb)');
             CREATE ROLE {role} LOGIN REPLICATION; GRANT ALL ON SCHEMA bemi TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA bemi TO {role}"
        ))
        .await;
    let url = fresh.database.url().replace("postgres://postgres@", &format!("postgres://{role}@"));
    let told = fresh.worker_at(&url, &["setup"]).run_to_end().await.assert_code(0);
    assert!(
        told.stdout.contains("note: function bemi.set_context is missing, or of another"),
        "{told}"
    );
    fresh.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}
