//! `setup --adopt`: goes on where the family's original worker has stopped, and keeps its rows.

use bemi_tests::{Cluster, ClusterOptions, TestDatabase, Tracked};
use tokio_postgres::Client;

use super::fresh::{Fresh, says_all};

/// The table as the original worker's migrations leave it.
const CHANGES: &str = r#"
    CREATE TABLE changes (
        id uuid NOT NULL DEFAULT gen_random_uuid(),
        created_at timestamptz NOT NULL,
        primary_key varchar(255),
        after jsonb NOT NULL DEFAULT '{}',
        context jsonb NOT NULL DEFAULT '{}',
        database varchar(255) NOT NULL,
        schema varchar(255) NOT NULL,
        "table" varchar(255) NOT NULL,
        operation text NOT NULL
            CHECK (operation IN ('CREATE', 'UPDATE', 'DELETE', 'TRUNCATE', 'MESSAGE')),
        committed_at timestamptz NOT NULL,
        queued_at timestamptz NOT NULL,
        transaction_id bigint NOT NULL,
        position bigint NOT NULL,
        before jsonb NOT NULL DEFAULT '{}',
        CONSTRAINT changes_pkey PRIMARY KEY (id),
        CONSTRAINT changes_position_table_schema_database_operation_unique
            UNIQUE (position, "table", schema, database, operation)
    );
    CREATE INDEX changes_committed_at_index ON changes (committed_at);
    CREATE INDEX changes_context_index ON changes USING gin (context jsonb_path_ops);"#;

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text);
    ALTER TABLE todo REPLICA IDENTITY FULL;";

/// A database that the original worker has been tracking, from a slot of a name of its own.
struct Original {
    tracked: Tracked,
    slot: String,
}

impl Original {
    async fn new() -> Self {
        let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
        tracked.sql(CHANGES).await;
        tracked.sql("CREATE PUBLICATION dbz_publication FOR ALL TABLES").await;
        let slot = tracked.database.unique_name("original");
        tracked
            .sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"))
            .await;
        Self { tracked, slot }
    }

    /// The original worker at work: it reads all that its slot holds, stores the changes of `todo`,
    /// and acknowledges everything.
    async fn reads(&self) {
        store_as_original(&self.tracked.client, &self.tracked.client, &self.slot).await;
    }

    fn setup(&self, more: &[&str]) -> Vec<String> {
        let adopt = format!("--adopt={}", self.slot);
        let arguments = ["setup", "--all-tables", &adopt].into_iter().chain(more.iter().copied());
        arguments.map(ToOwned::to_owned).collect()
    }

    async fn adopt(&self, more: &[&str]) -> String {
        let arguments = self.setup(more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.tracked.worker(&arguments).run_to_end().await.assert_code(0).stdout
    }

    async fn refused(&self, code: i32, says: &[&str]) {
        let arguments = self.setup(&[]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        says_all(self.tracked.worker(&arguments).run_to_end().await.assert_code(code), says);
    }

    async fn is_original(&self) -> bool {
        self.tracked.value("SELECT count(*) = 14 FROM pg_attribute WHERE attrelid = 'changes'::regclass AND attnum > 0").await
    }

    /// Operation and key of each row, in the order of the table.
    async fn what(&self) -> Vec<String> {
        what(&self.tracked.client).await
    }
}

async fn what(client: &Client) -> Vec<String> {
    let sql = "SELECT coalesce(array_agg(operation || ' ' || primary_key \
                   ORDER BY commit_position, sequence), '{}') FROM changes";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn store_as_original(source: &Client, destination: &Client, slot: &str) {
    let rows = source
        .query(
            "SELECT (lsn - '0/0')::bigint, xid::text::bigint, chr(get_byte(data, 0)), \
                    current_database()::text \
             FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1', \
                 'publication_names', 'dbz_publication', 'messages', 'true') \
             WHERE get_byte(data, 0) IN (ascii('I'), ascii('U'), ascii('D')) \
               AND substring(data FROM 2 FOR 4) \
                   = decode(lpad(to_hex('todo'::regclass::oid::bigint), 8, '0'), 'hex')",
            &[&slot],
        )
        .await
        .unwrap();
    for row in rows {
        let (position, transaction, kind): (i64, i64, &str) = (row.get(0), row.get(1), row.get(2));
        let operation = match kind {
            "I" => "CREATE",
            "U" => "UPDATE",
            _ => "DELETE",
        };
        destination
            .execute(
                "INSERT INTO changes (created_at, primary_key, database, schema, \"table\", operation, \
                     committed_at, queued_at, transaction_id, position, context) \
                 VALUES (now(), 'by original', $1, 'public', 'todo', $2, now(), now(), $3, $4, \
                     '{\"user_id\": 1}')",
                &[&row.get::<_, &str>(3), &operation, &transaction, &position],
            )
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_stored_stays_and_what_follows_is_added() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked
        .sql("INSERT INTO todo VALUES (1, 'a'); UPDATE todo SET task = 'b'; DELETE FROM todo")
        .await;
    original.reads().await;
    let ids = "SELECT array_agg(id::text ORDER BY position) FROM changes";
    let before: Vec<String> = tracked.value(ids).await;

    let told = original.adopt(&[]).await;
    assert!(told.contains(&format!("go on from replication slot {}", original.slot)), "{told}");
    assert!(told.contains("bring public.changes into shape, with all its rows"), "{told}");
    assert!(told.contains(&format!("pg_drop_replication_slot('{}')", original.slot)), "{told}");
    assert!(told.contains("DROP PUBLICATION \"dbz_publication\""), "{told}");
    assert_eq!(tracked.value::<Vec<String>>(ids).await, before);

    tracked.sql("INSERT INTO todo VALUES (2, 'c'), (3, 'd')").await;
    tracked.store().await;
    let expected = ["CREATE by original", "UPDATE by original", "DELETE by original"];
    assert_eq!(original.what().await, [&expected[..], &["CREATE 2", "CREATE 3"]].concat());
    let whole: Vec<bool> = tracked
        .value("SELECT array_agg(before_complete ORDER BY commit_position, sequence) FROM changes")
        .await;
    assert_eq!(whole, [true, false, false, true, true], "an old row may be whole, or may not");
    let by_user: i64 =
        tracked.value("SELECT count(*) FROM changes WHERE context @> '{\"user_id\": 1}'").await;
    assert_eq!(by_user, 3);

    let again = original.adopt(&[]).await;
    assert!(again.starts_with("nothing to do"), "{again}");
    let doctor = tracked.worker(&["doctor"]).run_to_end().await;
    assert_eq!(doctor.code, Some(0), "{doctor}");
}

/// Its publication knows of what was written before ours were made; ours do not.
#[tokio::test]
async fn what_only_the_original_worker_can_read_it_has_to_store_first() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    original.reads().await;
    tracked.sql("INSERT INTO todo VALUES (2), (3)").await;
    original
        .refused(3, &["not all stored yet", "2 of them", "start it again", &original.slot])
        .await;
    assert!(original.is_original().await, "nothing was done to its table");

    // It is started again, catches up, and stops. What is written then, ours can read.
    original.reads().await;
    tracked.sql("INSERT INTO todo VALUES (4)").await;
    original.adopt(&[]).await;
    tracked.sql("INSERT INTO todo VALUES (5)").await;
    tracked.store().await;
    let by_original = "CREATE by original";
    assert_eq!(
        original.what().await,
        [by_original, by_original, by_original, "CREATE 4", "CREATE 5"]
    );
}

#[tokio::test]
async fn a_worker_that_still_streams_is_waited_for() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql(&format!("SELECT pg_drop_replication_slot('{}')", original.slot)).await;
    // A temporary slot is in use for as long as its session is there.
    let streaming = tracked.database.connect().await.unwrap();
    let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', true)";
    streaming.execute(create, &[&original.slot]).await.unwrap();
    original.refused(3, &["still streams", "stop it"]).await;
    assert!(original.is_original().await, "the original worker stores into it");
    let ours: i64 =
        tracked.value("SELECT count(*) FROM pg_publication WHERE pubname LIKE 'bemi%'").await;
    assert_eq!(ours, 2, "what does not disturb it is prepared");
}

/// Killed before it acknowledged what it had stored.
#[tokio::test]
async fn what_is_stored_and_not_acknowledged_is_not_stored_again() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    original.refused(3, &["not all stored yet"]).await;
    original.reads().await;
    // It reads on, stores, and is killed: a copy of its slot was acknowledged, its own was not.
    let copy = tracked.database.unique_name("copy");
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    let sql = format!("SELECT pg_copy_logical_replication_slot('{}', '{copy}')", original.slot);
    tracked.sql(&sql).await;
    store_as_original(&tracked.client, &tracked.client, &copy).await;
    original.refused(3, &["not all stored yet", "1 of them", "would be stored again"]).await;
    assert!(original.is_original().await);

    // Started again it reads them again, ignores them, and acknowledges.
    tracked
        .sql(&format!(
            "SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())",
            original.slot
        ))
        .await;
    original.adopt(&[]).await;
    tracked.sql("INSERT INTO todo VALUES (3)").await;
    tracked.store().await;
    assert_eq!(original.what().await, ["CREATE by original", "CREATE by original", "CREATE 3"]);
}

#[tokio::test]
async fn its_database_may_be_another_one() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql("DROP TABLE changes").await;
    let destination = TestDatabase::create(bemi_tests::shared_cluster()).await.unwrap();
    let stored = destination.connect().await.unwrap();
    stored.batch_execute(CHANGES).await.unwrap();
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    store_as_original(&tracked.client, &stored, &original.slot).await;

    original.refused(3, &["no table public.changes", "DESTINATION_DATABASE_URL"]).await;
    let arguments = original.setup(&[]);
    for arguments in [arguments, vec!["run".to_owned(), "--once".to_owned()]] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let worker = tracked.worker(&arguments).env("DESTINATION_DATABASE_URL", destination.url());
        worker.run_to_end().await.assert_code(0);
        tracked.sql("INSERT INTO todo SELECT max(id) + 1 FROM todo").await;
    }
    assert_eq!(what(&stored).await, ["CREATE by original", "CREATE 2"]);
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_told_precisely() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    let hint = tracked.worker(&["setup", "--all-tables"]).run_to_end().await.assert_code(3);
    says_all(hint, &["it is the original worker's", "--adopt"]);

    let same = ["--slot", &original.slot];
    let arguments = original.setup(&same);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = tracked.worker(&arguments).run_to_end().await.assert_code(3);
    says_all(output, &["would be", "another name with --slot"]);

    tracked.sql("ALTER TABLE changes RENAME after TO values").await;
    original.refused(3, &["cannot be taken over", "no column after", "older versions"]).await;
    tracked.sql("ALTER TABLE changes RENAME values TO after; ALTER TABLE changes ADD tenant text NOT NULL").await;
    original.refused(3, &["cannot be taken over", "column tenant is NOT NULL"]).await;
    tracked.sql("DROP TABLE changes; CREATE TABLE changes (id int)").await;
    original.refused(3, &["cannot be taken over", "not the original worker's"]).await;
    tracked.sql(&format!("SELECT pg_drop_replication_slot('{}')", original.slot)).await;
    original.refused(3, &["there is no slot", &original.slot, "--recreate-slot"]).await;
}

/// It stopped long ago, and somebody has dropped its slot.
#[tokio::test]
async fn without_its_slot_its_rows_are_kept_and_what_was_missed_is_a_gap() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    original.reads().await;
    tracked.sql(&format!("SELECT pg_drop_replication_slot('{}')", original.slot)).await;
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    let told = original.adopt(&["--recreate-slot"]).await;
    assert!(told.contains("record a gap"), "{told}");
    tracked.sql("INSERT INTO todo VALUES (3)").await;
    tracked.store().await;
    assert_eq!(original.what().await, ["CREATE by original", "CREATE 3"]);
    let gap: bool = tracked
        .value(
            "SELECT g.from_position = c.position AND g.to_position > c.position \
             FROM bemi.gaps g, changes c WHERE c.primary_key = 'by original'",
        )
        .await;
    assert!(gap);
}

#[tokio::test]
async fn a_dry_run_and_a_script_change_nothing() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    original.reads().await;
    let told = original.adopt(&["--dry-run"]).await;
    assert!(told.contains("would bring public.changes into shape"), "{told}");
    let script = original.adopt(&["--print-sql"]).await;
    assert!(original.is_original().await);
    let slots: i64 = tracked
        .value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
        .await;
    assert_eq!(slots, 1);

    // The script does the same, in its order, if the original worker has read up to the mark in it.
    let (before, after) = script.split_once("-- go on from").unwrap();
    tracked.sql(before).await;
    let early = tracked.client.batch_execute(&format!("-- {after}")).await.unwrap_err();
    assert!(early.as_db_error().unwrap().message().contains("has not caught up"), "{early:?}");
    original.reads().await;
    // Statements one by one: a slot is not made in a transaction that has written.
    for statement in statements(&format!("-- {after}")) {
        tracked.sql(&statement).await;
    }
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    tracked.store().await;
    assert_eq!(original.what().await, ["CREATE by original", "CREATE 2"]);
}

/// A script as psql cuts it.
fn statements(script: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut is_in_dollars = false;
    for line in script.lines() {
        is_in_dollars ^= line.matches("$bemi$").count() % 2 == 1;
        let statement = statements.last_mut().unwrap();
        statement.push_str(line);
        statement.push('\n');
        if line.ends_with(';') && !is_in_dollars {
            statements.push(String::new());
        }
    }
    statements
}

#[tokio::test]
async fn teardown_leaves_what_was_there() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    original.reads().await;
    original.adopt(&[]).await;
    let told = tracked.worker(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    assert!(told.stdout.contains("taken over with rows"), "{told}");
    assert_eq!(original.what().await, ["CREATE by original"]);
    let left: Vec<String> = tracked
        .value(
            "SELECT array_agg(name ORDER BY name) FROM \
                 (SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = current_database() \
                  UNION ALL SELECT pubname FROM pg_publication) AS n",
        )
        .await;
    assert_eq!(left, ["dbz_publication".to_owned(), original.slot.clone()]);
}

#[tokio::test]
async fn what_the_original_worker_leaves_goes_when_that_is_asked_for() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    let told = original.adopt(&["--drop-old"]).await;
    assert!(told.contains("drop publication dbz_publication"), "{told}");
    let left: Vec<String> = tracked
        .value("SELECT array_agg(slot_name::text) FROM pg_replication_slots WHERE database = current_database()")
        .await;
    assert_eq!(left, [tracked.database.slot_name()]);
    let publications: i64 = tracked
        .value("SELECT count(*) FROM pg_publication WHERE pubname = 'dbz_publication'")
        .await;
    assert_eq!(publications, 0);
}

/// Slots belong to the cluster, so the usual name takes one of its own.
#[tokio::test]
async fn the_slot_is_found_by_its_usual_name() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let fresh = Fresh::on(&cluster, TODO).await;
    fresh.sql(CHANGES).await;
    fresh.sql("CREATE PUBLICATION dbz_publication FOR ALL TABLES").await;
    fresh.sql("SELECT pg_create_logical_replication_slot('bemi_local', 'pgoutput')").await;
    let told = fresh.ok(&["setup", "--all-tables", "--adopt"]).await;
    assert!(told.contains("go on from replication slot bemi_local"), "{told}");
}

/// Altering a table takes its owner, and nothing takes a superuser.
#[tokio::test]
async fn a_role_that_owns_the_tables_and_may_replicate_suffices() {
    let original = Original::new().await;
    let tracked = &original.tracked;
    let role = tracked.database.unique_name("worker");
    tracked
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; ALTER TABLE todo OWNER TO {role}; \
             GRANT CREATE ON DATABASE {} TO {role}; GRANT ALL ON SCHEMA public TO {role}",
            tracked.database.name()
        ))
        .await;
    let url = tracked.database.url().replace("postgres@", &format!("{role}@"));
    let arguments = original.setup(&[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let worker = || tracked.worker(&arguments).env("DATABASE_URL", &url).run_to_end();
    says_all(worker().await.assert_code(6), &["does not own public.changes"]);

    tracked.sql("INSERT INTO todo VALUES (1)").await;
    original.reads().await;
    tracked.sql(&format!("ALTER TABLE changes OWNER TO {role}")).await;
    worker().await.assert_code(0);
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    let run = tracked.worker(&["run", "--once"]).env("DATABASE_URL", &url);
    run.run_to_end().await.assert_code(0);
    assert_eq!(original.what().await, ["CREATE by original", "CREATE 2"]);
    tracked.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}
