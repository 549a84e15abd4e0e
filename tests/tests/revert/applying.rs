//! A plan, carried out: all of it or nothing, under its own context, by this connection or by psql.

use std::process::Command;
use std::time::{Duration, Instant};

use bemi_core::record::OnConflict::Abort;
use bemi_core::record::{ConflictKind, Database, RevertError, RevertOptions, Selection, Sql};
use bemi_core::{Context, with_context};
use bemi_tests::shared_cluster;
use bemi_worker::connect::Session;
use serde_json::json;

use crate::case::Case;

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean DEFAULT false)";

#[tokio::test]
async fn a_row_that_changed_since_the_plan_keeps_all_of_it_from_being_written() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    let changed = case
        .committed("UPDATE todo SET task = task || '!' WHERE id < 3; DELETE FROM todo WHERE id = 3")
        .await;
    let plan = case.plan(&changed, Abort).await;
    for meanwhile in ["UPDATE todo SET task = 'else' WHERE id = 1", "DELETE FROM todo WHERE id = 2"]
    {
        case.sql(&format!("BEGIN; {meanwhile}")).await;
        case.sql("COMMIT").await;
        let before = case.rows("todo").await;
        case.source.client().batch_execute("BEGIN; INSERT INTO todo VALUES (9)").await.unwrap();
        let error = plan.apply(&mut case.source).await.unwrap_err();
        assert!(matches!(error, RevertError::Moved { .. }), "{error}");
        // What the caller did before stays, and it can go on.
        case.source.client().batch_execute("INSERT INTO todo VALUES (8); ROLLBACK").await.unwrap();
        assert_eq!(case.rows("todo").await, before);
    }
}

#[tokio::test]
async fn a_key_that_is_taken_since_the_plan_does_too() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let changed = case
        .committed("UPDATE todo SET task = 'x' WHERE id = 2; DELETE FROM todo WHERE id = 1")
        .await;
    let plan = case.plan(&changed, Abort).await;
    case.committed("INSERT INTO todo VALUES (1, 'new')").await;
    case.source.client().batch_execute("BEGIN").await.unwrap();
    let error = plan.apply(&mut case.source).await.unwrap_err();
    assert!(matches!(&error, RevertError::Refused { row, .. } if row == "todo 1"), "{error}");
    case.source.client().batch_execute("COMMIT").await.unwrap();
    assert_eq!(case.rows("todo").await, "(1,new,f) (2,x,f)");
}

#[tokio::test]
async fn rows_of_a_plan_are_locked_until_the_transaction_ends() {
    let mut case = Case::new(TODO).await;
    let made = case.committed("INSERT INTO todo VALUES (1, 'a')").await;
    let set = case.record.reverse(&made).await.unwrap();
    case.source.client().batch_execute("BEGIN").await.unwrap();
    set.plan(&mut case.source, &RevertOptions::new()).await.unwrap();
    let other = case.tracked.database.connect().await.unwrap();
    let locked = other.batch_execute("SELECT FROM todo FOR UPDATE NOWAIT").await.unwrap_err();
    assert_eq!(locked.code().unwrap().code(), "55P03");
    case.source.client().batch_execute("ROLLBACK; BEGIN READ ONLY").await.unwrap();
    let plan = set.plan(&mut case.source, &RevertOptions::new().locking(false)).await.unwrap();
    assert_eq!(plan.statements().len(), 1);
}

#[tokio::test]
async fn a_revert_is_in_the_record_under_its_own_context() {
    let mut case = Case::new(TODO).await;
    let made = case.committed("INSERT INTO todo VALUES (1, 'a')").await;
    let set = case.record.reverse(&made).await.unwrap();
    let id = set.changes()[0].id;
    let options = RevertOptions::new().reason("ticket 4711").user("ana").field("user_id", 7);
    let ambient = Context::new().with("request_id", "r1").with("user_id", 1);
    with_context(ambient, async {
        case.source.client().batch_execute("BEGIN").await.unwrap();
        let plan = set.plan(&mut case.source, &options).await.unwrap();
        plan.apply(&mut case.source).await.unwrap();
        case.source
            .client()
            .batch_execute("INSERT INTO todo VALUES (2, 'b'); COMMIT")
            .await
            .unwrap();
    })
    .await;
    let at = case.stored().await;
    let changes = case.tracked.changes().await;
    let [.., undone, after] = changes.as_slice() else { panic!() };
    assert_eq!(
        undone.context,
        json!({
            "request_id": "r1", "user_id": 7, "user": "ana", "reason": "ticket 4711",
            "revert_of": {
                "selection": {"commit_position": bemi_core::CommitPosition(bemi_core::Lsn::from_bigint(changes[0].commit_position)).to_string()},
                "count": 1, "changes": [id.to_string()]
            }
        })
    );
    // What the caller writes next is its own again.
    assert_eq!(after.context, json!({"request_id": "r1", "user_id": 1}));
    case.revert(&Selection::Committed(at)).await;
    assert_eq!(case.rows("todo").await, "(1,a,f)");
}

#[tokio::test]
async fn a_script_does_the_same_and_fails_where_a_row_was_changed() {
    let Some(psql) = shared_cluster().binaries().tool("psql") else { return };
    let schema = "CREATE TABLE p (id int PRIMARY KEY, name text); \
        CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON UPDATE CASCADE, note text)";
    let mut case = Case::new(schema).await;
    case.committed(r#"INSERT INTO p VALUES (1, 'it''s \ "x" :y'), (2, 'b'); INSERT INTO c VALUES (1, 1, E'two\nlines'), (2, 2, NULL)"#)
        .await;
    let before = (case.rows("p").await, case.rows("c").await);
    let changed = case
        .committed("DELETE FROM c WHERE id = 1; UPDATE p SET id = 3 WHERE id = 2; DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (4, 'd')")
        .await;
    let script = case.plan(&changed, Abort).await.script();
    let url = case.tracked.database.url();
    let run = |script: &str| {
        let file = tempfile_with(script);
        Command::new(&psql).args(["-X", "-d", &url, "-f"]).arg(file.path()).output().unwrap()
    };
    case.sql("UPDATE p SET name = 'changed' WHERE id = 4").await;
    let output = run(&script);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("division by zero"), "{output:?}");
    assert_eq!(case.rows("p").await, "(3,b) (4,changed)");
    case.sql("UPDATE p SET name = 'd' WHERE id = 4").await;
    let output = run(&script);
    assert!(output.status.success(), "{output:?}\n{script}");
    assert_eq!((case.rows("p").await, case.rows("c").await), before);
    case.stored().await;
    let contexts: i64 =
        case.tracked.value("SELECT count(*) FROM changes WHERE context ? 'revert_of'").await;
    assert_eq!(contexts, 5);
    // A plan that cannot be applied is no script that could be.
    case.committed("INSERT INTO p VALUES (5); UPDATE p SET name = 'e' WHERE id = 2").await;
    let blocked = case.plan(&changed, Abort).await;
    assert!(blocked.conflicts().iter().any(|c| c.kind == ConflictKind::RowMissing));
    assert_eq!(run(&blocked.script()).status.code(), Some(3));
}

fn tempfile_with(text: &str) -> tempfile::NamedTempFile {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A connection that counts what it is asked.
struct Counted {
    session: Session,
    asked: usize,
}

impl Database for Counted {
    type Error = <Session as Database>::Error;

    const EMITS_CONTEXT: bool = false;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Self::Error> {
        self.asked += 1;
        self.session.query(sql).await
    }

    async fn execute(&mut self, sql: &Sql) -> Result<u64, Self::Error> {
        self.asked += 1;
        self.session.execute(sql).await
    }

    fn sqlstate(error: &Self::Error) -> Option<String> {
        Session::sqlstate(error)
    }

    async fn pause(&mut self, time: Duration) {
        self.session.pause(time).await;
    }
}

#[tokio::test]
async fn ten_thousand_rows_are_planned_by_as_many_questions_as_a_few() {
    let schema = "CREATE TABLE p (id int PRIMARY KEY, name text UNIQUE); \
        CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, note text); CREATE INDEX ON c (p)";
    let mut case = Case::new(schema).await;
    case.committed("INSERT INTO p SELECT g, 'p' || g FROM generate_series(1, 4000) g").await;
    let connection = case.tracked.database.connect().await.unwrap();
    let mut source = Counted { session: Session::new(connection), asked: 0 };
    let mut asked = Vec::new();
    for (from, to) in [(1, 2), (3, 4000)] {
        let then = case.stored().await;
        case.committed(&format!(
            "INSERT INTO c SELECT g, g, 'note' FROM generate_series({from}, {to}) g; \
             UPDATE p SET name = name || '!' WHERE id BETWEEN {from} AND {to}; \
             INSERT INTO p SELECT g + 4000 FROM generate_series({from}, {to}) g",
        ))
        .await;
        let set = case.record.reverse(&Selection::After(then)).await.unwrap();
        source.asked = 0;
        source.session.client().batch_execute("BEGIN").await.unwrap();
        let started = Instant::now();
        let plan = set.plan(&mut source, &RevertOptions::new()).await.unwrap();
        println!("{} rows planned in {:?}", plan.statements().len(), started.elapsed());
        assert_eq!(plan.statements().len(), set.changes().len());
        asked.push(source.asked);
        let started = Instant::now();
        plan.apply(&mut source).await.unwrap();
        println!("{} rows written in {:?}", plan.statements().len(), started.elapsed());
        source.session.client().batch_execute("COMMIT").await.unwrap();
    }
    assert_eq!(asked[0], asked[1]);
    assert_eq!(case.rows("c").await, "");
    let left: i64 = case.tracked.value("SELECT count(*) FROM p WHERE name = 'p' || id").await;
    assert_eq!(left, 4000);
}
