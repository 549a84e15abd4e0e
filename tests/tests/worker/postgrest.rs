//! What PostgREST says of a request becomes the context of what the request writes.
//!
//! The settings are those that PostgREST makes, in the transaction of the request and local to it.

use bemi_tests::{Cluster, ClusterOptions, Stored, Tracked, Wanted, available_majors};
use serde_json::{Value, json};

const SCHEMA: &str = "CREATE TABLE todo (id bigint PRIMARY KEY, task text)";

/// A request as PostgREST serves it.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    role: &'a str,
    claims: Value,
    headers: Value,
}

impl<'a> Request<'a> {
    fn new(role: &'a str) -> Self {
        Self {
            method: "POST",
            path: "/todo",
            role,
            claims: json!({"role": role, "sub": "5f0c9ac4", "email": "ann@example.com"}),
            headers: json!({"host": "localhost:3000", "accept": "*/*", "authorization": "Bearer a.b.c"}),
        }
    }

    fn anonymous(role: &'a str) -> Self {
        Self { claims: json!({"role": role}), ..Self::new(role) }
    }

    fn path(mut self, method: &'a str, path: &'a str) -> Self {
        (self.method, self.path) = (method, path);
        self
    }

    /// What the client says of itself.
    fn header(mut self, context: &str) -> Self {
        self.headers["x-bemi-context"] = json!(context);
        self
    }

    /// The statements that PostgREST sends around `sql`.
    fn transaction(&self, sql: &str) -> String {
        let setting = |name: &str, value: &str| {
            format!("set_config('{name}', '{}', true)", value.replace('\'', "''"))
        };
        let settings = [
            setting("search_path", "\"public\""),
            setting("role", self.role),
            setting("request.jwt.claims", &self.claims.to_string()),
            setting("request.method", self.method),
            setting("request.path", self.path),
            setting("request.headers", &self.headers.to_string()),
            setting("request.cookies", "{}"),
        ];
        format!("BEGIN; SELECT {}; {sql}; COMMIT", settings.join(", "))
    }

    /// The context, without what the client says.
    fn context(&self) -> Value {
        json!({
            "request": {"method": self.method, "path": self.path, "role": self.role},
            "claims": self.claims,
        })
    }

    fn context_with(&self, key: &str, value: Value) -> Value {
        let mut context = self.context();
        context[key] = value;
        context
    }
}

/// A database that PostgREST could serve, with roles as Supabase has them.
struct Served {
    tracked: Tracked,
    authenticated: String,
    anonymous: String,
}

impl Served {
    async fn new(schema: &str) -> Self {
        Self::on(bemi_tests::shared_cluster(), schema).await
    }

    async fn on(cluster: &Cluster, schema: &str) -> Self {
        let tracked = Tracked::untracked(cluster, schema).await;
        tracked.setup(&["--all-tables", "--replica-identity", "full", "--postgrest"]).await;
        let authenticated = tracked.database.unique_name("authenticated");
        let anonymous = tracked.database.unique_name("anon");
        let served = Self { tracked, authenticated, anonymous };
        for role in [&served.authenticated, &served.anonymous] {
            served.tracked.sql(&format!("CREATE ROLE {role}")).await;
        }
        served.grant().await;
        served
    }

    /// What an API grants, and nothing in schema `bemi`.
    async fn grant(&self) {
        let roles = format!("{}, {}", self.authenticated, self.anonymous);
        self.tracked
            .sql(&format!("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {roles}"))
            .await;
    }

    fn request(&self) -> Request<'_> {
        Request::new(&self.authenticated)
    }

    async fn serve(&self, request: &Request<'_>, sql: &str) {
        self.tracked.sql(&request.transaction(sql)).await;
    }

    async fn stored(&self) -> Vec<Stored> {
        self.tracked.store().await;
        self.tracked.changes().await
    }

    async fn contexts(&self) -> Vec<Value> {
        self.stored().await.into_iter().map(|change| change.context).collect()
    }

    /// The roles belong to the cluster.
    async fn close(self) {
        let roles = format!("{}, {}", self.authenticated, self.anonymous);
        self.tracked.sql(&format!("DROP OWNED BY {roles} CASCADE; DROP ROLE {roles}")).await;
    }
}

#[tokio::test]
async fn a_request_is_the_context_of_what_it_writes() {
    let served = Served::new(SCHEMA).await;
    let request = served.request().header(r#"{"page": "/todos", "build": 7}"#);
    served.serve(&request, "INSERT INTO todo VALUES (1), (2); UPDATE todo SET task = 'x'").await;
    let expected = request.context_with("client", json!({"page": "/todos", "build": 7}));
    assert_eq!(served.contexts().await, vec![expected; 4]);
    served.close().await;
}

#[tokio::test]
async fn what_one_request_said_does_not_reach_the_next_one_on_the_connection() {
    let served = Served::new(SCHEMA).await;
    let first = served.request().header(r#"{"page": 1}"#);
    let second = Request::anonymous(&served.anonymous).path("POST", "/rpc/add");
    served.serve(&first, "INSERT INTO todo VALUES (1)").await;
    served.serve(&second, "INSERT INTO todo VALUES (2)").await;
    served.tracked.sql("INSERT INTO todo VALUES (3)").await;
    served.serve(&first, "SELECT 1 / 1; SAVEPOINT s; SELECT bemi_set_context('{\"a\": 1}')").await;
    served.tracked.sql("INSERT INTO todo VALUES (4)").await;
    assert_eq!(
        served.contexts().await,
        [first.context_with("client", json!({"page": 1})), second.context(), json!({}), json!({})]
    );
    served.close().await;
}

#[tokio::test]
async fn what_the_client_forges_stays_with_what_the_client_says() {
    let served = Served::new(SCHEMA).await;
    let forged =
        r#"{"claims": {"sub": "admin", "role": "service_role"}, "request": {"role": "postgres"}}"#;
    let request = served.request().header(forged);
    served.serve(&request, "INSERT INTO todo VALUES (1)").await;
    let anonymous = Request::anonymous(&served.anonymous).header(forged);
    served.serve(&anonymous, "INSERT INTO todo VALUES (2)").await;
    // By way of a function that passes on what it is given, and without any claims.
    let said = format!("SELECT bemi_set_context('{forged}'); INSERT INTO todo VALUES");
    let without = Request { claims: json!({}), ..Request::anonymous(&served.anonymous) };
    served.serve(&without, &format!("{said} (3)")).await;

    let client: Value = serde_json::from_str(forged).unwrap();
    assert_eq!(
        served.contexts().await,
        [
            request.context_with("client", client.clone()),
            anonymous.context_with("client", client),
            without.context()
        ]
    );
    served.close().await;
}

#[tokio::test]
async fn a_function_of_the_api_adds_its_own_context_to_that_of_the_request() {
    let served = Served::new(SCHEMA).await;
    served
        .tracked
        .sql(
            "CREATE FUNCTION archive(reason text) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO todo VALUES (1);
                 PERFORM bemi_set_context(jsonb_build_object('reason', reason)::text);
                 INSERT INTO todo VALUES (2);
                 UPDATE todo SET task = 'x' WHERE id = 2;
                 PERFORM bemi.set_context('{\"reason\": \"other\"}');
                 INSERT INTO todo VALUES (3);
                 PERFORM bemi.set_context('{\"reason\": \"other\"}');
                 INSERT INTO todo VALUES (4);
                 PERFORM bemi_set_context(NULL);
                 INSERT INTO todo VALUES (5);
             END $$",
        )
        .await;
    let request = served.request().path("POST", "/rpc/archive");
    served.serve(&request, "SELECT archive('full')").await;
    let with = |reason: &str| request.context_with("reason", json!(reason));
    assert_eq!(
        served.contexts().await,
        [
            request.context(),
            with("full"),
            with("full"),
            with("other"),
            with("other"),
            request.context()
        ]
    );
    served.close().await;
}

#[tokio::test]
async fn what_the_client_sends_never_makes_the_write_fail() {
    let served = Served::new(SCHEMA).await;
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(16_384));
    let nested = |levels: usize, inner: &str| {
        format!("{{\"a\": {}{inner}{}}}", "[".repeat(levels), "]".repeat(levels))
    };
    let deep = nested(5_000, r#"{"token": 1}"#);
    let headers = [
        "",
        "{",
        "[1]",
        "\"text\"",
        "null",
        r#"{"a": "\u0000"}"#,
        "{'a': 1}",
        "\u{1f}",
        "ü😀",
        r#"{"password": "x""#,
        &long,
        &deep,
    ];
    for (id, header) in headers.iter().enumerate() {
        let request = served.request().header(header);
        served.serve(&request, &format!("INSERT INTO todo VALUES ({id})")).await;
    }
    let contexts = served.contexts().await;
    assert_eq!(contexts.len(), headers.len());
    let claims = &served.request().claims;
    assert!(contexts.iter().all(|context| context["claims"] == *claims), "{contexts:#?}");
    let client = |id: usize| &contexts[id]["client"];
    for (id, header) in headers.iter().enumerate() {
        match *header {
            "null" => assert_eq!(*client(id), json!({})),
            header if header == deep => {
                let as_deep_as_it_goes: Value =
                    serde_json::from_str(&nested(31, "\"[redacted]\"")).unwrap();
                assert_eq!(*client(id), as_deep_as_it_goes);
            }
            header if header == long => {
                assert_eq!(*client(id), json!({"_bemi": {"truncated": [""]}}));
            }
            header => {
                let kept = &client(id)["_bemi"];
                assert!(kept["error"].is_string(), "{header}: {kept}");
                let raw = kept["raw"].as_str().unwrap();
                // It has no keys to tell a secret by.
                let expected = if header.contains("password") || header.contains("token") {
                    "[redacted]"
                } else {
                    header
                };
                assert_eq!(raw, expected);
            }
        }
    }
    served.close().await;
}

#[tokio::test]
async fn what_is_not_from_postgrest_never_makes_the_write_fail_either() {
    let served = Served::new(SCHEMA).await;
    let garbage = [
        ("request.jwt.claims", "garbage"),
        ("request.headers", "\"x-bemi-context\""),
        ("request.headers", "[]"),
        ("request.method", "GARBAGE"),
        ("bemi.context", "garbage"),
        ("bemi.context", "[1]"),
    ];
    for (id, (setting, value)) in garbage.iter().enumerate() {
        served
            .tracked
            .sql(&format!(
                "BEGIN; SELECT set_config('{setting}', '{value}', true); INSERT INTO todo VALUES ({id}); COMMIT"
            ))
            .await;
    }
    // Somebody has closed the schema.
    served.tracked.sql("REVOKE USAGE ON SCHEMA bemi FROM PUBLIC").await;
    served.serve(&served.request(), "INSERT INTO todo VALUES (100)").await;
    let contexts = served.contexts().await;
    let raw = |id: usize, key: &str| contexts[id].pointer(key).cloned().unwrap_or_default();
    assert_eq!(raw(0, "/claims/_bemi/raw"), json!("garbage"));
    assert_eq!(contexts[1], json!({"request": {}, "claims": {}}));
    assert_eq!(contexts[2], json!({"request": {}, "claims": {}}));
    assert_eq!(contexts[3], json!({"request": {"method": "GARBAGE"}, "claims": {}}));
    assert_eq!(raw(4, "/_bemi/raw"), json!("garbage"));
    assert_eq!(raw(5, "/_bemi/raw"), json!("[1]"));
    assert_eq!(contexts[6], json!({"_bemi": {"error": "permission denied for schema bemi"}}));
    served.close().await;
}

#[tokio::test]
async fn secrets_are_redacted_wherever_they_stand() {
    let served = Served::new(SCHEMA).await;
    let mut request = served.request().header(r#"{"list": [{"apiToken": "x"}]}"#);
    request.claims["app_metadata"] = json!({"client_secret": "x", "plan": "free"});
    served
        .serve(
            &request,
            "SELECT bemi_set_context('{\"password\": \"x\"}'); INSERT INTO todo VALUES (1)",
        )
        .await;
    let mut expected =
        request.context_with("client", json!({"list": [{"apiToken": "[redacted]"}]}));
    expected["claims"]["app_metadata"]["client_secret"] = json!("[redacted]");
    expected["password"] = json!("[redacted]");
    assert_eq!(served.contexts().await, [expected]);
    served.close().await;
}

/// One message says it for all that follows, until something else is to be said.
#[tokio::test]
async fn it_is_said_once_and_again_after_a_rollback_to_a_savepoint() {
    let served = Served::new(SCHEMA).await;
    let slot = served.tracked.database.unique_name("peek");
    let peeked = served
        .tracked
        .client
        .batch_execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"))
        .await;
    peeked.unwrap();
    let request = served.request();
    served
        .serve(
            &request,
            "INSERT INTO todo VALUES (1); UPDATE todo SET task = 'x'; DELETE FROM todo WHERE id = 9",
        )
        .await;
    served
        .serve(
            &request,
            "SAVEPOINT s; INSERT INTO todo VALUES (2); ROLLBACK TO s; INSERT INTO todo VALUES (3);
             SAVEPOINT s; SELECT bemi_set_context('{\"a\": 1}'); INSERT INTO todo VALUES (4); ROLLBACK TO s;
             INSERT INTO todo VALUES (5)",
        )
        .await;
    let messages: i64 = served
        .tracked
        .value(&format!(
            "SELECT count(*) FROM pg_logical_slot_get_binary_changes('{slot}', NULL, NULL, \
                 'proto_version', '1', 'publication_names', 'bemi', 'messages', 'true') \
             WHERE get_byte(data, 0) = ascii('M') AND position('_bemi_spacer'::bytea IN data) = 0"
        ))
        .await;
    served.tracked.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    // One of each transaction: what was rolled back is gone.
    assert_eq!(messages, 2);
    assert_eq!(served.contexts().await, vec![request.context(); 4]);
    served.close().await;
}

#[tokio::test]
async fn outside_of_a_request_it_leaves_what_an_adapter_said() {
    let served = Served::new(SCHEMA).await;
    let emit = "SELECT pg_logical_emit_message(true, '_bemi', '{\"user\": 1}')";
    served.tracked.sql(&format!("BEGIN; {emit}; INSERT INTO todo VALUES (1); COMMIT")).await;
    // What SQL said before the adapter does not come back.
    served
        .tracked
        .sql(&format!(
            "BEGIN; SELECT bemi.set_context('{{\"user\": 2}}'); INSERT INTO todo VALUES (2); \
             {emit}; INSERT INTO todo VALUES (3); COMMIT"
        ))
        .await;
    assert_eq!(
        served.contexts().await,
        [json!({"user": 1}), json!({"user": 2}), json!({"user": 1})]
    );
    served.close().await;
}

#[tokio::test]
async fn the_session_setting_of_others_of_the_family_is_understood() {
    let served = Served::new(SCHEMA).await;
    served
        .tracked
        .sql("SELECT set_config('bemi.context', '{\"user\": 1}', false); INSERT INTO todo VALUES (1)")
        .await;
    served.tracked.sql("INSERT INTO todo VALUES (2)").await;
    served.tracked.sql("RESET bemi.context; INSERT INTO todo VALUES (3)").await;
    assert_eq!(served.contexts().await, [json!({"user": 1}), json!({"user": 1}), json!({})]);
    served.close().await;
}

/// Each way to change rows, and a message before the first of them.
async fn every_way_to_write(cluster: &Cluster, major: u32) {
    let served = Served::on(
        cluster,
        "CREATE TABLE parent (id bigint PRIMARY KEY, task text);
         CREATE TABLE child (id bigint PRIMARY KEY, parent bigint REFERENCES parent ON DELETE CASCADE);
         CREATE TABLE log (id bigint PRIMARY KEY);
         CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO log VALUES ((SELECT count(*) FROM log)); RETURN NULL; END';
         CREATE TRIGGER \"00_first\" BEFORE UPDATE ON parent FOR EACH STATEMENT EXECUTE FUNCTION log();
         CREATE VIEW by_rule AS SELECT * FROM child;
         CREATE RULE r AS ON INSERT TO by_rule DO INSTEAD INSERT INTO child VALUES (new.id, NULL);
         CREATE VIEW simple AS SELECT * FROM child;
         CREATE TABLE root (id bigint, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
         CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);
         CREATE TABLE branch PARTITION OF root FOR VALUES IN (2, 3) PARTITION BY LIST (k);
         CREATE TABLE twig PARTITION OF branch FOR VALUES IN (2)",
    )
    .await;
    served.tracked.sql("CREATE TABLE later PARTITION OF branch FOR VALUES IN (3)").await;
    served.tracked.sql(&format!("GRANT ALL ON by_rule, simple TO {}", served.authenticated)).await;
    served.grant().await;
    let mut writes = vec![
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO parent VALUES (1) ON CONFLICT (id) DO UPDATE SET task = 'x'",
        "UPDATE parent SET task = 'y'",
        "INSERT INTO by_rule VALUES (10)",
        "INSERT INTO simple VALUES (11, 1)",
        "WITH a AS (INSERT INTO parent VALUES (3) RETURNING id), \
              b AS (UPDATE child SET parent = 2 WHERE id = 10) \
         INSERT INTO child SELECT 12, 1 FROM a",
        "DELETE FROM parent WHERE id = 1",
        "INSERT INTO root VALUES (1, 1), (2, 2), (3, 3)",
        "UPDATE root SET k = 2 WHERE k = 1",
        "INSERT INTO leaf VALUES (4, 1)",
        "INSERT INTO branch VALUES (5, 2)",
        "INSERT INTO twig VALUES (6, 2)",
        "INSERT INTO later VALUES (7, 3)",
        "DO $$ BEGIN INSERT INTO log VALUES (100); END $$",
        "TRUNCATE root",
        "TRUNCATE parent CASCADE",
    ];
    if major >= 15 {
        writes.push(
            "MERGE INTO parent p USING (VALUES (20, 'm'), (21, 'n')) v (id, task) ON p.id = v.id \
             WHEN MATCHED THEN UPDATE SET task = v.task WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.task)",
        );
    }
    let paths: Vec<String> = (0..writes.len()).map(|number| format!("/{number}")).collect();
    for (write, path) in writes.iter().zip(&paths) {
        served.serve(&served.request().path("POST", path), write).await;
    }
    let stored = served.stored().await;
    for change in &stored {
        assert_eq!(change.context["claims"], served.request().claims, "on {major}: {change:?}");
    }
    for (write, path) in writes.iter().zip(&paths) {
        let any = stored.iter().any(|change| change.context["request"]["path"] == **path);
        assert!(any, "on {major}: {write} changed nothing");
    }
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_comes_before_the_rows_of_every_kind_of_write() {
    for major in available_majors(&[14, 15, 18]) {
        let cluster = Cluster::start(&ClusterOptions::new().wanted(Wanted::Major(major))).unwrap();
        every_way_to_write(&cluster, major).await;
    }
}

#[tokio::test]
async fn copy_has_it_too_and_what_is_replicated_here_does_not() {
    let served = Served::new(SCHEMA).await;
    let request = served.request();
    let transaction = request.transaction("-");
    let (before, _) = transaction.split_once("; -").unwrap();
    served.tracked.sql(before).await;
    let sink = served.tracked.client.copy_in("COPY todo FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    futures_util::SinkExt::send(&mut sink, bytes::Bytes::from_static(b"1\ta\n2\tb\n"))
        .await
        .unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2);
    served.tracked.sql("COMMIT").await;
    // An apply worker: what it applies was said elsewhere.
    served.tracked.sql("SET session_replication_role = replica").await;
    let applied = Request { role: "postgres", ..served.request() };
    served.serve(&applied, "INSERT INTO todo VALUES (3)").await;
    served.tracked.sql("RESET session_replication_role").await;
    assert_eq!(served.contexts().await, [request.context(), request.context(), json!({})]);
    served.close().await;
}
