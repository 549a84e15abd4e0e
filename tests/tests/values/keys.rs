//! Keys: `primary_key` and `previous_key` are the server's text of them, whatever they are made of, and under replica identity
//! DEFAULT they are all of the row before that there is.

use std::fmt::Write as _;

use bemi_tests::{Tracked, shared_cluster};

use crate::draw::{Draw, Room, SEED_VARIABLE, seed};
use crate::types::{Part, Types};
use crate::values::Values;
use crate::{definitions, sql_literal, truth};

/// Types that keys are made of. Others have an order, too, but nobody makes keys of them.
const KEYS: &[&str] = &[
    "int2",
    "int4",
    "int8",
    "numeric",
    "float4",
    "float8",
    "text",
    "varchar",
    "bpchar",
    "\"char\"",
    "name",
    "bytea",
    "uuid",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "bool",
    "inet",
    "cidr",
    "macaddr",
    "pg_catalog.bit",
    "varbit",
    "money",
    "oid",
    "xid8",
    "pg_lsn",
    "tid",
    "jsonb",
    "tsvector",
    "int4range",
    "tstzmultirange",
    "text[]",
    "timestamptz[]",
    "int2vector",
    "oidvector",
    "own.mood",
    "own.of_enum",
    "own.positive",
    "own.of_array",
    "own.pair",
    "own.pair[]",
    "citext",
    "hstore",
    "ltree",
    "cube",
];

/// Rows that are written to a table.
const ROWS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_the_servers_text_of_any_type() {
    let seed = seed();
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    let mut draw = Draw::new(seed, &tracked.client).await;
    truth::create(&tracked.client).await;
    definitions::create(&tracked.client, &mut draw).await;
    let types = Types::read(&tracked.client).await;
    let values = Values::new(types, &tracked.client, &mut draw).await;
    let about = format!("with {SEED_VARIABLE}={seed} on {}", draw.version);

    let mut tables = Vec::new();
    for (number, key) in KEYS.iter().enumerate() {
        let oid: Option<u32> =
            tracked.value(&format!("SELECT to_regtype({})::oid", sql_literal(key))).await;
        let Some(oid) = oid else { continue };
        tables.push(Keyed { name: format!("t{number}"), columns: vec![(*key, oid)] });
        if number % 4 == 0 {
            // A key of two columns, in the other order than that of the table.
            let columns = vec![("text", 25), (*key, oid)];
            tables.push(Keyed { name: format!("two{number}"), columns });
        }
    }
    for table in &tables {
        let script = table.script();
        assert!(tracked.client.batch_execute(&script).await.is_ok(), "{script}");
    }
    tracked.setup(&["--all-tables"]).await;
    draw.room = Room::Key;
    for table in &tables {
        for statement in table.writes(&values, &mut draw) {
            // Another row may have the same key: then nothing is written.
            if let Err(error) = tracked.client.batch_execute(&statement).await {
                let is_taken =
                    error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION);
                assert!(is_taken, "{}, {about}\n{statement}", crate::message(&error));
            }
        }
    }
    tracked.store().await;

    // Of the old row, there is the key alone; its columns have the values that the trigger saw.
    let wrong = tracked
        .client
        .query(
            "WITH told AS (SELECT *, row_number() OVER (ORDER BY n) AS place FROM truth.log), \
                 stored AS (SELECT *, row_number() OVER (ORDER BY commit_position, sequence) AS place FROM changes) \
             SELECT format('%s %s: key %s, before %s, truth %s; stored: %s %s: key %s, before %s, truth %s', \
                 t.operation, t.\"table\", t.primary_key, t.previous_key, t.before, \
                 c.operation, c.\"table\", c.primary_key, c.previous_key, c.before) \
             FROM told t FULL JOIN stored c USING (place) \
             WHERE ROW(t.operation, t.\"table\", t.primary_key, t.previous_key, t.after::text, (t.before - 'v')::text) \
                 IS DISTINCT FROM \
                 ROW(c.operation, c.\"table\", c.primary_key, c.previous_key, c.after::text, c.before::text) \
             ORDER BY place LIMIT 10",
            &[],
        )
        .await
        .unwrap();
    let told: Vec<&str> = wrong.iter().map(|row| row.get(0)).collect();
    assert!(told.is_empty(), "keys are not what they should be, {about}:\n{}", told.join("\n"));
    let (changes, moved): (i64, i64) = (
        tracked.count().await,
        tracked.value("SELECT count(previous_key) FROM changes WHERE operation = 'UPDATE'").await,
    );
    eprintln!("{changes} changes, of which {moved} of the key");
    assert!(changes > 1000 && moved > 100, "only {changes} changes, {moved} of the key, {about}");
}

/// A table whose columns, but for the last one, are its key, in the opposite order.
struct Keyed {
    name: String,
    columns: Vec<(&'static str, u32)>,
}

impl Keyed {
    fn script(&self) -> String {
        let numbered = || self.columns.iter().enumerate();
        let mut columns = String::new();
        for (number, (sql, _)) in numbered() {
            write!(columns, "k{number} {sql}, ").unwrap();
        }
        let names: Vec<_> = numbered().map(|(number, _)| format!("k{number}")).rev().collect();
        let key = match names.as_slice() {
            [one] => format!("format('%s', r.{one})"),
            several => {
                let texts: Vec<_> = several
                    .iter()
                    .map(|name| format!("to_json(format('%s', r.{name}))::text"))
                    .collect();
                format!("'[' || {} || ']'", texts.join(" || ',' || "))
            }
        };
        format!(
            "CREATE TABLE {} ({columns}v int, PRIMARY KEY ({})); {}",
            self.name,
            names.join(", "),
            truth::install(&self.name, &[], &key)
        )
    }

    fn writes(&self, values: &Values, draw: &mut Draw) -> Vec<String> {
        let key = |draw: &mut Draw| -> Vec<String> {
            let value = |oid: u32, draw: &mut Draw| loop {
                if let Some(text) = values.text(Part { oid, modifier: -1 }, draw) {
                    return sql_literal(&text);
                }
            };
            self.columns.iter().map(|(_, oid)| value(*oid, draw)).collect()
        };
        let mut writes = Vec::new();
        for row in 0..ROWS {
            writes.push(format!(
                "INSERT INTO {} VALUES ({}, {row})",
                self.name,
                key(draw).join(", ")
            ));
            let assignments: Vec<_> = (0..)
                .zip(key(draw))
                .map(|(number, value): (usize, _)| format!("k{number} = {value}"))
                .collect();
            let assigned = if row % 2 == 0 {
                format!("{}, v = v", assignments.join(", "))
            } else {
                "v = v".to_owned()
            };
            writes.push(format!("UPDATE {} SET {assigned} WHERE v = {row}", self.name));
            if row % 3 == 0 {
                writes.push(format!("DELETE FROM {} WHERE v = {row}", self.name));
            }
        }
        writes
    }
}
