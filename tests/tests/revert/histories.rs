//! The proof of it all: whatever several clients did to tables that refer to each other, taking it back
//! gives the exact rows of before, and taking that back gives those of after.
//!
//! `BEMI_SEED` has the statements of a run that failed come again; how the server interleaves them is up
//! to it.

use std::fmt::Write as _;

use bemi_core::CommitPosition;
use bemi_core::record::{Conflict, ConflictKind, OnConflict, Selection};
use bemi_tests::{Cluster, Tracked, shared_cluster};
use tokio_postgres::{Client, Error};

use crate::case::Case;

const CLIENTS: u64 = 4;
const ROUNDS: usize = 4;
const TRANSACTIONS: u64 = 25;

/// Keys of one column and of several, in another order than the table's; no key at all; partitions; every
/// action of a foreign key; keys that trade places; an identity and a generated column.
const SCHEMA: &str = "
CREATE SCHEMA shop;
CREATE TABLE shop.account (region text, balance numeric, number int, PRIMARY KEY (number, region));
CREATE TABLE shop.item (
    id int PRIMARY KEY, region text, number int, size int, parent int REFERENCES shop.item ON DELETE CASCADE,
    twice int GENERATED ALWAYS AS (size * 2) STORED,
    FOREIGN KEY (number, region) REFERENCES shop.account ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE shop.tag (item int REFERENCES shop.item ON UPDATE CASCADE ON DELETE SET NULL, label text);
CREATE TABLE shop.event (id int, day int, data jsonb, PRIMARY KEY (day, id)) PARTITION BY LIST (day);
CREATE TABLE shop.event_0 PARTITION OF shop.event FOR VALUES IN (0, 1);
CREATE TABLE shop.event_2 (data jsonb, gone int, day int NOT NULL, id int NOT NULL);
ALTER TABLE shop.event_2 DROP gone;
ALTER TABLE shop.event ATTACH PARTITION shop.event_2 FOR VALUES IN (2);
CREATE TABLE shop.event_rest PARTITION OF shop.event DEFAULT;
CREATE TABLE shop.place (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, what text);
CREATE TABLE shop.page (id int PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY, hits int, body text UNIQUE);
CREATE TABLE shop.list (id int PRIMARY KEY, what text);
INSERT INTO shop.place SELECT g, 'place ' || g FROM generate_series(1, 20) g;
";

const TABLES: [&str; 7] = ["account", "item", "tag", "event", "place", "page", "list"];

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
    let (id, other) = (chance.below(30), chance.below(30));
    let (region, day) =
        (["n", "s", "e"][usize::try_from(chance.below(3)).unwrap()], chance.below(5));
    match chance.below(27) {
        0..=2 => format!(
            "INSERT INTO shop.account VALUES ('{region}', {id}.50, {id}) ON CONFLICT DO NOTHING"
        ),
        3 => format!("UPDATE shop.account SET balance = balance + 1.000 WHERE number < {id}"),
        4 => format!(
            "UPDATE shop.account SET region = '{region}', number = number + 100 WHERE number % 100 = {id}"
        ),
        5 => format!("DELETE FROM shop.account WHERE number = {id}"),
        6..=8 => format!(
            "INSERT INTO shop.item SELECT {id}, region, number, {day}, (SELECT max(id) FROM shop.item WHERE id < {id}) \
             FROM shop.account ORDER BY number = {id} DESC LIMIT 1 ON CONFLICT (id) DO UPDATE SET size = excluded.size"
        ),
        9 => format!("UPDATE shop.item SET id = {other} + 30 WHERE id = {id}"),
        10 => format!(
            "UPDATE shop.item SET parent = (SELECT max(id) FROM shop.item WHERE id < {id}) WHERE id = {id}"
        ),
        11 => format!("DELETE FROM shop.item WHERE id = {id}"),
        12 | 13 => format!(
            "INSERT INTO shop.tag SELECT max(id), 'tag {day}' FROM shop.item WHERE id < {id}"
        ),
        14 => format!("UPDATE shop.tag SET label = label || '!' WHERE label = 'tag {day}'"),
        15 => format!("DELETE FROM shop.tag WHERE label LIKE 'tag {day}%'"),
        16 | 17 => format!(
            "INSERT INTO shop.event SELECT g, {day}, jsonb_build_object('n', g / 3.0, 's', E'\"\\n') \
             FROM generate_series({id}, {id} + 3) g ON CONFLICT DO NOTHING"
        ),
        18 => format!("UPDATE shop.event SET day = {day} WHERE id = {id}"),
        19 => format!("UPDATE shop.event SET data = data || '{{\"k\": null}}' WHERE day = {day}"),
        20 => format!("DELETE FROM shop.event WHERE id % 7 = {day}"),
        21 => "UPDATE shop.place SET id = 21 - id".to_owned(),
        22 => format!("UPDATE shop.place SET what = 'was at {id}' WHERE id = {other} / 2"),
        23 => format!(
            "INSERT INTO shop.page (id, hits, body) SELECT {id}, 0, {id} || string_agg(md5({other} || ' ' || g), '') \
             FROM generate_series(1, 80) g ON CONFLICT (id) DO UPDATE SET hits = shop.page.hits + 1"
        ),
        24 => format!("DELETE FROM shop.page WHERE id % 10 = {day}"),
        25 if chance.percent(40) => [
            "TRUNCATE shop.list",
            "TRUNCATE shop.event, shop.list",
            "TRUNCATE shop.account CASCADE",
            "TRUNCATE shop.tag",
        ][usize::try_from(chance.below(4)).unwrap()]
        .to_owned(),
        _ => format!(
            "INSERT INTO shop.list SELECT g, 'l' FROM generate_series({id}, {other}) g \
             ON CONFLICT (id) DO UPDATE SET what = excluded.what || {day}"
        ),
    }
}

/// The statements of a transaction up to its end.
fn transaction(chance: &mut Chance) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_owned()];
    for _ in 0..=chance.below(4) {
        if chance.percent(15) {
            statements.push("SAVEPOINT s".to_owned());
            statements.push(statement(chance));
            statements.push("ROLLBACK TO s".to_owned());
        }
        statements.push(statement(chance));
    }
    statements.push(if chance.percent(10) { "ROLLBACK" } else { "COMMIT" }.to_owned());
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

/// All rows of all tables.
async fn snapshot(case: &Case) -> String {
    let mut all = String::new();
    for table in TABLES {
        writeln!(all, "{table}: {}", case.rows(&format!("shop.{table}")).await).unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn any_stretch_of_any_history_goes_back_and_forth_again() {
    let seed = seed();
    let mut case = Case::of(tracked(shared_cluster()).await).await;
    let mut chance = Chance(seed);
    let mut moments: Vec<(CommitPosition, String)> = Vec::new();
    for round in 0..ROUNDS {
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let connection = case.tracked.database.connect().await.unwrap();
            let mut chance =
                Chance(seed.wrapping_add(client << 32).wrapping_add(round as u64) << 8);
            clients.push(tokio::spawn(async move {
                for _ in 0..TRANSACTIONS {
                    run(&connection, &transaction(&mut chance)).await;
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        moments.push((case.stored().await, snapshot(&case).await));
    }
    let (_, last) = moments.pop().unwrap();
    while !moments.is_empty() {
        let pick = usize::try_from(chance.below(moments.len() as u64)).unwrap();
        let (then, was) = moments.swap_remove(pick);
        let before = case.stored().await;
        let plan = case.plan(&Selection::After(then), OnConflict::Abort).await;
        if plan.is_blocked() {
            for conflict in plan.conflicts() {
                assert!(key_passes_on(conflict, &was, &last), "{conflict:?}, BEMI_SEED={seed}");
            }
            continue;
        }
        case.revert(&Selection::After(then)).await;
        assert_eq!(snapshot(&case).await, was, "back to {then}, BEMI_SEED={seed}");
        case.stored().await;
        case.revert(&Selection::After(before)).await;
        assert_eq!(snapshot(&case).await, last, "forth again from {then}, BEMI_SEED={seed}");
        case.stored().await;
    }
}

/// Whether it is of an account whose key belongs to one row then, and to another one now, while an item refers to it: no
/// order of statements takes that back.
fn key_passes_on(conflict: &Conflict, was: &str, is: &str) -> bool {
    let Some(key) = &conflict.key else { return false };
    let Ok([number, region]) = serde_json::from_str::<[String; 2]>(key.as_str()) else {
        return false;
    };
    let has_account = |rows: &str| {
        let accounts = rows.lines().find_map(|line| line.strip_prefix("account: "));
        accounts.is_some_and(|accounts| {
            accounts.split(' ').any(|row| {
                row.starts_with(&format!("({region},")) && row.ends_with(&format!(",{number})"))
            })
        })
    };
    conflict.kind == ConflictKind::StillReferenced
        && conflict.table.to_string() == "shop.account"
        && has_account(was)
        && has_account(is)
}

async fn tracked(cluster: &Cluster) -> Tracked {
    let tracked = Tracked::untracked(cluster, "").await;
    tracked.setup(&["--tables", "shop.*", "--replica-identity", "full"]).await;
    tracked.sql(SCHEMA).await;
    tracked
}
