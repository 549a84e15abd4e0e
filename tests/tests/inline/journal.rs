//! The message in the WAL: once, before the rows that it governs.

use bemi_tests::TestDatabase;
use bemi_tests::journal::{self, Event};
use serde_json::Value;
use tokio_postgres::Client;

use crate::twins::{MESSAGE, Twins, clusters};

/// The marker of a message, among changes.
pub(crate) const EMITTED: &str = "message";

/// The WAL of a database, of the copy with messages.
pub(crate) struct Journal {
    client: Client,
    journal: journal::Journal,
}

impl Journal {
    /// From here on.
    pub(crate) async fn of(database: &TestDatabase) -> Self {
        let client = database.connect().await.unwrap();
        let journal = journal::Journal::open(&client, database, "inlined").await;
        Self { client, journal }
    }

    /// What has been committed since the last look to the copy with messages, in order: messages, and changes as `table: KIND`.
    pub(crate) async fn entries(&self) -> Vec<String> {
        let transactions = self.journal.transactions(&self.client).await;
        transactions.into_iter().flatten().map(entry).collect()
    }
}

fn entry(event: Event) -> String {
    match event {
        Event::Message(context) => {
            assert_eq!(context, serde_json::from_str::<Value>(MESSAGE).unwrap());
            EMITTED.to_owned()
        }
        Event::Change(change) => change.split(": ").take(2).collect::<Vec<_>>().join(": "),
    }
}

/// What is left of a statement in the WAL.
pub(crate) async fn entries_of(twins: &Twins, journal: &Journal, sql: &str) -> Vec<String> {
    twins.same(sql, &[]).await.unwrap_or_else(|code| panic!("{code}: {sql}"));
    journal.entries().await
}

#[tokio::test]
async fn a_message_comes_once_and_before_the_rows() {
    for cluster in clusters() {
        let twins = Twins::new(cluster, "CREATE TABLE t (id int PRIMARY KEY, a int)").await;
        twins.both("INSERT INTO t SELECT n, n FROM generate_series(1, 3) n").await;
        let journal = Journal::of(&twins.database).await;
        for (sql, expected) in [
            ("INSERT INTO t (id) VALUES (4)", &[EMITTED, "t: INSERT"][..]),
            (
                "INSERT INTO t (id) VALUES (4) ON CONFLICT (id) DO UPDATE SET a = 1",
                &[EMITTED, "t: UPDATE"],
            ),
            ("INSERT INTO t (id) VALUES (4) ON CONFLICT DO NOTHING", &[EMITTED]),
            ("UPDATE t SET a = 2 WHERE id <= 2", &[EMITTED, "t: UPDATE", "t: UPDATE"]),
            ("UPDATE t SET a = 2 WHERE id = 99", &[EMITTED]),
            (
                "UPDATE t SET a = u.a FROM t u WHERE u.id = t.id AND t.id < 3",
                &[EMITTED, "t: UPDATE", "t: UPDATE"],
            ),
            ("DELETE FROM t WHERE id = 4", &[EMITTED, "t: DELETE"]),
            ("DELETE FROM t WHERE true", &[EMITTED, "t: DELETE", "t: DELETE", "t: DELETE"]),
        ] {
            assert_eq!(entries_of(&twins, &journal, sql).await, expected, "{sql}");
        }
    }
}

/// So a session takes it for emitted only where rows were affected.
#[tokio::test]
async fn a_message_may_be_left_out_where_no_row_can_match() {
    for cluster in clusters() {
        let twins = Twins::new(cluster, "CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
        let journal = Journal::of(&twins.database).await;
        let (rows, affected) = twins.same("DELETE FROM t WHERE false", &[]).await.unwrap();
        assert_eq!((rows.len(), affected), (0, 0));
        assert_eq!(journal.entries().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_statement_that_fails_leaves_no_message() {
    for cluster in clusters() {
        let twins =
            Twins::new(cluster, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
                .await;
        let journal = Journal::of(&twins.database).await;
        assert_eq!(twins.same("INSERT INTO t (id) VALUES (1)", &[]).await, Err("23505".to_owned()));
        assert_eq!(journal.entries().await, [""; 0]);
    }
}

/// What BEFORE triggers FOR EACH STATEMENT write comes before: the settings say so.
#[tokio::test]
async fn what_triggers_write_comes_after_the_message_but_for_those_before_the_statement() {
    let definitions = "\
        CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE log (what text); \
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
            EXECUTE format('INSERT INTO %I.log VALUES (%L)', TG_TABLE_SCHEMA, TG_WHEN || ' ' || TG_LEVEL); \
            RETURN coalesce(NEW, OLD); END $$; \
        CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note(); \
        CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note(); \
        CREATE TRIGGER c AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note(); \
        CREATE TRIGGER d AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();";
    for cluster in clusters() {
        let twins = Twins::new(cluster, definitions).await;
        let journal = Journal::of(&twins.database).await;
        for (sql, kind) in [
            ("INSERT INTO t (id) VALUES (1)", "t: INSERT"),
            ("UPDATE t SET id = 2 WHERE id = 1", "t: UPDATE"),
            ("DELETE FROM t WHERE id = 2", "t: DELETE"),
        ] {
            let log = "log: INSERT";
            let expected = [log, EMITTED, log, kind, log, log];
            assert_eq!(entries_of(&twins, &journal, sql).await, expected, "{sql}");
            twins.rows("log").await;
        }
    }
}
