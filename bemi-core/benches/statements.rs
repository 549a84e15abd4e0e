//! What an adapter does with each statement before it is sent: classify it, plan for it, encode a context, put the message in.
//!
//! `cargo bench -p bemi-core`. The statements are such as applications and object-relational mappers send, from 50 bytes to one
//! kilobyte. The median is what counts.

use std::fmt::{self, Display};
use std::hint::black_box;
use std::sync::LazyLock;

use bemi_core::adapter::{Protocol, Session, plan};
use bemi_core::statement::{Statement, WriteFunctions, redact_literals, with_message};
use bemi_core::{Context, MessageOptions, Scope, Settings, with_context_sync};
use divan::Bencher;

fn main() {
    divan::main();
}

/// A statement with a name for the table of results.
struct Sample {
    name: &'static str,
    sql: String,
}

impl Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:4} B  {}", self.sql.len(), self.name)
    }
}

/// Columns as a mapper lists them, some with names that look like statements.
fn columns(table: &str, count: usize) -> String {
    let names = [
        "id",
        "updated_at",
        "title",
        "deleted_at",
        "owner_id",
        "is_completed",
        "merge_key",
        "inserted_by",
    ];
    let column = |(n, name)| format!("\"{table}\".\"{name}_{n}\"");
    let columns = (0..count).zip(names.iter().cycle()).map(column);
    columns.collect::<Vec<_>>().join(", ")
}

fn samples() -> Vec<Sample> {
    let sample = |name, sql: String| Sample { name, sql };
    let values = |rows: usize| {
        let row = |n: usize| format!("(${}, ${}, ${})", 3 * n + 1, 3 * n + 2, 3 * n + 3);
        (0..rows).map(row).collect::<Vec<_>>().join(", ")
    };
    let cte = |count: usize| {
        format!(
            "WITH RECURSIVE \"tree\" (\"id\", \"parent_id\") AS (SELECT {0} FROM \"nodes\" WHERE \"nodes\".\"id\" = $1 UNION ALL \
             SELECT {0} FROM \"nodes\" JOIN \"tree\" ON \"tree\".\"id\" = \"nodes\".\"parent_id\" WHERE \"nodes\".\"deleted_at\" IS NULL) \
             SELECT count(*), max(\"tree\".\"updated_at\") FROM \"tree\" WHERE \"tree\".\"id\" IN ($2, $3, $4) ORDER BY lower(\"title\")",
            columns("nodes", count)
        )
    };
    vec![
        sample("SELECT by key", "SELECT id, title, done FROM todos WHERE id = $1 LIMIT 1".into()),
        sample(
            "SELECT of many columns",
            format!(
                "SELECT {} FROM \"todos\" LEFT JOIN \"users\" ON \"users\".\"id\" = \"todos\".\"owner_id\" WHERE (\"todos\".\"done\" = $1) \
                 AND \"todos\".\"id\" = ANY($2) ORDER BY \"todos\".\"id\" ASC LIMIT $3 OFFSET $4",
                columns("todos", 30)
            ),
        ),
        sample("WITH … SELECT, short", "WITH recent AS (SELECT id, updated_at FROM todos WHERE id > $1) SELECT * FROM recent".into()),
        sample("WITH … SELECT, long", cte(14)),
        sample(
            "WITH … UPDATE … SELECT",
            "WITH due AS (SELECT id FROM jobs WHERE run_at <= now() ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED), \
             taken AS (UPDATE jobs SET taken_at = now() FROM due WHERE jobs.id = due.id RETURNING jobs.*) SELECT * FROM taken".into(),
        ),
        sample("INSERT of one row", "INSERT INTO todos (title, done, owner_id) VALUES ($1, $2, $3) RETURNING id".into()),
        sample("INSERT of many rows", format!("INSERT INTO \"todos\" (\"title\", \"done\", \"owner_id\") VALUES {}", values(55))),
        sample("UPDATE by key", "UPDATE todos SET title = $1, updated_at = now() WHERE id = $2".into()),
        sample(
            "UPDATE of many columns",
            format!(
                "UPDATE \"todos\" SET {} WHERE \"todos\".\"id\" = $41",
                (1..=40).map(|n| format!("\"column_{n}\" = ${n}")).collect::<Vec<_>>().join(", ")
            ),
        ),
        sample("DELETE by key", "DELETE FROM \"todos\" WHERE (\"todos\".\"id\" = $1)".into()),
        sample("BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE".into()),
        sample("SELECT with a semicolon in a string", format!("SELECT {} FROM todos WHERE title <> 'a;b'", columns("todos", 32))),
        sample("script of four statements", "BEGIN; INSERT INTO todos (title) VALUES ('a'); UPDATE todos SET done = true; COMMIT".into()),
    ]
}

static FUNCTIONS: LazyLock<WriteFunctions> = LazyLock::new(|| {
    let names = ["transfer", "billing.close_month", "enqueue", "archive_user", "touch"];
    WriteFunctions::new(names).unwrap_or_default()
});

fn context() -> Context {
    Context::new()
        .with("user_id", 187)
        .with("endpoint", "/todos/{id}/complete")
        .with("method", "PUT")
        .with("request_id", "0190163d-8694-739b-aea5-966c26f8ad91")
}

#[divan::bench(args = samples())]
fn classify(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher.bench(|| Statement::classify(black_box(&sample.sql)));
}

#[divan::bench(args = samples())]
fn classify_with_five_write_functions(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher.bench(|| Statement::classify_with(black_box(&sample.sql), &FUNCTIONS));
}

#[divan::bench(args = samples())]
fn redact(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher.bench(|| redact_literals(black_box(&sample.sql)));
}

/// All that an adapter adds to a read, or to a write outside any scope.
#[divan::bench(args = samples())]
fn plan_outside_a_scope(bencher: Bencher<'_, '_>, sample: &Sample) {
    let settings = Settings::new();
    bencher.bench(|| planned(&sample.sql, &settings));
}

#[divan::bench(args = samples())]
fn plan_in_a_scope(bencher: Bencher<'_, '_>, sample: &Sample) {
    let settings = Settings::new();
    with_context_sync(context(), || bencher.bench(|| planned(&sample.sql, &settings)));
}

#[divan::bench(args = samples())]
fn plan_in_a_scope_without_sql(bencher: Bencher<'_, '_>, sample: &Sample) {
    let settings = Settings::new().without_sql();
    with_context_sync(context(), || bencher.bench(|| planned(&sample.sql, &settings)));
}

fn planned(sql: &str, settings: &Settings) -> bool {
    let context = || Scope::current().map(|scope| scope.context());
    let protocol = Protocol::Extended { parameters: Some(0) };
    plan(&Session::default(), settings, black_box(sql), protocol, context).is_ok()
}

#[divan::bench]
fn encode_a_context(bencher: Bencher<'_, '_>) {
    let (options, context) = (MessageOptions::new(), context());
    bencher.bench(|| options.encode(black_box(&context), Some("DELETE FROM todos WHERE id = $1")));
}

#[divan::bench(args = samples())]
fn put_the_message_in(bencher: Bencher<'_, '_>, sample: &Sample) {
    let parameter = (1..200).find(|&parameter| with_message(&sample.sql, parameter).is_some());
    bencher.bench(|| with_message(black_box(&sample.sql), parameter.unwrap_or(1)));
}
