//! How the pack is installed, brought up to date, and removed.

use super::packed::Packed;

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text)";

/// Everything of the pack in the catalog, one line each, with who may use it.
async fn catalog(packed: &Packed) -> Vec<String> {
    packed
        .texts(
            "SELECT line FROM (
                 SELECT format('%s %s %s', p.oid::regprocedure, p.proacl, md5(p.prosrc)) AS line
                 FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM pg_namespace
                                                         WHERE nspname IN ('bemi', 'bemi_past'))
                 UNION ALL
                 SELECT format('%s %s %s', c.oid::regclass, c.relacl, obj_description(c.oid))
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname IN ('bemi', 'bemi_past')
                 UNION ALL
                 SELECT format('schema %s %s', nspname, nspacl) FROM pg_namespace
                 WHERE nspname LIKE 'bemi%'
             ) AS lines ORDER BY line",
        )
        .await
}

#[tokio::test]
async fn nothing_is_installed_unless_it_is_asked_for() {
    let packed = Packed::new(TODO).await;
    packed.ok(&["teardown", "--drop-changes"]).await;
    packed.setup(&["--all-tables"]).await;
    let functions = packed.texts("SELECT to_regproc('bemi.history')::text IS NULL || ''").await;
    assert_eq!(functions, ["true"]);
}

#[tokio::test]
async fn setup_without_the_flag_keeps_it_and_has_nothing_to_do() {
    for packed in [Packed::new(TODO).await, Packed::in_two_databases(TODO).await] {
        let before = catalog(&packed).await;
        for arguments in [&[][..], &["--sql-pack"], &["--sql-pack=on"]] {
            let told = packed.setup(arguments).await;
            assert!(told.starts_with("nothing to do\n"), "{told}");
        }
        assert_eq!(catalog(&packed).await, before);
    }
}

#[tokio::test]
async fn off_removes_it_and_nothing_else_and_so_does_teardown() {
    for packed in [Packed::new(TODO).await, Packed::in_two_databases(TODO).await] {
        packed.setup(&["--sql-pack=off"]).await;
        let without = catalog(&packed).await;
        assert!(!without.iter().any(|line| line.contains("history")), "{without:?}");
        packed.setup(&["--sql-pack"]).await;
        assert_ne!(catalog(&packed).await, without);
        let told = packed.setup(&["--sql-pack=off"]).await;
        assert_eq!(told, "remove the SQL pack from schema bemi\n");
        assert_eq!(catalog(&packed).await, without);

        packed.setup(&["--sql-pack"]).await;
        let told = packed.ok(&["teardown"]).await;
        assert!(told.contains("remove the SQL pack from schema bemi\n"), "{told}");
        let left = packed
            .texts(
                "SELECT object FROM (SELECT to_regproc('bemi.history')::text) AS o (object) \
                                 WHERE object IS NOT NULL",
            )
            .await;
        assert_eq!(left, [""; 0]);
        packed.ok(&["teardown", "--drop-changes"]).await;
        assert_eq!(catalog(&packed).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_dry_run_tells_of_it_and_what_is_printed_installs_it() {
    let packed = Packed::new(TODO).await;
    let installed = catalog(&packed).await;
    packed.setup(&["--sql-pack=off"]).await;
    let without = catalog(&packed).await;
    let told = packed.setup(&["--sql-pack", "--dry-run"]).await;
    assert_eq!(told, "would install the SQL pack in schema bemi\n");
    let script = packed.setup(&["--sql-pack", "--print-sql"]).await;
    assert_eq!(catalog(&packed).await, without);
    packed.sql(&script).await;
    assert_eq!(catalog(&packed).await, installed);
    assert!(packed.setup(&[]).await.starts_with("nothing to do\n"));
}

#[tokio::test]
async fn what_is_of_another_version_is_brought_up_to_date() {
    for packed in [Packed::new(TODO).await, Packed::in_two_databases(TODO).await] {
        let before = catalog(&packed).await;
        // One whose result was another, one that was made differently, one that there is no more, and
        // one that somebody has dropped.
        packed
            .client()
            .batch_execute(
                "DROP FUNCTION bemi.history(text, text);
                 CREATE FUNCTION bemi.history(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1';
                 UPDATE bemi.sql_pack SET head = 'of old', digest = 'of old', version = '0.0.1'
                 WHERE object = 'FUNCTION bemi.history(text, text)';
                 UPDATE bemi.sql_pack SET digest = 'of old'
                 WHERE object = 'FUNCTION bemi.field_changes(text, text)';
                 CREATE FUNCTION bemi.of_old(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
                 INSERT INTO bemi.sql_pack
                 VALUES ('FUNCTION bemi.of_old(integer)', 900, '', '', '0.0.1');
                 DROP FUNCTION bemi.table_named(text)",
            )
            .await
            .unwrap();
        let told = packed.setup(&[]).await;
        assert_eq!(told, "bring the SQL pack in schema bemi up to date\n");
        assert_eq!(catalog(&packed).await, before);
        let versions = packed.texts("SELECT DISTINCT version FROM bemi.sql_pack").await;
        assert_eq!(versions, [env!("CARGO_PKG_VERSION")]);
    }
}

#[tokio::test]
async fn what_an_administrator_says_of_who_may_use_it_holds() {
    let packed = Packed::new(TODO).await;
    packed.sql("REVOKE EXECUTE ON FUNCTION bemi.history(text, text) FROM PUBLIC").await;
    let before = catalog(&packed).await;
    packed.sql("UPDATE bemi.sql_pack SET digest = 'of old'").await;
    packed.setup(&[]).await;
    assert_eq!(catalog(&packed).await, before);
}

#[tokio::test]
async fn changes_may_be_in_a_schema_of_any_name() {
    let packed = Packed::new(TODO).await;
    packed.ok(&["teardown", "--drop-changes"]).await;
    let schema = "My \"Audit\"; DROP TABLE todo --";
    let with = |arguments: &[&'static str]| [arguments, &["--changes-schema", schema]].concat();
    packed.ok(&with(&["setup", "--all-tables", "--sql-pack"])).await;
    packed.sql("INSERT INTO todo VALUES (1, 'Eat')").await;
    packed.ok(&with(&["run", "--once"])).await;
    let history = packed.texts("SELECT operation FROM bemi.history('todo', '1')").await;
    assert_eq!(history, ["CREATE"]);
    assert!(packed.ok(&with(&["setup"])).await.starts_with("nothing to do\n"));
}

#[tokio::test]
async fn every_function_has_a_path_that_nobody_can_put_anything_into() {
    let packed = Packed::new(TODO).await;
    let without = packed
        .texts(
            "SELECT p.oid::regprocedure::text FROM pg_proc p
             WHERE p.pronamespace = 'bemi'::regnamespace
               AND NOT coalesce(p.proconfig, '{}') @> '{\"search_path=pg_catalog, pg_temp\"}'",
        )
        .await;
    assert_eq!(without, [""; 0]);
    let definers = "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN bemi.sql_pack s \
                    ON s.object = 'FUNCTION ' || p.oid::regprocedure::text WHERE p.prosecdef";
    assert_eq!(packed.texts(definers).await, [""; 0]);
}
