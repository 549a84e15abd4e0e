//! Records the corpus of the fuzz targets: `fuzz/README.md` says when to run it.
//!
//! A workload runs on a throwaway cluster, and a slot with pgoutput says what the worker would receive of it, by the server's own
//! function, so that the bytes are those of the server. Each input is a file of its own under `fuzz/corpus`.

#![allow(clippy::unwrap_used, reason = "a tool for developers, which has nobody to tell but them")]

mod values;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bemi_tests::{TestDatabase, shared_cluster};
use futures_util::TryStreamExt as _;
use tokio_postgres::Client;

const WORKLOAD: &str = include_str!("workload.sql");

const STATEMENTS: &str = include_str!("../../../../bemi-core/tests/corpus/statements.sql");

/// The largest input that is kept, in bytes: larger ones make a fuzzer slow and show it nothing more.
const INPUT_BYTES_MAX: usize = 4096;

/// What binary COPY puts before and behind the rows.
const COPY_HEADER_BYTES: usize = 19;
const COPY_TRAILER_BYTES: usize = 2;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let database = TestDatabase::create(shared_cluster()).await.unwrap();
    let client = database.connect().await.unwrap();
    client
        .batch_execute(
            "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'",
        )
        .await
        .unwrap();
    let mut transactions = WORKLOAD.split("------------------------------------------------\n");
    client.batch_execute(transactions.next().unwrap()).await.unwrap();
    let slot = database.slot_name();
    client
        .batch_execute(
            "CREATE PUBLICATION corpus FOR ALL TABLES WITH (publish_via_partition_root = true)",
        )
        .await
        .unwrap();
    client
        .execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&slot])
        .await
        .unwrap();

    let mut corpus = Corpus::new();
    for transaction in transactions {
        client.batch_execute(&format!("BEGIN; {transaction}; COMMIT")).await.unwrap();
        corpus.stream(&messages(&client, &slot).await);
    }
    for (kind, expression) in values::VALUES {
        let row = client.query_one(&format!("SELECT ({expression})::text"), &[]).await.unwrap();
        corpus.add("render", &[kind.as_bytes(), row.get::<_, &str>(0).as_bytes()].concat());
    }
    for row in rows(&client).await {
        corpus.add("copied", &row);
    }
    // Behind the line with its verdict.
    for statement in STATEMENTS.split("\n--: ").skip(1) {
        corpus.add("statement", statement.split_once('\n').unwrap().1.as_bytes());
    }
    println!("{:#?}", corpus.counts);
    database.close().await.unwrap();
}

/// The messages since the last look.
async fn messages(client: &Client, slot: &str) -> Vec<Vec<u8>> {
    let rows = client
        .query(
            "SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, \
                 'proto_version', '1', 'publication_names', 'corpus', 'messages', 'true')",
            &[&slot],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Rows that have the columns of `changes`, as COPY writes them.
async fn rows(client: &Client) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    for (primary_key, operation) in
        [("'1'", "CREATE"), ("NULL", "TRUNCATE"), ("'[\"a\",\"é\"]'", "UPDATE")]
    {
        let copy = format!(
            "COPY (SELECT gen_random_uuid(), {primary_key}::text, '{{}}'::jsonb, '{{\"id\": 1}}'::jsonb, '{{}}'::jsonb, \
                 'shop'::text, 'public'::text, 'todo'::text, {primary_key}::text, '{operation}'::text, now(), now(), \
                 7::bigint, 23456::bigint, 23456::bigint, 1::bigint, true, NULL::text[], ARRAY['a', 'b']) \
             TO STDOUT (FORMAT binary)"
        );
        let chunks: Vec<_> = client.copy_out(&copy).await.unwrap().try_collect().await.unwrap();
        let bytes = chunks.concat();
        let end = bytes.len() - COPY_TRAILER_BYTES;
        rows.push(bytes.get(COPY_HEADER_BYTES..end).unwrap().to_vec());
    }
    rows
}

/// The inputs of all targets, as files.
struct Corpus {
    folder: PathBuf,
    counts: HashMap<&'static str, usize>,
}

impl Corpus {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        Self { folder, counts: HashMap::new() }
    }

    /// Takes the messages of a transaction: each by itself, and all together.
    fn stream(&mut self, messages: &[Vec<u8>]) {
        let mut stream = Vec::new();
        for message in messages {
            stream.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(message);
            match message.as_slice() {
                // Flags, and position; behind the prefix's end is the length of the content.
                [b'M', _, _, _, _, _, _, _, _, _, rest @ ..] => {
                    let end = rest.iter().position(|byte| *byte == 0).unwrap();
                    self.add("context", rest.get(end + 5..).unwrap());
                }
                // The replication client reads these.
                [b'B' | b'C', ..] => {}
                _ => self.add("decode", message),
            }
        }
        self.add("change", &stream);
    }

    fn add(&mut self, target: &'static str, input: &[u8]) {
        if input.len() > INPUT_BYTES_MAX {
            return;
        }
        let count = self.counts.entry(target).or_default();
        *count += 1;
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("recorded-{count:04}")), input).unwrap();
    }
}
