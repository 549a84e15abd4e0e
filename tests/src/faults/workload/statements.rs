//! Random statements over the tables of the workload.
//!
//! There are few keys, so that clients meet at the same rows: they wait for each other, run into deadlocks and unique violations,
//! and roll back.

use fastrand::Rng;

/// So many keys each table has, more or less.
const KEYS: u32 = 60;

/// One transaction in that many is a large one.
const LARGE_ONE_IN: u32 = 120;

/// One statement in that many empties a table.
const TRUNCATE_ONE_IN: u32 = 150;

/// Rows of a large transaction. With what is in them it is more than a batch.
const LARGE_ROWS: u32 = 2_500;

/// The statements of a transaction, from BEGIN to COMMIT or ROLLBACK.
pub(super) fn transaction(rng: &mut Rng, client: u32, number: u64) -> Vec<String> {
    let mut statements = vec!["BEGIN; SET LOCAL lock_timeout = '500ms'".to_owned()];
    let mut contexts = 0;
    let mut say = |rng: &mut Rng, statements: &mut Vec<String>, one_in: u32| {
        if rng.u32(0..one_in) == 0 {
            contexts += 1;
            statements.push(match rng.u32(0..8) {
                0 => "SELECT truth.say('{}')".to_owned(),
                _ => format!(
                    "SELECT truth.say('{{\"client\": {client}, \"request\": {number}, \"step\": {contexts}, \
                     \"user\": \"ü{}\"}}')",
                    rng.u32(0..100)
                ),
            });
        }
    };
    if rng.u32(0..LARGE_ONE_IN) == 0 {
        say(rng, &mut statements, 1);
        statements.push(large(rng));
    }
    for _ in 0..rng.u32(1..6) {
        say(rng, &mut statements, 2);
        if rng.u32(0..5) == 0 {
            statements.push("SAVEPOINT s".to_owned());
            say(rng, &mut statements, 2);
            for _ in 0..rng.u32(1..4) {
                statements.push(statement(rng));
            }
            let end = if rng.bool() { "ROLLBACK TO s" } else { "RELEASE s" };
            statements.push(end.to_owned());
        } else {
            statements.push(statement(rng));
        }
    }
    statements.push(if rng.u32(0..8) == 0 { "ROLLBACK" } else { "COMMIT" }.to_owned());
    statements
}

/// A change of the tables themselves, by the only client that makes such.
pub(super) fn migration(rng: &mut Rng, number: u64) -> Vec<String> {
    let column = format!("added_{number}");
    let table = ["account", "item", "reading"].get(rng.usize(0..3)).copied().unwrap_or("account");
    let mut statements = vec!["BEGIN; SET LOCAL lock_timeout = '1s'".to_owned()];
    statements.push("SELECT truth.say('{\"client\": \"migration\"}')".to_owned());
    match rng.u32(0..4) {
        0 => {
            statements
                .push(format!("ALTER TABLE {table} ADD COLUMN {column} int DEFAULT {number}"));
            statements.push(statement(rng));
        }
        1 => {
            statements.push(statement(rng));
            statements.push(format!("ALTER TABLE {table} ADD COLUMN {column} text"));
            statements.push(statement(rng));
            statements.push(format!("ALTER TABLE {table} DROP COLUMN {column}"));
        }
        2 => statements.push(format!(
            "CREATE INDEX ON {table} ({})",
            if table == "item" { "amount" } else { "id" }
        )),
        _ => {
            let (from, to) = if rng.bool() { ("amount", "bigint") } else { ("amount", "int") };
            statements.push(format!("ALTER TABLE item ALTER {from} TYPE {to}"));
            statements.push(item(rng));
        }
    }
    statements.push(if rng.u32(0..4) == 0 { "ROLLBACK" } else { "COMMIT" }.to_owned());
    statements
}

fn statement(rng: &mut Rng) -> String {
    if rng.u32(0..TRUNCATE_ONE_IN) == 0 {
        let tables = ["account", "item", "device", "entry", "reading", "device, entry"];
        let tables = tables.get(rng.usize(0..tables.len())).copied().unwrap_or("entry");
        return format!("TRUNCATE {tables}");
    }
    match rng.u32(0..10) {
        0..3 => account(rng),
        3..5 => item(rng),
        5..7 => device(rng),
        7 => {
            let rows = rng.u32(1..30);
            format!("INSERT INTO entry SELECT g, 'line ' || g FROM generate_series(1, {rows}) g")
        }
        _ => reading(rng),
    }
}

fn account(rng: &mut Rng) -> String {
    let key = rng.u32(0..KEYS);
    match rng.u32(0..7) {
        0 | 1 => format!(
            "INSERT INTO account (id, owner, balance) SELECT g, 'owner ' || g, g * 1.25 \
             FROM generate_series({key}, {key} + {}) g \
             ON CONFLICT (id) DO UPDATE SET balance = account.balance + 0.01",
            rng.u32(0..5)
        ),
        2 => format!("UPDATE account SET balance = balance * -1.5, note = NULL WHERE id = {key}"),
        3 => format!(
            "UPDATE account SET owner = owner || '!' WHERE id BETWEEN {key} AND {key} + {}",
            rng.u32(0..4)
        ),
        // Stored out of line, and not touched by the statements above.
        4 => format!(
            "UPDATE account SET note = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, {}) g) \
             WHERE id = {key}",
            rng.u32(60..300)
        ),
        5 => format!("UPDATE account SET id = id + {} WHERE id = {key}", rng.u32(1..KEYS)),
        _ => format!("DELETE FROM account WHERE id BETWEEN {key} AND {key} + {}", rng.u32(0..3)),
    }
}

fn item(rng: &mut Rng) -> String {
    let (shelf, code) = (rng.u32(0..4), rng.u32(0..KEYS / 4));
    let row = format!("shelf = {shelf} AND code = 'c\"{code}'");
    match rng.u32(0..6) {
        0 | 1 => format!(
            "INSERT INTO item (shelf, code, amount, body) VALUES ({shelf}, 'c\"{code}', 1, repeat('{shelf}b', {})) \
             ON CONFLICT (shelf, code) DO UPDATE SET amount = item.amount + 1",
            rng.u32(1..4_000)
        ),
        2 => format!("UPDATE item SET amount = amount + 1 WHERE {row}"),
        3 => format!("UPDATE item SET body = repeat('x', {}) WHERE {row}", rng.u32(0..6_000)),
        4 => format!("UPDATE item SET shelf = shelf + 1 WHERE {row}"),
        _ => format!("DELETE FROM item WHERE {row}"),
    }
}

fn device(rng: &mut Rng) -> String {
    let key = rng.u32(0..KEYS);
    match rng.u32(0..5) {
        0 | 1 => format!(
            "INSERT INTO device VALUES ('d{key}', '{{\"on\": true, \"level\": {}}}', now()) ON CONFLICT DO NOTHING",
            rng.u32(0..100)
        ),
        2 => format!(
            "UPDATE device SET state = jsonb_build_object('level', {}), seen = clock_timestamp() WHERE code = 'd{key}'",
            rng.u32(0..100)
        ),
        3 => format!("UPDATE device SET code = 'd{}' WHERE code = 'd{key}'", rng.u32(0..KEYS)),
        _ => format!("DELETE FROM device WHERE code = 'd{key}'"),
    }
}

fn reading(rng: &mut Rng) -> String {
    let key = rng.u32(0..KEYS);
    match rng.u32(0..6) {
        0..3 => format!(
            "INSERT INTO reading (id, region, value, tags) SELECT g, g % 4, g / 8.0, ARRAY['t' || g, NULL] \
             FROM generate_series({key}, {key} + {}) g ON CONFLICT DO NOTHING",
            rng.u32(0..6)
        ),
        3 => format!("UPDATE reading SET value = value + 0.5 WHERE id = {key}"),
        4 => format!("UPDATE reading SET region = {} WHERE id = {key}", rng.u32(0..4)),
        _ => format!("DELETE FROM reading WHERE id BETWEEN {key} AND {key} + 2"),
    }
}

fn large(rng: &mut Rng) -> String {
    if rng.bool() {
        format!(
            "INSERT INTO entry SELECT g, repeat(chr(65 + g % 26), 2000) FROM generate_series(1, {LARGE_ROWS}) g"
        )
    } else {
        // Rows that nobody else has, of this range or another.
        let from = 1_000_000 + rng.u32(0..50) * LARGE_ROWS;
        format!(
            "INSERT INTO account (id, owner, note) SELECT g, 'many', repeat('n', 1500) \
             FROM generate_series({from}, {from} + {LARGE_ROWS}) g ON CONFLICT (id) DO UPDATE SET note = 'again'"
        )
    }
}
