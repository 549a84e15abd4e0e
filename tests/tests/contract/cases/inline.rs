//! Messages in the statement itself: everything comes out as without.

use bemi_core::{Settings, with_context};
use bemi_tests::journal::user;
use serde_json::json;

use super::{assert_refused, values};
use crate::driver::Bind::{Int, Text};
use crate::driver::{Begin, Driver};
use crate::stage::Stage;
use crate::stored::{created, deleted, todo, updated};

cases![
    inlined_messages_give_the_same_results,
    inlined_messages_give_the_same_failures,
    inlined_messages_know_savepoints,
    inlined_messages_end_with_their_scope,
    inlined_messages_govern_what_triggers_write,
    inlined_messages_leave_out_bound_values,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";
const UPDATE: &str = "UPDATE todo SET task = $1 WHERE id = $2";
const DELETE: &str = "DELETE FROM todo WHERE id = $1";

async fn inlining(stage: &Stage) -> std::sync::Arc<dyn Driver> {
    stage.with_settings(Settings::new().inline_messages()).await
}

async fn inlined_messages_give_the_same_results(stage: Stage) {
    let driver = inlining(&stage).await;
    let returning = "UPDATE todo SET task = $1 WHERE id = $2 OR id = $3 RETURNING task AS value";
    let upsert =
        "INSERT INTO todo VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET task = excluded.task";
    with_context(user(7), async {
        assert_eq!(driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap(), 1);
        assert_eq!(driver.execute(INSERT, &[Int(2), Text("a")]).await.unwrap(), 1);
        let tasks = driver.query(returning, &[Text("b"), Int(1), Int(2)]).await.unwrap();
        assert_eq!(tasks, values(["b", "b"]));
        assert_eq!(driver.execute(UPDATE, &[Text("c"), Int(1)]).await.unwrap(), 1);
        assert_eq!(driver.execute(UPDATE, &[Text("c"), Int(9)]).await.unwrap(), 0);
        assert_eq!(driver.execute(upsert, &[Int(2), Text("d")]).await.unwrap(), 1);
        assert_eq!(driver.execute(DELETE, &[Int(1)]).await.unwrap(), 1);
        assert_eq!(driver.execute(DELETE, &[Int(1)]).await.unwrap(), 0);
        assert_eq!(driver.execute("DELETE FROM todo", &[]).await.unwrap(), 1);
    })
    .await;
    assert_eq!(driver.execute(INSERT, &[Int(3), Text("e")]).await.unwrap(), 1);
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")).by(7, INSERT),
            created(todo(2, "a")).by(7, INSERT),
            updated(todo(1, "a"), todo(1, "b")).by(7, returning),
            updated(todo(2, "a"), todo(2, "b")).by(7, returning),
            updated(todo(1, "b"), todo(1, "c")).by(7, UPDATE),
            updated(todo(2, "b"), todo(2, "d")).by(7, upsert),
            deleted(todo(1, "c")).by(7, DELETE),
            deleted(todo(2, "d")).by(7, "DELETE FROM todo"),
            created(todo(3, "e")),
        ]
    );
}

async fn inlined_messages_give_the_same_failures(stage: Stage) {
    stage
        .sql(
            "INSERT INTO todo VALUES (1, 'a'); ALTER TABLE todo ADD CHECK (task <> 'z'); \
             CREATE TABLE note (todo int REFERENCES todo DEFERRABLE INITIALLY DEFERRED)",
        )
        .await;
    let driver = inlining(&stage).await;
    with_context(user(7), async {
        assert_refused(driver.execute(INSERT, &[Int(1), Text("b")]).await, "23505");
        assert_refused(driver.execute(UPDATE, &[Text("z"), Int(1)]).await, "23514");
        assert_refused(
            driver.execute("DELETE FROM todo WHERE nothing = $1", &[Int(1)]).await,
            "42703",
        );
        assert_refused(driver.execute("INSERT INTO note VALUES ($1)", &[Int(9)]).await, "23503");
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        assert_refused(tx.execute(UPDATE, &[Text("z"), Int(1)]).await, "23514");
        assert_refused(tx.execute(UPDATE, &[Text("b"), Int(1)]).await, "25P02");
        tx.rollback().await.unwrap();
        let mut tx = driver.begin(Begin::ReadOnly).await.unwrap();
        assert_refused(tx.execute(UPDATE, &[Text("b"), Int(1)]).await, "25006");
        tx.rollback().await.unwrap();
        assert_eq!(driver.execute(UPDATE, &[Text("b"), Int(1)]).await.unwrap(), 1);
    })
    .await;
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")), updated(todo(1, "a"), todo(1, "b")).by(7, UPDATE)]
    );
}

async fn inlined_messages_know_savepoints(stage: Stage) {
    let driver = inlining(&stage).await;
    with_context(user(7), async {
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        inner.execute(UPDATE, &[Text("b"), Int(1)]).await.unwrap();
        inner.rollback().await.unwrap();
        tx.execute(UPDATE, &[Text("c"), Int(1)]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        stage.transactions().await,
        [[created(todo(1, "a")).by(7, INSERT), updated(todo(1, "a"), todo(1, "c")).by(7, UPDATE),]]
    );
}

async fn inlined_messages_end_with_their_scope(stage: Stage) {
    let driver = inlining(&stage).await;
    let mut tx = driver.begin(Begin::Default).await.unwrap();
    with_context(user(7), tx.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    tx.execute(UPDATE, &[Text("b"), Int(1)]).await.unwrap();
    with_context(user(8), tx.execute(UPDATE, &[Text("c"), Int(1)])).await.unwrap();
    tx.execute(DELETE, &[Int(1)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        stage.transactions().await,
        [[
            created(todo(1, "a")).by(7, INSERT),
            updated(todo(1, "a"), todo(1, "b")),
            updated(todo(1, "b"), todo(1, "c")).by(8, UPDATE),
            deleted(todo(1, "c")),
        ]]
    );
}

async fn inlined_messages_govern_what_triggers_write(stage: Stage) {
    stage
        .sql(
            "CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at text); \
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN INSERT INTO log (at) VALUES (tg_when || ' ' || tg_level); RETURN new; END $$; \
             CREATE TRIGGER a BEFORE INSERT ON todo FOR EACH ROW EXECUTE FUNCTION note(); \
             CREATE TRIGGER b AFTER INSERT ON todo FOR EACH ROW EXECUTE FUNCTION note(); \
             CREATE TRIGGER c AFTER INSERT ON todo FOR EACH STATEMENT EXECUTE FUNCTION note()",
        )
        .await;
    let driver = inlining(&stage).await;
    with_context(user(7), driver.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    let logged = |id: i32, at: &str| created(json!({"id": id, "at": at})).of("log").by(7, INSERT);
    assert_eq!(
        stage.stored().await,
        [
            logged(1, "BEFORE ROW"),
            created(todo(1, "a")).by(7, INSERT),
            logged(2, "AFTER ROW"),
            logged(3, "AFTER STATEMENT"),
        ]
    );
}

async fn inlined_messages_leave_out_bound_values(stage: Stage) {
    let driver = inlining(&stage).await;
    let text = "'; \\ \u{1f600} \"";
    with_context(user(7).with("text", text), async {
        driver.execute(INSERT, &[Int(4711), Text("hush")]).await.unwrap();
        driver.execute(UPDATE, &[Text("quiet"), Int(4711)]).await.unwrap();
    })
    .await;
    let under = |sql: &str| json!({"user_id": 7, "text": text, "SQL": sql});
    assert_eq!(
        stage.stored().await,
        [
            created(todo(4711, "hush")).under(under(INSERT)),
            updated(todo(4711, "hush"), todo(4711, "quiet")).under(under(UPDATE)),
        ]
    );
}
