//! The proof of it all: as of any moment, the record tells what a snapshot taken at that moment has, or says that it
//! does not know, and that only where it may.
//!
//! Several clients write at random, in each other's way, and alter the tables meanwhile; the worker is stopped and killed;
//! a baseline is stored; a slot is lost. Now and then all stop for a moment between two transactions, and every table is
//! read. `BEMI_SEED` has the decisions of a run that failed come again, `BEMI_HISTORIES` runs more of them; how the
//! server interleaves the clients is up to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bemi_core::record::{Coverage, Key, Point, Record, Row, RowAt, TableAsOf, TableName};
use bemi_core::{CommitPosition, Lsn};
use bemi_tests::{STORED_WITHIN, Tracked, eventually, shared_cluster};
use bemi_worker::connect::Session;
use tokio_postgres::{Client, Error};

use super::asked::{reason, record, session};
use super::chance::{Chance, seed};

const CLIENTS: u64 = 3;
const MOMENTS: u64 = 7;
const TRANSACTIONS_BETWEEN: u64 = 12;
const HISTORIES_DEFAULT: u64 = 1;

/// Held shared by whoever writes, for a transaction; held alone by whoever reads the truth.
const BETWEEN: &str = "4711";

/// Keys of one column and of several; keys that are checked late; no key at all; long values that stay untouched, under
/// an identity that does not tell them. Some rows are there before anybody looks.
const SCHEMA: &str = "
CREATE SEQUENCE bemi_test_transactions;
CREATE TABLE item (id int PRIMARY KEY, a text, n numeric);
CREATE TABLE pair (y text, v int, x int, PRIMARY KEY (x, y));
CREATE TABLE place (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, what text);
CREATE TABLE note (t text, n int);
CREATE TABLE page (id int PRIMARY KEY, hits int, body text);
INSERT INTO item SELECT g, 'old ' || g, g / 3.0 FROM generate_series(1, 12) g;
INSERT INTO pair SELECT 'y' || g, g, g FROM generate_series(1, 6) g;
INSERT INTO place SELECT g, 'place ' || g FROM generate_series(1, 8) g;
INSERT INTO note SELECT 'old', g FROM generate_series(1, 3) g;
INSERT INTO page SELECT g, 0, (SELECT string_agg(md5(g || ' ' || s), '') FROM generate_series(1, 200) s)
    FROM generate_series(1, 5) g;
";

const TABLES: [&str; 6] = ["item", "pair", "place", "note", "page", "later"];

/// All rows of all tables, by table; each with its key as the record has it.
type Rows = BTreeMap<String, Vec<(Option<String>, Row)>>;

/// What was there between two transactions.
struct Moment {
    position: CommitPosition,
    rows: Rows,
}

/// What was compared.
#[derive(Debug, Default)]
struct Count {
    present: u64,
    unknown: BTreeMap<String, u64>,
    complete: u64,
    alive: u64,
    forward: u64,
    backward: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_any_moment_the_record_has_what_a_snapshot_of_that_moment_has() {
    let histories =
        std::env::var("BEMI_HISTORIES").map_or(HISTORIES_DEFAULT, |n| n.parse().unwrap());
    let seed = seed();
    let mut count = Count::default();
    for history in 0..histories {
        let seed = seed.wrapping_add(history);
        println!("history with BEMI_SEED={seed}");
        check_history(seed, &mut count).await;
    }
    println!("{count:?}");
    // Else it would have proven little.
    assert!(count.present > 100 && count.complete > 5 && count.alive > 0, "{count:?}");
    assert!(count.forward > 50 && count.backward > 10, "{count:?}");
}

async fn check_history(seed: u64, count: &mut Count) {
    let mut chance = Chance(seed);
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    tracked.setup(&["--all-tables", "--replica-identity", "full:item,pair,place,note"]).await;
    let moments = history(&tracked, &mut chance, seed).await;

    // What is there now is waited for.
    let worker = tracked.run().await;
    let mut record = record(&tracked).await.waiting(STORED_WITHIN);
    for table in TABLES {
        let table = TableName::new("public", table);
        let coverage = record.coverage_of(&table).await.unwrap();
        for moment in &moments {
            let context = format!("{table} at {}, BEMI_SEED={seed}", moment.position);
            let told = as_of(&mut record, moment, &table).await;
            compare(moment, &table, &told, &context, count);
            require_coverage(&coverage, moment, &table, &told, &context);
            let mut alive = record.as_of(Point::Lsn(moment.position.0)).with_live_here();
            let alive = alive.table(&table).await.unwrap();
            count.alive += compare(moment, &table, &alive, &format!("{context}, with live"), count);
        }
    }
    worker.stop().await;
    check_both_ways(&tracked, &moments, count, seed).await;
}

/// What the worker, the clients and the administrator do; gives what was there at some moments.
async fn history(tracked: &Tracked, chance: &mut Chance, seed: u64) -> Vec<Moment> {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let connection = tracked.database.connect().await.unwrap();
        let is_over = Arc::clone(&is_over);
        clients.push(tokio::spawn(async move {
            let mut chance = Chance(seed.wrapping_mul(31).wrapping_add(client << 32));
            while !is_over.load(Ordering::Relaxed) {
                transaction(&connection, &mut chance).await;
            }
        }));
    }
    let reader = tracked.database.connect().await.unwrap();
    let mut moments = vec![moment(&reader).await];
    let backfill_at = chance.below(MOMENTS + 2);
    let lose_at = chance.below(MOMENTS + 4);
    let mut worker = None;
    for step in 0..MOMENTS {
        let written: i64 = transactions(&reader).await;
        match chance.below(4) {
            0 if worker.is_none() => worker = Some(tracked.run().await),
            1 => {
                if let Some(mut worker) = worker.take() {
                    bemi_tests::RunningWorker::kill_9(&mut worker);
                }
            }
            2 => {
                if let Some(worker) = worker.take() {
                    bemi_tests::RunningWorker::stop(worker).await;
                }
            }
            _ => {}
        }
        if step == lose_at {
            drop(worker.take());
            lose(tracked).await;
        }
        if step == backfill_at {
            let arguments = ["backfill", "--all-tables", "--chunk-rows", "4"];
            // A table that is altered all the time is given up at last.
            while tracked.worker(&arguments).run_to_end().await.code != Some(0) {}
        }
        eventually(STORED_WITHIN, "more transactions", async || {
            let wanted = i64::try_from(TRANSACTIONS_BETWEEN).unwrap();
            (transactions(&reader).await >= written + wanted).then_some(())
        })
        .await;
        moments.push(moment(&reader).await);
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    drop(worker);
    tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    moments.push(moment(&reader).await);
    tracked.store().await;
    moments
}

/// A slot that is gone, with changes that nobody has stored.
async fn lose(tracked: &Tracked) {
    let slot = tracked.database.slot_name();
    tracked.database.drop_slot(&slot).await;
    let arguments = ["run", "--once", "--on-gap", "continue"];
    tracked.worker(&arguments).run_to_end().await.assert_code(0);
    tracked.database.wait_for_free_slot(&slot).await;
}

async fn transactions(reader: &Client) -> i64 {
    let sql = "SELECT last_value FROM bemi_test_transactions";
    reader.query_one(sql, &[]).await.unwrap().get(0)
}

/// A transaction of one to four statements; what collides with another client is rolled back.
async fn transaction(connection: &Client, chance: &mut Chance) {
    let mut statements =
        vec!["BEGIN".to_owned(), format!("SELECT pg_advisory_xact_lock_shared({BETWEEN})")];
    for _ in 0..=chance.below(3) {
        statements.push(statement(chance));
        if chance.percent(15) {
            statements.push("SAVEPOINT s".to_owned());
            statements.push(statement(chance));
            statements.push("ROLLBACK TO s".to_owned());
        }
    }
    statements.push("SELECT nextval('bemi_test_transactions')".to_owned());
    statements.push(if chance.percent(10) { "ROLLBACK" } else { "COMMIT" }.to_owned());
    for statement in &statements {
        if let Err(error) = connection.batch_execute(statement).await {
            require_collision(statement, &error);
            connection.batch_execute("ROLLBACK").await.unwrap();
            return;
        }
    }
}

/// Violated constraints and deadlocks are part of the game, and so are columns and tables that somebody has dropped or
/// made meanwhile; a table that two make at once is one type for one of them.
fn require_collision(statement: &str, error: &Error) {
    let code = error.code().map_or("", |code| code.code());
    let is_ours = ["42703", "42701", "42P01", "42P07", "42710", "42804", "55006"].contains(&code);
    assert!(is_ours || code.starts_with("23") || code.starts_with("40"), "{statement}: {error:?}");
}

/// One statement. Few keys, so that clients meet.
fn statement(chance: &mut Chance) -> String {
    let (id, other) = (1 + chance.below(20), 1 + chance.below(20));
    let (column, name) = (1 + chance.below(3), 1 + chance.below(3));
    match chance.below(40) {
        0..=3 => format!(
            "INSERT INTO item (id, a, n) VALUES ({id}, 'a {other}', {other} / 7.0) \
             ON CONFLICT (id) DO UPDATE SET a = excluded.a || '!'"
        ),
        4 | 5 => format!("UPDATE item SET n = n + {other} WHERE id % 5 = {id} % 5"),
        6 => format!("UPDATE item SET id = {other} WHERE id = {id}"),
        7 => format!("DELETE FROM item WHERE id = {id}"),
        8 => format!("UPDATE item SET c{column} = '{other}' WHERE id < {id}"),
        9 | 10 => format!(
            "INSERT INTO pair (x, y, v) VALUES ({id} % 8, 'y{other}', {other}) ON CONFLICT DO NOTHING"
        ),
        11 => format!("UPDATE pair SET x = x + 1 WHERE v = {other}"),
        12 => format!("UPDATE pair SET v = v + 1 WHERE x = {id} % 8"),
        13 => format!("DELETE FROM pair WHERE v % 10 = {id} % 10"),
        14 | 15 => "UPDATE place SET id = 9 - id".to_owned(),
        16 => format!("INSERT INTO place VALUES (1 + {id} % 8, 'visit {other}')"),
        17 => format!("DELETE FROM place WHERE id = {id} OR what = 'visit {other}'"),
        18 => format!("UPDATE place SET what = 'was at {id}' WHERE id = {other} / 2"),
        19 | 20 => {
            format!("INSERT INTO note SELECT 'n' || {id} % 3, g FROM generate_series(1, 3) g")
        }
        21 => format!("UPDATE note SET n = n + 1 WHERE t = 'n' || {id} % 3"),
        22 => format!("DELETE FROM note WHERE n = {id} % 6"),
        23 | 24 => format!(
            "INSERT INTO page SELECT {id}, 0, string_agg(md5({other} || ' ' || g), '') FROM generate_series(1, 200) g \
             ON CONFLICT (id) DO UPDATE SET hits = page.hits + 1"
        ),
        25 => format!("UPDATE page SET hits = hits + 1, id = id + 20 * (id % 2) WHERE id = {id}"),
        26 => format!("DELETE FROM page WHERE id % 10 = {id} % 10"),
        27 | 28 => format!(
            "INSERT INTO later VALUES ({id}, {other}) ON CONFLICT (id) DO UPDATE SET v = -{other}"
        ),
        29 => format!("DELETE FROM later WHERE v < {other}"),
        30 => match chance.below(12) {
            0 => "TRUNCATE item".to_owned(),
            1 => "TRUNCATE pair, note".to_owned(),
            2 => "TRUNCATE place".to_owned(),
            3 => "DROP TABLE later".to_owned(),
            _ => "CREATE TABLE later (id int PRIMARY KEY, v int)".to_owned(),
        },
        31 => alteration(chance, column, name),
        _ => format!("UPDATE item SET a = 'b {other}' WHERE id = {id}"),
    }
}

fn alteration(chance: &mut Chance, column: u64, name: u64) -> String {
    let what = match chance.below(8) {
        0 => format!("ADD COLUMN c{column} text"),
        1 | 2 => format!("ADD COLUMN c{column} int DEFAULT {name}"),
        3 => format!("ADD COLUMN c{column} text DEFAULT (random() < 0.5)::text"),
        4 => format!("DROP COLUMN c{column}"),
        5 | 6 => format!("RENAME COLUMN c{column} TO c{name}"),
        _ => format!("ALTER COLUMN c{column} TYPE text USING 'was ' || c{column}"),
    };
    format!("ALTER TABLE item {what}")
}

/// Has everybody stop between two transactions, and reads all tables.
async fn moment(reader: &Client) -> Moment {
    reader.batch_execute(&format!("SELECT pg_advisory_lock({BETWEEN})")).await.unwrap();
    let lsn: i64 = reader
        .query_one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[])
        .await
        .unwrap()
        .get(0);
    let mut rows = Rows::new();
    for table in TABLES {
        let key = match table {
            "pair" => "'[\"' || whole.x || '\",\"' || whole.y || '\"]'",
            "note" => "NULL::text",
            _ => "whole.id::text",
        };
        let sql = format!("SELECT {key}, to_jsonb(whole)::text FROM {table} AS whole");
        match reader.query(&sql, &[]).await {
            Ok(found) => {
                let found =
                    found.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap()));
                rows.insert(table.to_owned(), found.collect());
            }
            // It is not there now.
            Err(error) => require_collision(&sql, &error),
        }
    }
    // No transaction begins its commit where the moment was.
    reader.batch_execute("SELECT pg_logical_emit_message(true, 'nobody', '')").await.unwrap();
    reader.batch_execute(&format!("SELECT pg_advisory_unlock({BETWEEN})")).await.unwrap();
    Moment { position: CommitPosition(Lsn::from_bigint(lsn)), rows }
}

async fn as_of(record: &mut Record<Session>, moment: &Moment, table: &TableName) -> TableAsOf {
    record.as_of(Point::Lsn(moment.position.0)).table(table).await.unwrap()
}

/// What is told is true, and what is missing was not there where it is said to be all. Gives how many rows were told.
fn compare(
    moment: &Moment,
    table: &TableName,
    told: &TableAsOf,
    context: &str,
    count: &mut Count,
) -> u64 {
    let none = Vec::new();
    let truth = moment.rows.get(table.table()).unwrap_or(&none);
    let mut left: Vec<&(Option<String>, Row)> = truth.iter().collect();
    let mut present = 0;
    for told in &told.rows {
        let key = told.key.as_ref().map(Key::as_str);
        let found = left.iter().position(|(at, row)| {
            at.as_deref() == key && (key.is_some() || told.row == RowAt::Present(row.clone()))
        });
        match (&told.row, found) {
            (RowAt::Present(row), Some(place)) => {
                assert_eq!(row, &left[place].1, "{context}: {key:?}");
                left.remove(place);
                present += 1;
            }
            (RowAt::Present(row), None) => panic!("{context}: there was no {key:?}, {row}"),
            (RowAt::Unknown(why), place) => {
                if let Some(place) = place {
                    left.remove(place);
                }
                *count.unknown.entry(reason(why)).or_default() += 1;
            }
            _ => {}
        }
    }
    if told.is_complete {
        assert!(left.is_empty(), "{context}: {left:?} is said not to have been there");
        count.complete += 1;
    }
    count.present += present;
    present
}

/// Where coverage says that a table is known, no row is unknown.
fn require_coverage(
    coverage: &Coverage,
    moment: &Moment,
    table: &TableName,
    told: &TableAsOf,
    context: &str,
) {
    let Some(since) = coverage.complete_since else { return };
    let is_covered = since.position <= moment.position
        && coverage.holes.iter().all(|hole| hole.from > moment.position.0)
        && moment.rows.contains_key(table.table());
    assert!(!is_covered || told.is_complete, "{context}: {coverage:?} {told:?}");
}

/// Without what came later, and without what was before, the record tells the same, or nothing.
async fn check_both_ways(tracked: &Tracked, moments: &[Moment], count: &mut Count, seed: u64) {
    for moment in moments {
        let position = moment.position.0.to_bigint();
        tracked
            .sql(&format!(
                "DROP SCHEMA IF EXISTS up_to, behind CASCADE; CREATE SCHEMA up_to; CREATE SCHEMA behind;
                 CREATE TABLE up_to.changes (LIKE changes INCLUDING ALL);
                 CREATE TABLE behind.changes (LIKE changes INCLUDING ALL);
                 INSERT INTO up_to.changes SELECT * FROM changes WHERE commit_position <= {position};
                 INSERT INTO behind.changes SELECT * FROM changes WHERE commit_position > {position};
                 ANALYZE up_to.changes; ANALYZE behind.changes"
            ))
            .await;
        for table in ["item", "pair", "place", "page"] {
            let table = TableName::new("public", table);
            let context = format!("{table} at {}, BEMI_SEED={seed}", moment.position);
            for (schema, way) in [("up_to", "forward"), ("behind", "backward")] {
                let mut record = Record::new(session(tracked).await).in_schema(schema);
                let mut told = as_of(&mut record, moment, &table).await;
                // A baseline was stored, though its rows may not be in this half.
                told.is_complete = false;
                let context = format!("{context}, {way}");
                let present = compare(moment, &table, &told, &context, &mut Count::default());
                if schema == "up_to" {
                    count.forward += present;
                } else {
                    count.backward += present;
                }
            }
        }
    }
}
