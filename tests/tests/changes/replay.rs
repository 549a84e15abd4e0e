//! The proof of it all: whoever replays `changes` in their order over an empty copy of the schema has the tables as
//! they are now.
//!
//! Several clients write at random, in each other's way, to tables that refer to each other, and the worker is killed
//! meanwhile. `BEMI_SEED` has the statements of a run that failed come again; how the server interleaves them is up to it.

use std::fmt::Write as _;

use bemi_tests::{STORED_WITHIN, Tracked, eventually};
use tokio_postgres::{Client, Error};

use super::expected::own_cluster;

const CLIENTS: u64 = 6;
const TRANSACTIONS: u64 = 250;
const KILLS: usize = 4;

/// Keys of one column and of several, in another order than the table's; no key at all; partitions by list and below it
/// by range; every action of a foreign key; long values that mostly stay untouched.
const SCHEMA: &str = "
CREATE SCHEMA shop;
CREATE TABLE shop.account (region text, balance numeric, number int, PRIMARY KEY (number, region));
CREATE TABLE shop.item (
    id int PRIMARY KEY, region text, number int, size int, parent int REFERENCES shop.item ON DELETE CASCADE,
    FOREIGN KEY (number, region) REFERENCES shop.account ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE shop.tag (item int REFERENCES shop.item ON UPDATE CASCADE ON DELETE SET NULL, label text);
ALTER TABLE shop.tag REPLICA IDENTITY FULL;
CREATE TABLE shop.event (id int, day int, data jsonb, PRIMARY KEY (day, id)) PARTITION BY LIST (day);
CREATE TABLE shop.event_0 PARTITION OF shop.event FOR VALUES IN (0, 1);
CREATE TABLE shop.event_2 (data jsonb, gone int, day int NOT NULL, id int NOT NULL);
ALTER TABLE shop.event_2 DROP gone;
ALTER TABLE shop.event ATTACH PARTITION shop.event_2 FOR VALUES IN (2);
CREATE TABLE shop.event_rest PARTITION OF shop.event DEFAULT PARTITION BY RANGE (id);
CREATE TABLE shop.event_rest_all PARTITION OF shop.event_rest FOR VALUES FROM (0) TO (1000);
CREATE TABLE shop.place (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, what text);
ALTER TABLE shop.place REPLICA IDENTITY FULL;
CREATE TABLE shop.page (id int PRIMARY KEY, hits int, body text);
CREATE TABLE shop.list (id int PRIMARY KEY, what text);
ALTER TABLE shop.list REPLICA IDENTITY FULL;
INSERT INTO shop.place SELECT g, 'place ' || g FROM generate_series(1, 20) g;
";

const TABLES: [&str; 7] = ["account", "item", "tag", "event", "place", "page", "list"];

/// The copy has the columns of the tables and none of their constraints and triggers, which did their work already.
const COPY: &str = "
CREATE SCHEMA copy;
CREATE FUNCTION copy.replay() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    change record;
    same text;
    was jsonb;
    replayed bigint := 0;
BEGIN
    FOR change IN SELECT * FROM changes WHERE schema = 'shop' ORDER BY commit_position, sequence LOOP
        replayed := replayed + 1;
        IF change.operation = 'TRUNCATE' THEN
            EXECUTE format('DELETE FROM copy.%I', change.\"table\");
            CONTINUE;
        END IF;
        was := '{}';
        IF change.operation IN ('UPDATE', 'DELETE') THEN
            SELECT coalesce(
                (SELECT string_agg(format('r.%1$I = o.%1$I', a.attname), ' AND ')
                 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                 WHERE i.indisprimary AND i.indrelid = format('shop.%I', change.\"table\")::regclass),
                (SELECT string_agg(format('r.%1$I IS NOT DISTINCT FROM o.%1$I', key), ' AND ')
                 FROM jsonb_object_keys(change.before) AS key))
            INTO same;
            EXECUTE format(
                'DELETE FROM copy.%1$I AS d WHERE ctid = (SELECT r.ctid FROM copy.%1$I AS r, '
                'jsonb_populate_record(NULL::copy.%1$I, $1) AS o WHERE %2$s LIMIT 1) RETURNING to_jsonb(d)',
                change.\"table\", same)
            INTO was USING change.before;
            IF was IS NULL OR change.before_complete AND was <> change.before THEN
                RAISE EXCEPTION 'there is no such row, but %: %', was, to_jsonb(change);
            END IF;
        END IF;
        IF change.operation IN ('CREATE', 'UPDATE') THEN
            -- What PostgreSQL did not send is as it was.
            EXECUTE format('INSERT INTO copy.%1$I SELECT * FROM jsonb_populate_record(NULL::copy.%1$I, $1)',
                           change.\"table\")
            USING CASE WHEN change.unavailable IS NULL THEN change.after ELSE was || change.after END;
        END IF;
    END LOOP;
    RETURN replayed;
END $$;";

/// Numbers that a seed decides: SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// One statement that writes. Few keys, so that clients meet.
fn statement(chance: &mut Chance) -> String {
    let (id, other) = (chance.below(40), chance.below(40));
    let (region, day) =
        (["n", "s", "e"][usize::try_from(chance.below(3)).unwrap()], chance.below(5));
    match chance.below(26) {
        0 | 1 => format!(
            "INSERT INTO shop.account VALUES ('{region}', {id}.50, {id}) ON CONFLICT DO NOTHING"
        ),
        2 => format!("UPDATE shop.account SET balance = balance + 1 WHERE number < {id}"),
        3 => format!(
            "UPDATE shop.account SET region = '{region}', number = {other} WHERE number = {id}"
        ),
        4 => format!("DELETE FROM shop.account WHERE number = {id}"),
        5 | 6 => format!(
            "INSERT INTO shop.item SELECT {id}, region, number, {day}, (SELECT max(id) FROM shop.item WHERE id < {id}) \
             FROM shop.account ORDER BY balance LIMIT 1 ON CONFLICT (id) DO UPDATE SET size = shop.item.size + 1"
        ),
        7 => format!(
            "UPDATE shop.item SET id = {other} WHERE id = {id} AND NOT EXISTS \
                      (SELECT FROM shop.item c WHERE c.parent = {id})"
        ),
        8 => format!("DELETE FROM shop.item WHERE id = {id}"),
        9 | 10 => format!(
            "INSERT INTO shop.tag SELECT max(id), 'tag {day}' FROM shop.item WHERE id < {id}"
        ),
        11 => format!("UPDATE shop.tag SET label = label || '!' WHERE label = 'tag {day}'"),
        12 => format!("DELETE FROM shop.tag WHERE label LIKE 'tag {day}%'"),
        13 | 14 => format!(
            "INSERT INTO shop.event SELECT g, {day}, jsonb_build_object('n', g / 3.0, 's', E'\"\\n') \
             FROM generate_series({id}, {id} + 3) g ON CONFLICT DO NOTHING"
        ),
        15 => format!("UPDATE shop.event SET day = {day} WHERE id = {id}"),
        16 => format!("UPDATE shop.event SET data = data || '{{\"k\": null}}' WHERE day = {day}"),
        17 => format!("DELETE FROM shop.event WHERE id % 7 = {day}"),
        18 => "UPDATE shop.place SET id = 21 - id".to_owned(),
        19 => format!("UPDATE shop.place SET what = 'was at {id}' WHERE id = {other} / 2"),
        20 | 21 => format!(
            "INSERT INTO shop.page SELECT {id}, 0, string_agg(md5({other} || ' ' || g), '') FROM generate_series(1, 200) g \
             ON CONFLICT (id) DO UPDATE SET hits = shop.page.hits + 1"
        ),
        22 => format!(
            "UPDATE shop.page SET hits = hits + 1, id = id + 100 * (id % 2) WHERE id = {id}"
        ),
        23 => format!("DELETE FROM shop.page WHERE id % 20 = {other}"),
        24 if chance.percent(30) => [
            "TRUNCATE shop.list",
            "TRUNCATE shop.event, shop.list",
            "TRUNCATE shop.account CASCADE",
        ][usize::try_from(chance.below(3)).unwrap()]
        .to_owned(),
        _ => format!(
            "INSERT INTO shop.list SELECT g, 'l' FROM generate_series({id}, {other}) g \
             ON CONFLICT (id) DO UPDATE SET what = excluded.what || {day}"
        ),
    }
}

/// The statements of a transaction up to its end, savepoints among them.
fn transaction(chance: &mut Chance, name: &str) -> Vec<String> {
    let mut statements = vec![
        "BEGIN".to_owned(),
        format!("SELECT pg_logical_emit_message(true, '_bemi', '{{\"name\": \"{name}\"}}')"),
    ];
    for _ in 0..=chance.below(4) {
        if chance.percent(25) {
            statements.push("SAVEPOINT s".to_owned());
            statements.push(
                "SELECT pg_logical_emit_message(true, '_bemi', '{\"name\": \"gone\"}')".to_owned(),
            );
            statements.push(statement(chance));
            statements.push("ROLLBACK TO s".to_owned());
        }
        if chance.percent(15) {
            statements.push("SAVEPOINT kept".to_owned());
            statements.push(statement(chance));
            statements.push("RELEASE kept".to_owned());
        }
        statements.push(statement(chance));
    }
    match chance.below(20) {
        0 | 1 => statements.push("ROLLBACK".to_owned()),
        2 => {
            statements.push(format!("PREPARE TRANSACTION '{name}'"));
            statements.push(format!("COMMIT PREPARED '{name}'"));
        }
        3 => {
            statements.push(format!("PREPARE TRANSACTION '{name}'"));
            statements.push(format!("ROLLBACK PREPARED '{name}'"));
        }
        _ => statements.push("COMMIT".to_owned()),
    }
    statements
}

/// Runs the statements. What collides with another client is rolled back.
async fn run(connection: &Client, statements: &[String]) {
    for statement in statements {
        if let Err(error) = connection.batch_execute(statement).await {
            require_collision(statement, &error);
            connection.batch_execute("ROLLBACK").await.unwrap();
            return;
        }
    }
}

/// Violated constraints, deadlocks, and rows that moved away are part of the game; anything else is a mistake of this test.
fn require_collision(statement: &str, error: &Error) {
    let code = error.code().map_or("", |code| code.code());
    assert!(code.starts_with("23") || code.starts_with("40"), "{statement}: {error:?}");
}

fn seed() -> u64 {
    let seed = match std::env::var("BEMI_SEED") {
        Ok(seed) => seed.parse().expect("BEMI_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into(),
    };
    // Shown when the test fails.
    println!("BEMI_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_in_their_order_the_changes_give_the_tables_as_they_are() {
    require_replay("keep").await;
}

/// Each row before is compared with what the replay has at that point.
#[tokio::test(flavor = "multi_thread")]
async fn so_do_changes_with_whole_rows_before() {
    require_replay("full").await;
}

/// On a cluster of its own: the workload prepares transactions, and finds its deadlocks quickly.
async fn require_replay(identity: &str) {
    let seed = seed();
    let cluster = own_cluster(&[("max_prepared_transactions", "10"), ("deadlock_timeout", "20ms")]);
    let tracked = Tracked::untracked(&cluster, "").await;
    tracked.setup(&["--tables", "shop.*", "--replica-identity", identity]).await;
    tracked.sql(SCHEMA).await;

    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let connection = tracked.database.connect().await.unwrap();
        clients.push(tokio::spawn(async move {
            let mut chance = Chance(seed.wrapping_add(client << 32));
            for number in 0..TRANSACTIONS {
                let statements = transaction(&mut chance, &format!("{client}.{number}"));
                run(&connection, &statements).await;
            }
        }));
    }
    for kill in 1..=KILLS {
        let mut worker = tracked.run().await;
        let stored = tracked.count().await;
        // Right after it has stored something, it is in the middle of its work.
        eventually(STORED_WITHIN, "more changes", async || {
            let is_over = clients.iter().all(tokio::task::JoinHandle::is_finished);
            (is_over || tracked.count().await > stored + 300).then_some(())
        })
        .await;
        worker.kill_9();
        assert!(!worker.stderr().contains("panicked"), "kill {kill}: {}", worker.stderr());
    }
    for client in clients {
        client.await.unwrap();
    }
    tracked.store().await;

    require_variety(&tracked, identity).await;
    let mut copies = COPY.to_owned();
    for table in TABLES {
        write!(copies, "CREATE TABLE copy.{table} (LIKE shop.{table});").unwrap();
    }
    tracked.sql(&copies).await;
    let replayed: i64 = tracked.value("SELECT copy.replay()").await;
    assert_eq!(replayed, tracked.count().await);
    for table in TABLES {
        let differences: i64 = tracked
            .value(&format!(
                "SELECT count(*) FROM ((TABLE shop.{table} EXCEPT ALL TABLE copy.{table}) UNION ALL \
                 (TABLE copy.{table} EXCEPT ALL TABLE shop.{table})) d"
            ))
            .await;
        assert_eq!(differences, 0, "{table} after {replayed} changes, BEMI_SEED={seed}");
    }
}

/// Else the rest would prove little: each kind of change is there, and each transaction has its own context alone.
async fn require_variety(tracked: &Tracked, identity: &str) {
    for (what, sql) in [
        ("tables", "SELECT count(DISTINCT \"table\") = 7 FROM changes"),
        ("changes", "SELECT count(*) > 2000 FROM changes"),
        ("operations", "SELECT count(DISTINCT operation) = 4 FROM changes"),
        (
            "keys that changed",
            "SELECT count(DISTINCT \"table\") > 3 FROM changes WHERE previous_key IS NOT NULL",
        ),
        (
            "rows that moved",
            "SELECT count(*) > 0 FROM changes WHERE \"table\" = 'event' AND operation = 'DELETE'",
        ),
        (
            "contexts",
            "SELECT bool_and(one) FROM (SELECT count(DISTINCT context) = 1 AND min(context ->> 'name') <> 'gone' AS one \
             FROM changes WHERE context <> '{}' GROUP BY commit_position) c",
        ),
    ] {
        assert!(tracked.value::<bool>(sql).await, "{what}");
    }
    let lacking: i64 =
        tracked.value("SELECT count(*) FROM changes WHERE unavailable IS NOT NULL").await;
    assert_eq!(lacking > 0, identity == "keep", "{lacking} changes lack values");
}
