//! Rows that are written by functions, procedures and triggers.

use bemi_core::{Settings, with_context, write};
use bemi_tests::journal::user;
use serde_json::json;

use super::values;
use crate::driver::Begin;
use crate::driver::Bind::Int;
use crate::stage::Stage;
use crate::stored::{Stored, created, todo, updated};

cases![
    rows_of_a_function_that_nobody_named_have_no_context,
    rows_of_a_function_that_was_named_have_the_context,
    rows_of_a_call_that_was_declared_a_write_have_the_context,
    rows_of_a_declared_script_have_the_context,
    a_procedure_has_the_context_of_the_transaction_that_is_open,
    a_procedure_that_commits_runs_as_without_us,
    rows_of_triggers_have_the_context_of_the_statement,
];

/// `add` inserts a row and returns its id.
const FUNCTION: &str = "CREATE FUNCTION add(new int) RETURNS text LANGUAGE sql AS \
    $$ INSERT INTO todo VALUES (new, 'a') RETURNING id::text $$";
const SELECT: &str = "SELECT add($1) AS value";

/// Of a row that the function wrote.
fn added(id: i32, sql: &str) -> Stored {
    created(todo(id, "a")).by(7, sql)
}

async fn rows_of_a_function_that_nobody_named_have_no_context(stage: Stage) {
    stage.sql(FUNCTION).await;
    let ids = with_context(user(7), stage.driver.query(SELECT, &[Int(1)])).await.unwrap();
    assert_eq!(ids, values(["1"]));
    assert_eq!(stage.stored().await, [created(todo(1, "a"))]);
}

async fn rows_of_a_function_that_was_named_have_the_context(stage: Stage) {
    stage.sql(FUNCTION).await;
    stage.sql(&format!("{} ", FUNCTION.replace("add", "put"))).await;
    let settings = Settings::new().write_functions(["add"]).unwrap();
    let driver = stage.with_settings(settings).await;
    with_context(user(7), async {
        assert_eq!(driver.query(SELECT, &[Int(1)]).await.unwrap(), values(["1"]));
        assert_eq!(
            driver.query("SELECT put($1) AS value", &[Int(2)]).await.unwrap(),
            values(["2"])
        );
        driver.script("SELECT add(3)").await.unwrap();
    })
    .await;
    assert_eq!(
        stage.stored().await,
        [added(1, SELECT), created(todo(2, "a")), added(3, "SELECT add(?)")]
    );
}

async fn rows_of_a_call_that_was_declared_a_write_have_the_context(stage: Stage) {
    stage.sql(FUNCTION).await;
    with_context(user(7), async {
        let ids = write(async { stage.driver.query(SELECT, &[Int(1)]).await }).await;
        assert_eq!(ids.unwrap(), values(["1"]));
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        let ids = write(async { tx.query(SELECT, &[Int(2)]).await }).await;
        assert_eq!(ids.unwrap(), values(["2"]));
        tx.commit().await.unwrap();
        // The declaration is over.
        stage.driver.query(SELECT, &[Int(3)]).await.unwrap();
    })
    .await;
    assert_eq!(stage.stored().await, [added(1, SELECT), added(2, SELECT), created(todo(3, "a"))]);
}

async fn rows_of_a_declared_script_have_the_context(stage: Stage) {
    stage.sql(FUNCTION).await;
    with_context(user(7), async {
        write(async { stage.driver.script("SELECT add(1); SELECT add(2)").await }).await.unwrap();
    })
    .await;
    assert_eq!(stage.stored().await, [added(1, "SELECT add(?)"), added(2, "SELECT add(?)")]);
}

async fn a_procedure_has_the_context_of_the_transaction_that_is_open(stage: Stage) {
    stage
        .sql("CREATE PROCEDURE add(new int) LANGUAGE sql AS $$ INSERT INTO todo VALUES (new, 'a') $$")
        .await;
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute("CALL add($1)", &[Int(1)]).await.unwrap();
        tx.commit().await.unwrap();
        // It might commit: no transaction of ours around it, so no message.
        stage.driver.execute("CALL add($1)", &[Int(2)]).await.unwrap();
    })
    .await;
    assert_eq!(stage.stored().await, [added(1, "CALL add($1)"), created(todo(2, "a"))]);
}

async fn a_procedure_that_commits_runs_as_without_us(stage: Stage) {
    stage
        .sql(
            "CREATE PROCEDURE add_each() LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO todo VALUES (1, 'a'); COMMIT; INSERT INTO todo VALUES (2, 'a'); \
             END $$",
        )
        .await;
    with_context(user(7), stage.driver.execute("CALL add_each()", &[])).await.unwrap();
    assert_eq!(stage.transactions().await, [[created(todo(1, "a"))], [created(todo(2, "a"))]]);
}

async fn rows_of_triggers_have_the_context_of_the_statement(stage: Stage) {
    stage
        .sql(
            "CREATE TABLE log (id int PRIMARY KEY); INSERT INTO todo VALUES (1, 'a'); \
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN INSERT INTO log VALUES (new.id); RETURN new; END $$; \
             CREATE TRIGGER note AFTER UPDATE ON todo FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await;
    let sql = "UPDATE todo SET task = 'b' WHERE id = $1";
    assert_eq!(with_context(user(7), stage.driver.execute(sql, &[Int(1)])).await.unwrap(), 1);
    let sql = "UPDATE todo SET task = ? WHERE id = $1";
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            updated(todo(1, "a"), todo(1, "b")).by(7, sql),
            created(json!({"id": 1})).of("log").by(7, sql),
        ]
    );
}
