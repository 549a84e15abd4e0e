//! Triggers, rules and views: what is recorded is what happened to tables, whoever asked for it.

use bemi_tests::Tracked;
use serde_json::json;

use super::expected::{created, deleted, emit, recorded, updated};

#[tokio::test]
async fn what_a_trigger_makes_of_a_row_is_the_row() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text); \
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.a = 'drop' THEN RETURN NULL; END IF; NEW.a := upper(NEW.a); RETURN NEW; END $$; \
         CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout()",
    )
    .await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'), (2, 'drop'); UPDATE t SET a = 'b'").await;
    let (a, b) = (json!({"id": 1, "a": "A"}), json!({"id": 1, "a": "B"}));
    assert_eq!(recorded(&tracked).await, [created("t", "1", a.clone()), updated("t", "1", a, b)]);
}

#[tokio::test]
async fn what_triggers_write_elsewhere_has_the_context_of_the_statement() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (line text); CREATE TABLE total (rows bigint); \
         INSERT INTO total VALUES (0); \
         CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO log VALUES (TG_WHEN || ' ' || NEW.id); RETURN NEW; END $$; \
         CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             UPDATE total SET rows = rows + (SELECT count(*) FROM fresh); RETURN NULL; END $$; \
         CREATE TRIGGER before_row BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION log_row(); \
         CREATE TRIGGER after_row AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION log_row(); \
         CREATE TRIGGER after_all AFTER INSERT ON t REFERENCING NEW TABLE AS fresh \
             FOR EACH STATEMENT EXECUTE FUNCTION count_rows()",
    )
    .await;
    let context = json!({"user": 1});
    tracked.sql(&format!("BEGIN; {} INSERT INTO t VALUES (1), (2); COMMIT", emit(&context))).await;
    let log = |line: &str| created("log", None, json!({"line": line}));
    assert_eq!(
        recorded(&tracked).await,
        [
            log("BEFORE 1"),
            created("t", "1", json!({"id": 1})),
            log("BEFORE 2"),
            created("t", "2", json!({"id": 2})),
            log("AFTER 1"),
            log("AFTER 2"),
            updated("total", None, json!({"rows": 0}), json!({"rows": 2})),
        ]
        .map(|change| change.by(context.clone()))
    );
}

/// What is put off to the commit happens under the context that is in force then.
#[tokio::test]
async fn a_constraint_trigger_that_waits_for_the_commit_writes_last() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (line text); \
         CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO log VALUES (NEW.id); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION log_row()",
    )
    .await;
    let (first, second) = (json!({"user": 1}), json!({"user": 2}));
    tracked
        .sql(&format!(
            "BEGIN; {} INSERT INTO t VALUES (1); {} INSERT INTO t VALUES (2); COMMIT",
            emit(&first),
            emit(&second)
        ))
        .await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1})).by(first),
            created("t", "2", json!({"id": 2})).by(second.clone()),
            created("log", None, json!({"line": "1"})).by(second.clone()),
            created("log", None, json!({"line": "2"})).by(second),
        ]
    );
}

#[tokio::test]
async fn what_is_written_through_a_view_is_recorded_of_its_table() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text); \
         CREATE VIEW simple AS SELECT id AS number, a FROM t; \
         CREATE VIEW joined AS SELECT t.id, t.a, 1 AS one FROM t JOIN t u USING (id); \
         CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             DELETE FROM t WHERE id = OLD.id; RETURN OLD; END $$; \
         CREATE TRIGGER instead INSTEAD OF DELETE ON joined FOR EACH ROW EXECUTE FUNCTION instead()",
    )
    .await;
    tracked
        .sql("INSERT INTO simple VALUES (1, 'a'); UPDATE simple SET a = 'b'; DELETE FROM joined")
        .await;
    let (a, b) = (json!({"id": 1, "a": "a"}), json!({"id": 1, "a": "b"}));
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", a.clone()), updated("t", "1", a, b.clone()), deleted("t", "1", b)]
    );
}

#[tokio::test]
async fn rules_are_recorded_by_what_they_make_of_a_statement() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, gone bool DEFAULT false); CREATE TABLE log (line text); \
         CREATE RULE log AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id); \
         CREATE RULE keep AS ON DELETE TO t DO INSTEAD UPDATE t SET gone = true WHERE id = OLD.id",
    )
    .await;
    tracked.sql("INSERT INTO t VALUES (1); DELETE FROM t").await;
    let row = |gone: bool| json!({"id": 1, "gone": gone});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", row(false)),
            created("log", None, json!({"line": "1"})),
            updated("t", "1", row(false), row(true)),
        ]
    );
}
