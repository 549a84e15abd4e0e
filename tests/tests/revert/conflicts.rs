//! What stands in the way of a revert, each kind under each way to deal with it.

use bemi_core::record::ConflictKind::{
    IncompleteRecord, KeyTaken, NotOrderable, ParentMissing, RowChanged, RowMissing, SchemaChanged,
    StillReferenced,
};
use bemi_core::record::Handling::{Blocks, Forced, Skipped};
use bemi_core::record::OnConflict::{Abort, Force, Skip};
use bemi_core::record::{RevertError, RevertOptions};
use bemi_tests::{Tracked, shared_cluster};

use crate::case::{Case, row, shown};

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean DEFAULT false)";

#[tokio::test]
async fn a_column_that_was_changed_since_is_a_conflict() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let changed = case.committed("UPDATE todo SET task = task || '!', done = true").await;
    case.committed("UPDATE todo SET task = 'else' WHERE id = 1").await;
    let plan = case.plan(&changed, Abort).await;
    let [conflict] = plan.conflicts() else { panic!("{:?}", plan.conflicts()) };
    assert_eq!((conflict.kind, conflict.handling), (RowChanged, Blocks));
    assert_eq!(conflict.key.as_ref().unwrap().as_str(), "1");
    assert_eq!(conflict.columns, ["task"]);
    let id: String = case
        .tracked
        .value("SELECT id::text FROM changes WHERE primary_key = '1' AND operation = 'UPDATE' ORDER BY commit_position LIMIT 1")
        .await;
    assert_eq!(conflict.change.unwrap().to_string(), id);
    assert!(plan.is_blocked());

    // The row stays as it is, or gets what it was whatever it is.
    assert_eq!(case.conflicts(&changed, Skip).await, [(RowChanged, Skipped)]);
    assert_eq!(shown(&case.plan(&changed, Skip).await), ["UPDATE todo 2 (done, task)"]);
    assert_eq!(case.conflicts(&changed, Force).await, [(RowChanged, Forced)]);
    case.revert_by(&changed, Force).await;
    assert_eq!(case.rows("todo").await, "(1,a,f) (2,b,f)");
}

#[tokio::test]
async fn a_column_that_was_changed_and_changed_back_in_between_is_a_conflict_too() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a')").await;
    let message = "SELECT pg_logical_emit_message(true, '_bemi', '{\"user\": \"ana\"}')";
    case.committed(&format!("{message}; UPDATE todo SET task = 'b'")).await;
    case.committed("UPDATE todo SET task = 'c'").await;
    case.committed(&format!("{message}; UPDATE todo SET task = 'd'")).await;
    let hers = bemi_core::record::Selection::Where(
        bemi_core::record::Changes::new().context("user", "ana"),
    );
    assert_eq!(case.conflicts(&hers, Abort).await, [(RowChanged, Blocks)]);
    case.revert_by(&hers, Force).await;
    assert_eq!(case.rows("todo").await, "(1,a,f)");
}

#[tokio::test]
async fn a_row_that_was_changed_since_is_not_taken_away() {
    let mut case = Case::new(TODO).await;
    let made = case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    case.committed("UPDATE todo SET done = true WHERE id = 1").await;
    assert_eq!(case.conflicts(&made, Abort).await, [(RowChanged, Blocks)]);
    assert_eq!(shown(&case.plan(&made, Skip).await), ["DELETE todo 2"]);
    assert_eq!(shown(&case.plan(&made, Force).await), ["DELETE todo 2", "DELETE todo 1"]);
}

#[tokio::test]
async fn a_row_that_is_gone_is_a_conflict() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let changed = case.committed("UPDATE todo SET done = true").await;
    let made = case.committed("INSERT INTO todo VALUES (3, 'c')").await;
    case.committed("DELETE FROM todo WHERE id IN (1, 3)").await;
    assert_eq!(case.conflicts(&changed, Abort).await, [(RowMissing, Blocks)]);
    assert_eq!(shown(&case.plan(&changed, Skip).await), ["UPDATE todo 2 (done)"]);
    // All of the row of before is known: it comes back.
    assert_eq!(case.conflicts(&changed, Force).await, [(RowMissing, Forced)]);
    assert_eq!(shown(&case.plan(&changed, Force).await), ["UPDATE todo 2 (done)", "INSERT todo 1"]);
    // What was to go is gone.
    assert_eq!(case.conflicts(&made, Abort).await, [(RowMissing, Blocks)]);
    assert_eq!(case.conflicts(&made, Force).await, [(RowMissing, Forced)]);
    assert!(case.plan(&made, Force).await.is_empty());
}

#[tokio::test]
async fn a_key_that_is_taken_is_a_conflict() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let gone = case.committed("DELETE FROM todo WHERE id = 1").await;
    let moved = case.committed("UPDATE todo SET id = 3 WHERE id = 2").await;
    case.committed("INSERT INTO todo VALUES (1, 'new'), (2, 'new')").await;
    assert_eq!(case.conflicts(&gone, Abort).await, [(KeyTaken, Blocks)]);
    assert!(case.plan(&gone, Skip).await.is_empty());
    // The row that is there becomes the one of before.
    assert_eq!(case.conflicts(&gone, Force).await, [(KeyTaken, Forced)]);
    assert_eq!(shown(&case.plan(&gone, Force).await), ["UPDATE todo 1 (task)"]);
    // Two rows cannot become one.
    assert_eq!(case.conflicts(&moved, Abort).await, [(KeyTaken, Blocks)]);
    assert_eq!(case.conflicts(&moved, Force).await, [(KeyTaken, Blocks)]);
    assert!(case.plan(&moved, Skip).await.is_empty());
}

#[tokio::test]
async fn a_unique_value_that_is_taken_is_a_conflict_whatever_the_index_is_of() {
    let mut case = Case::new(
        "CREATE TABLE person (id int PRIMARY KEY, email text, team int, seat int, gone boolean DEFAULT false, UNIQUE (team, seat)); \
         CREATE UNIQUE INDEX person_email ON person (lower(email)) WHERE NOT gone",
    )
    .await;
    case.committed(
        "INSERT INTO person VALUES (1, 'Ana@x', 1, 1), (2, 'Bob@x', 1, 2), (3, 'c', NULL, 1)",
    )
    .await;
    let renamed = case.committed("UPDATE person SET email = 'other' WHERE id = 1").await;
    let moved = case
        .committed("UPDATE person SET seat = 9 WHERE id = 2; DELETE FROM person WHERE id = 3")
        .await;
    assert!(case.conflicts(&renamed, Abort).await.is_empty());
    case.committed("INSERT INTO person VALUES (4, 'ANA@X', NULL, 1), (5, 'd', 1, 2)").await;
    for way in [Abort, Force] {
        assert_eq!(case.conflicts(&renamed, way).await, [(KeyTaken, Blocks)]);
        assert_eq!(case.conflicts(&moved, way).await, [(KeyTaken, Blocks)]);
    }
    let plan = case.plan(&moved, Skip).await;
    // NULL is nobody's.
    assert_eq!(shown(&plan), ["INSERT person 3"]);
    let conflict = &plan.conflicts()[0];
    assert_eq!(conflict.columns, ["team", "seat"]);
    assert!(
        conflict.detail.contains('5') && conflict.detail.contains("person_team_seat_key"),
        "{conflict}"
    );
    // What the index does not have is not taken.
    case.committed("UPDATE person SET gone = true WHERE id = 4").await;
    assert!(case.conflicts(&renamed, Abort).await.is_empty());
}

const FAMILY: &str = "CREATE TABLE parent (id int PRIMARY KEY, name text); \
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)";

#[tokio::test]
async fn nothing_is_taken_along_that_is_not_in_the_plan() {
    let mut case = Case::new(FAMILY).await;
    let made = case.committed("INSERT INTO parent VALUES (1), (2)").await;
    let moved = case.committed("UPDATE parent SET id = 3 WHERE id = 1").await;
    case.committed("INSERT INTO child VALUES (10, 3)").await;
    for way in [Abort, Force] {
        assert_eq!(case.conflicts(&moved, way).await, [(StillReferenced, Blocks)]);
    }
    assert!(case.plan(&moved, Skip).await.is_empty());
    case.committed("UPDATE parent SET id = 1 WHERE id = 3").await;
    let plan = case.plan(&made, Abort).await;
    let [conflict] = plan.conflicts() else { panic!("{:?}", plan.conflicts()) };
    assert_eq!((conflict.kind, conflict.handling), (StillReferenced, Blocks));
    assert!(conflict.detail.contains("child 10"), "{conflict}");
    assert_eq!(shown(&case.plan(&made, Skip).await), ["DELETE parent 2"]);
}

/// The child refers to the same key then and now, of another row. While that key passes from one row to the other, the
/// child would have to be somewhere else.
#[tokio::test]
async fn a_key_that_passes_between_rows_under_one_that_refers_to_it_is_a_conflict() {
    let mut case = Case::new(FAMILY).await;
    case.committed("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (10, 1)").await;
    let passed = case
        .committed(
            "UPDATE parent SET id = 2; DELETE FROM child; \
             INSERT INTO parent VALUES (1); INSERT INTO child VALUES (10, 1)",
        )
        .await;
    for way in [Abort, Force] {
        assert_eq!(case.conflicts(&passed, way).await, [(StillReferenced, Blocks)]);
    }
    assert!(case.plan(&passed, Skip).await.is_empty());
}

#[tokio::test]
async fn what_a_row_refers_to_must_be_there() {
    let mut case = Case::new(FAMILY).await;
    case.committed("INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (20, 2)")
        .await;
    let gone = case.committed("DELETE FROM child").await;
    case.committed("DELETE FROM parent WHERE id = 1").await;
    for way in [Abort, Force] {
        assert_eq!(case.conflicts(&gone, way).await, [(ParentMissing, Blocks)]);
    }
    assert_eq!(shown(&case.plan(&gone, Skip).await), ["INSERT child 20"]);
}

#[tokio::test]
async fn what_depends_on_a_row_that_is_skipped_is_skipped_with_it() {
    let mut case = Case::new(
        "CREATE TABLE a (id int PRIMARY KEY, name text UNIQUE); \
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); \
         CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b)",
    )
    .await;
    case.committed("INSERT INTO a VALUES (1, 'x'), (2, 'y'); INSERT INTO b VALUES (1, 1), (2, 2); INSERT INTO c VALUES (1, 1), (2, 2)")
        .await;
    let gone = case.committed("DELETE FROM c; DELETE FROM b; DELETE FROM a").await;
    case.committed("INSERT INTO a VALUES (3, 'x')").await;
    assert_eq!(case.conflicts(&gone, Abort).await, [(KeyTaken, Blocks)]);
    let plan = case.revert_by(&gone, Skip).await;
    assert_eq!(shown(&plan), ["INSERT a 2", "INSERT b 2", "INSERT c 2"]);
    let kinds: Vec<_> = plan.conflicts().iter().map(|c| (c.kind, c.handling)).collect();
    assert_eq!(kinds, [(KeyTaken, Skipped), (ParentMissing, Skipped), (ParentMissing, Skipped)]);
}

#[tokio::test]
async fn a_row_that_the_record_does_not_have_whole_is_a_conflict() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    let mut case = Case::of(tracked).await;
    let made = case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let changed = case
        .committed("UPDATE todo SET done = true WHERE id = 1; DELETE FROM todo WHERE id = 2")
        .await;
    for way in [Abort, Force] {
        assert_eq!(
            case.conflicts(&changed, way).await,
            [(IncompleteRecord, Blocks), (IncompleteRecord, Blocks)]
        );
    }
    assert!(case.plan(&changed, Skip).await.is_empty());
    // What was made can go: nothing is to be known of before.
    case.committed("UPDATE todo SET done = false WHERE id = 1; INSERT INTO todo VALUES (2, 'b')")
        .await;
    assert_eq!(shown(&case.revert(&made).await), ["DELETE todo 2", "DELETE todo 1"]);
}

#[tokio::test]
async fn what_is_masked_cannot_come_back() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE users (id int PRIMARY KEY, name text, secret text, hidden text, email text)",
    )
    .await;
    tracked
        .setup(&[
            "--all-tables",
            "--replica-identity",
            "full",
            "--exclude",
            "users.*.secret",
            "--mask",
            "hidden=drop",
            "--mask",
            "email=text:(hidden)",
        ])
        .await;
    let mut case = Case::of(tracked).await;
    let made = case.committed("INSERT INTO users VALUES (1, 'a', 's', 'h', 'e')").await;
    let changed = case.committed("UPDATE users SET name = 'b', hidden = 'i', email = 'f'").await;
    // What the record has goes back, and only that.
    let plan = case.plan(&changed, Abort).await;
    assert_eq!(shown(&plan), ["UPDATE users 1 (name)"]);
    case.committed("UPDATE users SET name = 'a'").await;
    // No value that is masked is read, shown or written.
    let plan = case.plan(&made, Abort).await;
    assert_eq!(shown(&plan), ["DELETE users 1"]);
    assert!(!plan.script().contains("hidden"), "{}", plan.script());
    let gone = case.committed("DELETE FROM users").await;
    for way in [Abort, Force] {
        assert_eq!(case.conflicts(&gone, way).await, [(IncompleteRecord, Blocks)]);
    }
    let plan = case.plan(&gone, Abort).await;
    assert_eq!(plan.conflicts()[0].columns, ["hidden", "email"]);
}

#[tokio::test]
async fn a_table_of_another_shape_is_a_conflict() {
    let mut case = Case::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text, c text); CREATE TABLE u (id int PRIMARY KEY); \
         CREATE TABLE v (id int PRIMARY KEY, n int)",
    )
    .await;
    case.committed("INSERT INTO t VALUES (1, 'a', 'b', '7'), (2, 'a', 'b', 'x'); INSERT INTO v VALUES (1, NULL)").await;
    let changed = case.committed("UPDATE t SET a = 'A', b = 'B' WHERE id = 1").await;
    let gone = case.committed("DELETE FROM t WHERE id = 2").await;
    let of_u = case.committed("INSERT INTO u VALUES (1)").await;
    let of_v = case.committed("UPDATE v SET n = 1").await;
    case.sql("ALTER TABLE t DROP b; DROP TABLE u; ALTER TABLE v ALTER n SET NOT NULL").await;
    assert_eq!(case.conflicts(&of_u, Abort).await, [(SchemaChanged, Blocks)]);
    assert_eq!(case.conflicts(&of_u, Force).await, [(SchemaChanged, Blocks)]);
    assert_eq!(case.conflicts(&of_v, Abort).await, [(SchemaChanged, Blocks)]);
    let plan = case.plan(&changed, Abort).await;
    assert_eq!(plan.conflicts()[0].columns, ["b"]);
    assert_eq!(case.conflicts(&changed, Abort).await, [(SchemaChanged, Blocks)]);
    // What has no place any more is left out.
    assert_eq!(case.conflicts(&changed, Force).await, [(SchemaChanged, Forced)]);
    assert_eq!(shown(&case.plan(&changed, Force).await), ["UPDATE t 1 (a)"]);
    assert!(case.plan(&changed, Skip).await.is_empty());
    case.revert_by(&gone, Force).await;
    assert_eq!(case.rows("t").await, "(1,A,7) (2,a,x)");
    // A value that the column does not take.
    let gone = case.committed("DELETE FROM t WHERE id = 2").await;
    case.sql("ALTER TABLE t ALTER c TYPE int USING c::int").await;
    let plan = case.plan(&gone, Force).await;
    let conflict = &plan.conflicts()[0];
    assert_eq!((conflict.kind, conflict.handling), (SchemaChanged, Blocks));
}

#[tokio::test]
async fn rows_in_a_circle_that_no_constraint_waits_for_are_a_conflict() {
    let mut case = Case::new(
        "CREATE TABLE a (id int PRIMARY KEY, other int); \
         CREATE TABLE b (id int PRIMARY KEY, other int REFERENCES a); \
         ALTER TABLE a ADD FOREIGN KEY (other) REFERENCES b",
    )
    .await;
    case.committed("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1, 1), (2, 2); UPDATE a SET other = id").await;
    let gone = case
        .committed("UPDATE a SET other = NULL WHERE id = 1; DELETE FROM b WHERE id = 1; DELETE FROM a WHERE id = 1")
        .await;
    for way in [Abort, Force] {
        assert_eq!(
            case.conflicts(&gone, way).await,
            [(NotOrderable, Blocks), (NotOrderable, Blocks)]
        );
    }
    assert!(case.plan(&gone, Skip).await.is_empty());
}

#[tokio::test]
async fn all_conflicts_are_told_and_nothing_is_written() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo SELECT g, 'a' FROM generate_series(1, 5) g").await;
    let since = case.stored().await;
    case.committed("UPDATE todo SET done = true").await;
    let changed = case.committed("UPDATE todo SET task = 'b'").await;
    case.committed("UPDATE todo SET task = 'c' WHERE id < 3; DELETE FROM todo WHERE id = 3").await;
    let before = case.rows("todo").await;
    let set = case.record.reverse(&changed).await.unwrap();
    case.source.client().batch_execute("BEGIN").await.unwrap();
    let plan = set.plan(&mut case.source, &RevertOptions::new()).await.unwrap();
    let error = plan.apply(&mut case.source).await.unwrap_err();
    let RevertError::Conflicts { conflicts } = error else { panic!("{error}") };
    assert_eq!(conflicts.len(), 3);
    // The transaction goes on.
    case.source.client().batch_execute("COMMIT").await.unwrap();
    assert_eq!(case.rows("todo").await, before);
    assert_eq!(plan.summary().blocking, 3);
    case.stored().await;
    assert!(case.conflicts(&row("todo", 3, since), Abort).await.is_empty());
}
