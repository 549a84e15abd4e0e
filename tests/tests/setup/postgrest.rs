//! The triggers that take the context of PostgREST's requests: where they are, and that they go.

use serde_json::Value;

use super::doctor::finding;
use super::fresh::Fresh;
use super::round_trip::{SCHEMA, catalog};

const ON: [&str; 3] = ["setup", "--all-tables", "--postgrest"];

/// The tables that have the trigger.
async fn triggers(fresh: &Fresh) -> Vec<String> {
    fresh
        .value(
            "SELECT coalesce(array_agg(name ORDER BY name COLLATE \"C\"), '{}')
             FROM (SELECT tgrelid::regclass::text AS name FROM pg_trigger
                   WHERE tgname = '!bemi_context') AS names",
        )
        .await
}

/// As setup and the event trigger make them: they must be the same, and fire once for any statement.
async fn definitions(fresh: &Fresh) -> Vec<String> {
    fresh
        .value(
            "SELECT array_agg(DISTINCT replace(pg_get_triggerdef(oid), tgrelid::regclass::text, 't'))
             FROM pg_trigger WHERE tgname = '!bemi_context'",
        )
        .await
}

#[tokio::test]
async fn every_tracked_table_and_partition_has_one_and_teardown_takes_them_all() {
    let fresh = Fresh::new(SCHEMA).await;
    let before = catalog(&fresh).await;
    let told = fresh.ok(&[&ON[..], &["--exclude", "log"]].concat()).await;
    assert!(told.contains("take the context of PostgREST's requests on public.todo\n"), "{told}");
    let with = [
        r#""My ""Schema"".x"."T.a'b\😀 %I""#,
        "already",
        "events",
        "events_2025",
        "indexed",
        "nothing",
        "todo",
    ];
    assert_eq!(triggers(&fresh).await, with);
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
    assert!(fresh.ok(&ON).await.starts_with("nothing to do\n"));
    fresh.ok(&["teardown", "--drop-changes"]).await;
    assert_eq!(catalog(&fresh).await, before);
}

#[tokio::test]
async fn new_tables_and_partitions_get_the_same_as_they_are_made() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&ON).await;
    fresh
        .sql(
            "CREATE TABLE later (id int PRIMARY KEY);
             CREATE TABLE root (id int PRIMARY KEY) PARTITION BY LIST (id);
             CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);
             CREATE TABLE joined (id int PRIMARY KEY);
             ALTER TABLE root ATTACH PARTITION joined FOR VALUES IN (2);
             CREATE TEMPORARY TABLE temporary (id int); CREATE UNLOGGED TABLE unlogged (id int)",
        )
        .await;
    assert_eq!(triggers(&fresh).await, ["joined", "later", "leaf", "root", "t"]);
    assert_eq!(
        definitions(&fresh).await,
        [
            "CREATE TRIGGER \"!bemi_context\" BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.t \
          FOR EACH STATEMENT EXECUTE FUNCTION bemi.emit_request_context()"
        ]
    );
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
    fresh.ok(&["teardown"]).await;
    assert!(triggers(&fresh).await.is_empty());
}

#[tokio::test]
async fn unasked_for_there_are_none_and_off_removes_them() {
    let fresh =
        Fresh::new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
            .await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let without = catalog(&fresh).await;
    assert!(!without.iter().any(|line| line.contains("postgrest") || line.contains("TRIGGER \"!")));
    fresh.ok(&["setup", "--postgrest"]).await;
    // A table that is not tracked any more loses it.
    fresh.ok(&["setup", "--exclude", "u"]).await;
    assert_eq!(triggers(&fresh).await, ["t"]);
    fresh.ok(&["setup", "--tables", "u"]).await;
    assert_eq!(triggers(&fresh).await, ["t", "u"]);
    fresh.ok(&["setup", "--postgrest=off"]).await;
    assert_eq!(catalog(&fresh).await, without);
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
    fresh.sql("CREATE TABLE later (id int PRIMARY KEY)").await;
    assert!(triggers(&fresh).await.is_empty());
}

#[tokio::test]
async fn a_dry_run_and_a_script_tell_of_it_all() {
    let fresh = Fresh::new(SCHEMA).await;
    let before = catalog(&fresh).await;
    let dry = fresh.ok(&[&ON[..], &["--dry-run"]].concat()).await;
    assert!(
        dry.contains("would take the context of PostgREST's requests on public.events_2025\n"),
        "{dry}"
    );
    let script = fresh.ok(&[&ON[..], &["--print-sql"]].concat()).await;
    assert_eq!(catalog(&fresh).await, before);
    for step in script.split("\n-- ") {
        fresh.sql(&format!("-- {step}").replace("-- SET", "SET")).await;
    }
    let told = fresh.ok(&ON).await;
    assert!(told.starts_with("nothing to do\n"), "{told}");
}

#[tokio::test]
async fn status_and_doctor_tell_of_it() {
    let fresh =
        Fresh::new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
            .await;
    fresh.ok(&["setup", "--all-tables"]).await;
    assert!(!fresh.ok(&["status"]).await.contains("PostgREST"));
    assert_eq!(finding(&fresh, "B038").await, None);
    fresh.ok(&["setup", "--postgrest"]).await;
    let status = fresh.ok(&["status"]).await;
    assert!(
        status.contains("PostgREST           requests give their context to 2 tables\n"),
        "{status}"
    );
    let status: Value =
        serde_json::from_str(&fresh.ok(&["status", "--format", "json"]).await).unwrap();
    assert_eq!(status["request_triggers"], 2);
    assert_eq!(finding(&fresh, "B038").await.as_deref(), Some("ok"));

    for (damage, code) in [
        ("DROP TRIGGER \"!bemi_context\" ON t", "B038"),
        ("DROP FUNCTION bemi.emit_request_context() CASCADE", "B037"),
        ("DROP FUNCTION public.bemi_set_context(text)", "B037"),
    ] {
        fresh.sql(damage).await;
        assert_eq!(finding(&fresh, code).await.as_deref(), Some("warn"), "{damage}");
        fresh.ok(&["setup"]).await;
        assert_eq!(finding(&fresh, "B038").await.as_deref(), Some("ok"), "{damage}");
    }
    fresh.sql("ALTER TABLE t DISABLE TRIGGER \"!bemi_context\"").await;
    assert_eq!(finding(&fresh, "B039").await.as_deref(), Some("warn"));
    fresh.sql("ALTER TABLE t ENABLE TRIGGER \"!bemi_context\"").await;
    fresh.sql("REVOKE USAGE ON SCHEMA bemi FROM PUBLIC").await;
    assert_eq!(finding(&fresh, "B040").await.as_deref(), Some("warn"));
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"), "who closed it meant to");
}

#[tokio::test]
async fn the_function_of_another_package_is_refused_until_it_is_dropped() {
    let fresh = Fresh::new(
        "CREATE TABLE t (id int PRIMARY KEY);
         CREATE FUNCTION bemi_set_context(context text) RETURNS text LANGUAGE sql
             AS $$ SELECT set_config('bemi.context', context, false) $$",
    )
    .await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let says = ["function public.bemi_set_context(text) exists already", "DROP FUNCTION"];
    fresh.refused(&["setup", "--postgrest"], 3, &says).await;
    assert!(triggers(&fresh).await.is_empty());
    fresh.sql("DROP FUNCTION bemi_set_context(text)").await;
    fresh.ok(&["setup", "--postgrest"]).await;
    assert_eq!(triggers(&fresh).await, ["t"]);
}

/// As on Supabase, whose `postgres` is no superuser.
#[tokio::test]
async fn the_owner_of_the_tables_is_enough() {
    let fresh = Fresh::new("").await;
    let role = fresh.database.unique_name("owner");
    fresh
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {} TO {role};
             GRANT USAGE ON SCHEMA public TO {role}; SET ROLE {role};
             CREATE SCHEMA audit; RESET ROLE;
             CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO {role}",
            fresh.database.name()
        ))
        .await;
    let url = fresh.database.url().replace("postgres://postgres@", &format!("postgres://{role}@"));
    let run = async |arguments: &[&str]| {
        let arguments = [arguments, &["--changes-schema", "audit"]].concat();
        fresh.worker_at(&url, &arguments).run_to_end().await
    };
    fresh.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let refused = run(&ON).await.assert_code(6);
    assert!(refused.stderr.contains("GRANT CREATE ON SCHEMA public"), "{refused}");
    fresh.sql(&format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    run(&ON).await.assert_code(0);
    assert!(run(&["setup"]).await.assert_code(0).stdout.starts_with("nothing to do\n"));
    assert_eq!(triggers(&fresh).await, ["t"]);
    run(&["teardown", "--drop-changes"]).await.assert_code(0);
    assert!(triggers(&fresh).await.is_empty());
    fresh.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}
