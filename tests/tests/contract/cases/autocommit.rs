//! Single writes with bound values, in autocommit.

use bemi_core::with_context;
use bemi_tests::journal::user;
use serde_json::json;

use super::values;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, deleted, todo, updated};

cases![
    each_kind_of_write_has_its_context,
    a_write_outside_any_scope_has_no_context,
    several_rows_of_one_insert_have_the_same_context,
    returning_gives_the_rows_and_writes_them,
    writes_in_a_with_clause_have_its_context,
    merge_inserts_updates_and_deletes,
    the_same_statement_twice_has_its_context_twice,
    a_key_that_changes_is_one_update,
    a_write_that_hits_no_row_leaves_nothing,
    a_write_is_visible_to_others_once_it_returns,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

async fn each_kind_of_write_has_its_context(stage: Stage) {
    let update = "UPDATE todo SET task = $1 WHERE id = $2";
    let delete = "DELETE FROM todo WHERE id = $1";
    with_context(user(7), async {
        assert_eq!(stage.driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap(), 1);
        assert_eq!(stage.driver.execute(update, &[Text("b"), Int(1)]).await.unwrap(), 1);
        assert_eq!(stage.driver.execute(delete, &[Int(1)]).await.unwrap(), 1);
    })
    .await;
    let transactions = stage.transactions().await;
    assert_eq!(
        transactions,
        [
            [created(todo(1, "a")).by(7, INSERT)],
            [updated(todo(1, "a"), todo(1, "b")).by(7, update)],
            [deleted(todo(1, "b")).by(7, delete)],
        ]
    );
}

async fn a_write_outside_any_scope_has_no_context(stage: Stage) {
    assert_eq!(stage.driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap(), 1);
    assert_eq!(stage.stored().await, [created(todo(1, "a"))]);
}

async fn several_rows_of_one_insert_have_the_same_context(stage: Stage) {
    let sql = "INSERT INTO todo VALUES ($1, $2), ($3, $4), ($5, $6)";
    let binds = [Int(1), Text("a"), Int(2), Text("b"), Int(3), Text("c")];
    let inserted = with_context(user(7), stage.driver.execute(sql, &binds)).await.unwrap();
    assert_eq!(inserted, 3);
    let rows = [(1, "a"), (2, "b"), (3, "c")];
    assert_eq!(stage.stored().await, rows.map(|(id, task)| created(todo(id, task)).by(7, sql)));
}

async fn returning_gives_the_rows_and_writes_them(stage: Stage) {
    let insert = "INSERT INTO todo VALUES ($1, 'a'), ($2, 'b') RETURNING id || task AS value";
    let update = "UPDATE todo SET task = 'c' RETURNING task AS value";
    with_context(user(7), async {
        let inserted = stage.driver.query(insert, &[Int(1), Int(2)]).await.unwrap();
        assert_eq!(inserted, values(["1a", "2b"]));
        assert_eq!(stage.driver.query(update, &[]).await.unwrap(), values(["c", "c"]));
    })
    .await;
    // The literals are not part of the text in the context.
    let insert = "INSERT INTO todo VALUES ($1, ?), ($2, ?) RETURNING id || task AS value";
    let update = "UPDATE todo SET task = ? RETURNING task AS value";
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")).by(7, insert),
            created(todo(2, "b")).by(7, insert),
            updated(todo(1, "a"), todo(1, "c")).by(7, update),
            updated(todo(2, "b"), todo(2, "c")).by(7, update),
        ]
    );
}

async fn writes_in_a_with_clause_have_its_context(stage: Stage) {
    stage.sql("CREATE TABLE done (id int PRIMARY KEY); INSERT INTO todo VALUES (1, 'a')").await;
    let sql = "WITH gone AS (DELETE FROM todo WHERE id = $1 RETURNING id), \
               kept AS (INSERT INTO done SELECT id FROM gone RETURNING id) \
               SELECT id::text AS value FROM kept";
    let moved = with_context(user(7), stage.driver.query(sql, &[Int(1)])).await.unwrap();
    assert_eq!(moved, values(["1"]));
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            deleted(todo(1, "a")).by(7, sql),
            created(json!({"id": 1})).of("done").by(7, sql),
        ]
    );
}

async fn merge_inserts_updates_and_deletes(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let sql = "MERGE INTO todo USING (VALUES ($1::int, $4::text), ($2, NULL), ($3, $4)) AS wanted (id, task) \
               ON todo.id = wanted.id \
               WHEN MATCHED AND wanted.task IS NULL THEN DELETE \
               WHEN MATCHED THEN UPDATE SET task = wanted.task \
               WHEN NOT MATCHED THEN INSERT VALUES (wanted.id, wanted.task)";
    let binds = [Int(1), Int(2), Int(3), Text("x")];
    assert_eq!(with_context(user(7), stage.driver.execute(sql, &binds)).await.unwrap(), 3);
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            created(todo(2, "b")),
            updated(todo(1, "a"), todo(1, "x")).by(7, sql),
            deleted(todo(2, "b")).by(7, sql),
            created(todo(3, "x")).by(7, sql),
        ]
    );
}

async fn the_same_statement_twice_has_its_context_twice(stage: Stage) {
    with_context(user(7), async {
        for id in [1, 2] {
            assert_eq!(stage.driver.execute(INSERT, &[Int(id), Text("a")]).await.unwrap(), 1);
        }
    })
    .await;
    // On a statement that is prepared by now.
    with_context(user(8), stage.driver.execute(INSERT, &[Int(3), Text("a")])).await.unwrap();
    assert_eq!(
        stage.transactions().await,
        [
            [created(todo(1, "a")).by(7, INSERT)],
            [created(todo(2, "a")).by(7, INSERT)],
            [created(todo(3, "a")).by(8, INSERT)],
        ]
    );
}

async fn a_key_that_changes_is_one_update(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let sql = "UPDATE todo SET id = $1 WHERE id = $2";
    assert_eq!(
        with_context(user(7), stage.driver.execute(sql, &[Int(2), Int(1)])).await.unwrap(),
        1
    );
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")), updated(todo(1, "a"), todo(2, "a")).by(7, sql)]
    );
    let keys = "SELECT previous_key || ' became ' || primary_key FROM public.changes \
                WHERE schema = current_schema AND operation = 'UPDATE'";
    assert_eq!(stage.look(keys).await, values(["1 became 2"]));
}

async fn a_write_that_hits_no_row_leaves_nothing(stage: Stage) {
    with_context(user(7), async {
        let update = "UPDATE todo SET task = $1 WHERE id = $2";
        assert_eq!(stage.driver.execute(update, &[Text("b"), Int(1)]).await.unwrap(), 0);
        let insert = "INSERT INTO todo SELECT id, task FROM todo WHERE id = $1";
        assert_eq!(stage.driver.execute(insert, &[Int(1)]).await.unwrap(), 0);
    })
    .await;
    assert_eq!(stage.stored().await, []);
}

async fn a_write_is_visible_to_others_once_it_returns(stage: Stage) {
    with_context(user(7), async {
        for id in 1..=20 {
            stage.driver.execute(INSERT, &[Int(id), Text("a")]).await.unwrap();
            let seen = stage.look(&format!("SELECT task FROM todo WHERE id = {id}")).await;
            assert_eq!(seen, values(["a"]));
        }
    })
    .await;
    assert_eq!(stage.transactions().await.len(), 20);
}
