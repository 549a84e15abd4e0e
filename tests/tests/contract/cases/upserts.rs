//! INSERT … ON CONFLICT.

use bemi_core::with_context;
use bemi_tests::journal::user;

use super::values;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, todo, updated};

cases![
    an_upsert_that_inserts_and_updates,
    an_upsert_that_changes_nothing,
    an_upsert_that_changes_some_rows,
];

async fn an_upsert_that_inserts_and_updates(stage: Stage) {
    let sql =
        "INSERT INTO todo VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET task = excluded.task";
    with_context(user(7), async {
        assert_eq!(stage.driver.execute(sql, &[Int(1), Text("a")]).await.unwrap(), 1);
        assert_eq!(stage.driver.execute(sql, &[Int(1), Text("b")]).await.unwrap(), 1);
    })
    .await;
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).by(7, sql), updated(todo(1, "a"), todo(1, "b")).by(7, sql)]
    );
}

async fn an_upsert_that_changes_nothing(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    with_context(user(7), async {
        let nothing = "INSERT INTO todo VALUES ($1, $2) ON CONFLICT DO NOTHING";
        assert_eq!(stage.driver.execute(nothing, &[Int(1), Text("b")]).await.unwrap(), 0);
        let returning = format!("{nothing} RETURNING task AS value");
        assert_eq!(stage.driver.query(&returning, &[Int(1), Text("b")]).await.unwrap(), []);
        let never = "INSERT INTO todo VALUES ($1, $2) \
                     ON CONFLICT (id) DO UPDATE SET task = excluded.task WHERE false";
        assert_eq!(stage.driver.execute(never, &[Int(1), Text("b")]).await.unwrap(), 0);
    })
    .await;
    assert_eq!(stage.todos().await, ["1 a"]);
    assert_eq!(stage.stored().await, [created(todo(1, "a"))]);
}

async fn an_upsert_that_changes_some_rows(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let sql = "INSERT INTO todo VALUES ($1, $4), ($2, $4), ($3, $4) ON CONFLICT (id) \
               DO UPDATE SET task = excluded.task WHERE todo.id > $1 RETURNING id::text AS value";
    let binds = [Int(1), Int(2), Int(3), Text("x")];
    let changed = with_context(user(7), stage.driver.query(sql, &binds)).await.unwrap();
    assert_eq!(changed, values(["2", "3"]));
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            created(todo(2, "b")),
            updated(todo(2, "b"), todo(2, "x")).by(7, sql),
            created(todo(3, "x")).by(7, sql),
        ]
    );
}
