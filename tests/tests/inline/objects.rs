//! Tables that are not plain: partitions, views, policies, rules.

use bemi_core::statement::with_message;
use tokio_postgres::error::SqlState;

use crate::journal::{EMITTED, Journal, entries_of};
use crate::twins::{MESSAGE, Twins, clusters};

#[tokio::test]
async fn partitions_and_children() {
    let definitions = "\
        CREATE TABLE t (id int, a int, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); \
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20); \
        CREATE TABLE parent (id int); CREATE TABLE child (b int) INHERITS (parent); \
        INSERT INTO child VALUES (1, 1); INSERT INTO parent VALUES (2);";
    for cluster in clusters() {
        let twins = Twins::new(cluster, definitions).await;
        let journal = Journal::of(&twins.database).await;
        for (sql, expected) in [
            (
                "INSERT INTO t (id, a) VALUES (1, 1) RETURNING tableoid::regclass::text",
                &[EMITTED, "t1: INSERT"][..],
            ),
            ("INSERT INTO t (id, a) VALUES (11, 1)", &[EMITTED, "t2: INSERT"]),
            ("UPDATE t SET a = 2 WHERE true", &[EMITTED, "t1: UPDATE", "t2: UPDATE"]),
            ("UPDATE t SET a = 3 WHERE id = 11", &[EMITTED, "t2: UPDATE"]),
            ("UPDATE t SET id = 12 WHERE id = 1", &[EMITTED, "t1: DELETE", "t2: INSERT"]),
            ("UPDATE t SET a = 3 WHERE id = 99", &[]),
            ("DELETE FROM t WHERE a > 0", &[EMITTED, "t2: DELETE", "t2: DELETE"]),
            (
                "UPDATE parent SET id = id + 1 WHERE true",
                &[EMITTED, "parent: UPDATE", "child: UPDATE"],
            ),
            ("DELETE FROM ONLY parent WHERE true", &[EMITTED, "parent: DELETE"]),
        ] {
            assert_eq!(entries_of(&twins, &journal, sql).await, expected, "{sql}");
        }
        assert_eq!(
            twins.same("INSERT INTO t (id) VALUES (99)", &[]).await,
            Err("23514".to_owned())
        );
        assert_eq!(twins.rows("child").await, ["(2,1)"]);
    }
}

#[tokio::test]
async fn views() {
    let definitions = "\
        CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 7); \
        CREATE VIEW small AS SELECT id, a FROM t WHERE id < 10 WITH CHECK OPTION; \
        CREATE VIEW barrier WITH (security_barrier) AS SELECT id, a FROM t WHERE a > 0; \
        CREATE VIEW sums AS SELECT id, sum(a) AS a FROM t GROUP BY id; \
        CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            EXECUTE format('INSERT INTO %I.t VALUES ($1, $2)', TG_TABLE_SCHEMA) USING NEW.id + 100, NEW.a; \
            RETURN NEW; END $$; \
        CREATE TRIGGER route INSTEAD OF INSERT OR UPDATE ON sums FOR EACH ROW EXECUTE FUNCTION route();";
    for cluster in clusters() {
        let twins = Twins::new(cluster, definitions).await;
        let journal = Journal::of(&twins.database).await;
        for (sql, expected) in [
            ("INSERT INTO small (id) VALUES (1) RETURNING a::text", &[EMITTED, "t: INSERT"][..]),
            (
                "UPDATE small SET id = 2, a = 3 WHERE id = 1 RETURNING a::text",
                &[EMITTED, "t: UPDATE"],
            ),
            ("UPDATE barrier SET a = 4 WHERE id = 2", &[EMITTED, "t: UPDATE"]),
            ("INSERT INTO sums (id, a) VALUES (1, 5)", &[EMITTED, "t: INSERT"]),
            ("UPDATE sums SET id = 50 WHERE id = 2", &[EMITTED, "t: INSERT"]),
            ("DELETE FROM barrier WHERE id = 2", &[EMITTED, "t: DELETE"]),
        ] {
            assert_eq!(entries_of(&twins, &journal, sql).await, expected, "{sql}");
        }
        for (sql, code) in [
            ("INSERT INTO small (id) VALUES (10)", "44000"),
            ("INSERT INTO small (id) VALUES (101)", "23505"),
            ("DELETE FROM sums WHERE id = 1", "55000"),
        ] {
            assert_eq!(twins.same(sql, &[]).await, Err(code.to_owned()), "{sql}");
        }
        assert_eq!(twins.rows("t").await, ["(101,5)", "(150,4)"]);
    }
}

#[tokio::test]
async fn row_level_security() {
    let definitions = "\
        CREATE TABLE t (id int PRIMARY KEY, owner text DEFAULT 'me', a int); \
        INSERT INTO t VALUES (1, 'me', 1), (2, 'you', 1), (3, 'all', 1); \
        ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
        CREATE POLICY sees ON t FOR SELECT USING (owner IN ('me', 'all')); \
        CREATE POLICY adds ON t FOR INSERT WITH CHECK (owner = 'me'); \
        CREATE POLICY changes ON t FOR UPDATE USING (owner <> 'locked') WITH CHECK (owner <> 'nobody'); \
        CREATE POLICY drops ON t FOR DELETE USING (owner = 'me' AND current_setting('app.may_delete', true) = 'yes');";
    for cluster in clusters() {
        let twins = Twins::new(cluster, definitions).await;
        let role = twins.database.unique_name("app");
        twins.plain.batch_execute(&format!("CREATE ROLE {role}")).await.unwrap();
        twins
            .both(&format!(
                "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema()); END $$; \
                 GRANT ALL ON t TO {role}; SET ROLE {role}"
            ))
            .await;
        for (sql, expected) in [
            ("INSERT INTO t (id, a) VALUES (4, 1) RETURNING id::text", Ok(1)),
            ("INSERT INTO t (id, owner) VALUES (5, 'you')", Err("42501")),
            // Without a condition on columns, rows need not be seen to be changed.
            ("UPDATE t SET a = 2 WHERE true", Ok(4)),
            ("UPDATE t SET a = 3 WHERE a = 2", Ok(3)),
            ("UPDATE t SET owner = 'nobody' WHERE id = 1", Err("42501")),
            ("DELETE FROM t WHERE id = 1", Ok(0)),
        ] {
            let affected = twins.same(sql, &[]).await.map(|(_, affected)| affected);
            assert_eq!(affected, expected.map_err(str::to_owned), "{sql}");
        }
        twins.both("SET app.may_delete = 'yes'").await;
        assert_eq!(twins.same("DELETE FROM t WHERE true", &[]).await.unwrap().1, 2);
        twins.both("RESET ROLE").await;
        assert_eq!(twins.rows("t").await, ["(2,you,2)", "(3,all,3)"]);
        twins.both("DROP TABLE t").await;
        let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        twins.plain.batch_execute(&drop).await.unwrap();
    }
}

/// Each query that the rules make of a statement has the message in it: it may come more than once, and always first.
#[tokio::test]
async fn rules() {
    let definitions = "\
        CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE log (id int, a int); CREATE TABLE other (id int, a int); \
        CREATE RULE logs AS ON UPDATE TO t DO ALSO INSERT INTO log VALUES (OLD.id, NEW.a); \
        CREATE RULE notes AS ON INSERT TO t WHERE NEW.a > 5 DO ALSO INSERT INTO log VALUES (NEW.id, NEW.a); \
        CREATE RULE keeps AS ON DELETE TO t DO INSTEAD INSERT INTO log VALUES (OLD.id, 0); \
        CREATE RULE moves AS ON INSERT TO other DO INSTEAD INSERT INTO log VALUES (NEW.id, NEW.a); \
        CREATE RULE nothing AS ON UPDATE TO other DO INSTEAD NOTHING; \
        CREATE RULE fixed AS ON DELETE TO other DO ALSO INSERT INTO log VALUES (8, 8); \
        \
        INSERT INTO t VALUES (1, 1);";
    for cluster in clusters() {
        let twins = Twins::new(cluster, definitions).await;
        let journal = Journal::of(&twins.database).await;
        for (sql, expected) in [
            ("INSERT INTO t (id, a) VALUES (2, 2)", &[EMITTED, "t: INSERT", EMITTED][..]),
            (
                "INSERT INTO t (id, a) VALUES (3, 6)",
                &[EMITTED, "t: INSERT", EMITTED, "log: INSERT"],
            ),
            ("UPDATE t SET a = 7 WHERE id = 1", &[EMITTED, "log: INSERT", EMITTED, "t: UPDATE"]),
            ("DELETE FROM t WHERE id = 1", &[EMITTED, "log: INSERT"]),
            ("INSERT INTO other (id, a) VALUES (1, 2)", &[EMITTED, "log: INSERT"]),
            ("UPDATE other SET a = 1 WHERE true", &[]),
            ("DELETE FROM other WHERE true", &[EMITTED, "log: INSERT", EMITTED]),
        ] {
            assert_eq!(entries_of(&twins, &journal, sql).await, expected, "{sql}");
        }
        twins.rows("log").await;
    }
}

/// The one thing that the server can do without the message and not with it: it has no conditions on such an action. The settings
/// say so.
#[tokio::test]
async fn a_rule_on_insert_whose_action_is_a_union_refuses_the_message() {
    let definitions = "\
        CREATE TABLE t (id int); CREATE TABLE log (id int); \
        CREATE RULE adds AS ON INSERT TO t DO ALSO INSERT INTO log SELECT 1 UNION SELECT 2;";
    for cluster in clusters() {
        let twins = Twins::new(cluster, definitions).await;
        let sql = "INSERT INTO t (id) VALUES (1)";
        twins.plain.execute(sql, &[]).await.unwrap();
        let with = with_message(sql, 1).unwrap();
        let error = twins.inlined.execute(&with, &[&MESSAGE]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED), "{error:?}");
    }
}
