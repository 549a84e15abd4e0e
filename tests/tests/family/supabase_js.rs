//! `@bemi-db/supabase-js`, by the SQL that it would send: it is no package of the registries any more,
//! and talks to PostgREST, which is a package of none of them.
//!
//! What it does is one call of a function over HTTP, `bemi_set_context`, whose migration also puts a
//! trigger on each table that emits what the function has set in the session.

use bemi_tests::{Tracked, shared_cluster};
use serde_json::{Value, json};
use tokio_postgres::Client;

const SCHEMA: &str = "CREATE TABLE todo (id bigint PRIMARY KEY, task text)";

/// What its migration makes: a function that sets, for the session, and a trigger that emits.
const MIGRATION: &str = "
    CREATE FUNCTION bemi_set_context(context text) RETURNS text LANGUAGE sql AS $$
        SELECT set_config('bemi.context', context, false)
    $$;
    CREATE FUNCTION emit_context() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('bemi.context', true) IS NOT NULL THEN
            PERFORM pg_logical_emit_message(true, '_bemi', current_setting('bemi.context', true));
        END IF;
        RETURN coalesce(NEW, OLD);
    END $$;
    CREATE TRIGGER emit_context BEFORE INSERT OR UPDATE OR DELETE ON todo
        FOR EACH ROW EXECUTE FUNCTION emit_context();";

/// A connection of PostgREST's pool.
struct Pooled(Client);

impl Pooled {
    async fn of(tracked: &Tracked) -> Self {
        Self(tracked.database.connect().await.unwrap())
    }

    /// A transaction, as each request has one, with settings of the request.
    async fn serve(&self, path: &str, sql: &str) {
        let transaction = format!(
            "BEGIN; SELECT set_config('search_path', '\"public\"', true), \
                 set_config('request.jwt.claims', '{{\"role\": \"postgres\"}}', true), \
                 set_config('request.method', 'POST', true), \
                 set_config('request.path', '{path}', true), \
                 set_config('request.headers', '{{}}', true), \
                 set_config('request.cookies', '{{}}', true); {sql}; COMMIT"
        );
        self.0.batch_execute(&transaction).await.unwrap();
    }

    /// The package's call.
    async fn set_context(&self, context: &Value) {
        let call = format!(
            "WITH pgrst_source AS (SELECT pgrst_call.pgrst_scalar FROM \
                 (SELECT $call${}$call$::json AS json_data) pgrst_payload, \
                 LATERAL (SELECT context FROM json_to_record(pgrst_payload.json_data) AS _(context text) LIMIT 1) pgrst_body, \
                 LATERAL (SELECT public.bemi_set_context(context := pgrst_body.context) pgrst_scalar) pgrst_call) \
             SELECT coalesce(json_agg(_postgrest_t.pgrst_scalar)->0, 'null') FROM pgrst_source _postgrest_t",
            json!({"context": context.to_string()})
        );
        self.serve("/rpc/bemi_set_context", &call).await;
    }
}

async fn contexts(tracked: &Tracked) -> Vec<Value> {
    tracked.store().await;
    tracked.changes().await.into_iter().map(|change| change.context).collect()
}

/// The context is that of the connection: what another one writes has none, and what the same one
/// writes for somebody else still has it. So it is in the WAL, and so it is stored.
pub(crate) async fn a_context_holds_for_the_session_that_said_it() {
    let tracked = Tracked::new(&format!("{SCHEMA}; {MIGRATION}")).await;
    let (one, other) = (Pooled::of(&tracked).await, Pooled::of(&tracked).await);
    let context =
        json!({"method": "POST", "endpoint": "/todos", "payload": {"task": "it's \"x\""}});
    one.set_context(&context).await;
    one.serve("/todo", "INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    other.serve("/todo", "INSERT INTO todo VALUES (3, 'c')").await;
    one.serve("/todo", "UPDATE todo SET task = 'd' WHERE id = 3; DELETE FROM todo WHERE id = 1")
        .await;
    let none = json!({});
    assert_eq!(
        contexts(&tracked).await,
        [&context, &context, &none, &context, &context].map(Value::clone)
    );
}

/// With `setup --postgrest` the application's call stays as it is, and what it says ends with its
/// request: the function is ours, and so are the triggers.
pub(crate) async fn the_function_that_setup_makes_instead_says_it_for_one_request() {
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    tracked.setup(&["--all-tables", "--replica-identity", "full", "--postgrest"]).await;
    let pooled = Pooled::of(&tracked).await;
    pooled.set_context(&json!({"user_id": 1})).await;
    pooled.serve("/todo", "INSERT INTO todo VALUES (1, 'a')").await;
    let call = "SELECT public.bemi_set_context(context := '{\"user_id\": 2}')";
    pooled.serve("/rpc/add", &format!("{call}; INSERT INTO todo VALUES (2, 'b')")).await;
    let contexts = contexts(&tracked).await;
    let users: Vec<_> = contexts.iter().map(|context| &context["user_id"]).collect();
    assert_eq!(users, [&Value::Null, &json!(2)], "{contexts:?}");
    assert_eq!(contexts[0]["request"]["path"], "/todo");
}
