//! Random tables of every type, written to at random, against the truth.

use std::collections::BTreeMap;

use bemi_tests::{Tracked, shared_cluster};
use tokio_postgres::Client;

use crate::draw::{Draw, SEED_VARIABLE, seed};
use crate::tables::{Declared, Table};
use crate::types::{Part, Shape, Types};
use crate::values::Values;
use crate::{definitions, literal, message, restore, shortened, tables, truth};

/// How many differences a failure shows.
const SHOWN: usize = 10;

/// Styles of databases and sessions, none of which may show in what is stored.
const STYLES: &[&[&str]] = &[
    &["datestyle = 'German'", "intervalstyle = 'iso_8601'", "timezone = 'Asia/Kolkata'"],
    &["datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'", "timezone = 'America/St_Johns'"],
    &[
        "datestyle = 'Postgres, MDY'",
        "intervalstyle = 'postgres_verbose'",
        "timezone = 'Pacific/Apia'",
    ],
];
const MORE_STYLES: &[&str] = &[
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "xmloption = 'document'",
    "xmlbinary = 'hex'",
    "default_text_search_config = 'pg_catalog.german'",
    "standard_conforming_strings = off",
    // What names of tables, types and functions look like as values.
    "quote_all_identifiers = on",
    "search_path = own, public",
];

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_what_to_jsonb_makes_of_them() {
    let seed = seed();
    let mut tracked = Tracked::untracked(shared_cluster(), "").await;
    let mut draw = Draw::new(seed, &tracked.client).await;
    truth::create(&tracked.client).await;
    // What `pg_ndistinct` and its like are made of.
    tracked
        .sql(
            "CREATE UNLOGGED TABLE truth.numbers AS SELECT n % 7 AS a, n % 3 AS b FROM generate_series(1, 1000) n; \
             CREATE STATISTICS truth.of_numbers ON a, b FROM truth.numbers; ANALYZE truth.numbers",
        )
        .await;
    definitions::create(&tracked.client, &mut draw).await;
    let types = Types::read(&tracked.client).await;
    require_a_generator_for_each(&types, &mut draw);
    let columns = fit_for_columns(&types, &tracked.client).await;
    let values = Values::new(types, &tracked.client, &mut draw).await;
    let mut tables = tables::all(columns, &mut draw);
    for table in &tables {
        let script = table.script(&values) + &restore::function(table);
        if let Err(error) = tracked.client.batch_execute(&script).await {
            panic!("{}\n{}", message(&error), table.definition());
        }
    }
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    for style in draw.pick(STYLES).iter().chain(MORE_STYLES) {
        tracked.sql(&format!("ALTER DATABASE {} SET {style}", tracked.database.name())).await;
    }
    // A session that is as the database is.
    tracked.client = tracked.database.connect().await.unwrap();
    for table in &mut tables {
        table.write(&tracked.client, &values, &mut draw).await;
    }
    tracked.store().await;

    let about = format!("with {SEED_VARIABLE}={seed} on {}", draw.version);
    let wrong = truth::wrong_changes(&tracked.client).await;
    assert!(
        wrong.is_empty(),
        "{} or more changes are wrong, {about}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let differences = truth::wrong_values(&tracked.client).await;
    let told: Vec<_> =
        differences.iter().take(SHOWN).map(|difference| story(difference, &tables)).collect();
    assert!(told.is_empty(), "{} values differ, {about}:\n{}", differences.len(), told.join("\n"));
    require_restored(&tables, &tracked.client, &values, &about).await;
    let changes = tracked.count().await;
    eprintln!("{changes} changes of {} tables", tables.len());
    assert!(changes > 1000, "only {changes} changes");
}

async fn require_restored(tables: &[Table], client: &Client, values: &Values, about: &str) {
    let (mut wrong, mut restored) = (Vec::new(), 0);
    for table in tables {
        let (in_table, count) = restore::check(table, client, values).await;
        wrong.extend(in_table);
        restored += count;
    }
    let shown: Vec<_> = wrong.iter().take(SHOWN).cloned().collect();
    assert!(
        wrong.is_empty(),
        "{} values are not restored, {about}:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    eprintln!("{restored} values restored");
}

fn require_a_generator_for_each(types: &Types, draw: &mut Draw) {
    let unknown: Vec<_> = types
        .iter()
        .filter(|data_type| matches!(data_type.shape, Shape::Base))
        .map(|data_type| data_type.bare_name.as_str())
        .filter(|name| !literal::has_no_input(name) && literal::of(name, draw).is_none())
        .collect();
    assert!(
        unknown.is_empty(),
        "no generator for type {}: see tests/tests/values/literal",
        unknown.join(", ")
    );
}

/// The types that columns can be of. Prints the others.
async fn fit_for_columns(types: &Types, client: &Client) -> Vec<Declared> {
    let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut fit = Vec::new();
    for data_type in types.iter() {
        match types.why_no_column(data_type.oid) {
            None => fit.push(Declared {
                sql: data_type.name.clone(),
                part: Part { oid: data_type.oid, modifier: -1 },
            }),
            Some(why) => left_out.entry(why).or_default().push(&data_type.bare_name),
        }
    }
    for (why, names) in left_out {
        eprintln!("no columns of these types, {why}: {}", names.join(", "));
    }
    let modified = client.query(definitions::MODIFIED, &[]).await.unwrap();
    fit.extend(modified.iter().map(|row| {
        let part = Part { oid: row.get(1), modifier: row.get(2) };
        Declared { sql: row.get(0), part }
    }));
    fit
}

fn story(difference: &truth::Difference, tables: &[Table]) -> String {
    let table = tables.iter().find(|table| table.name == difference.table).unwrap();
    format!(
        "{} row {:?}, column {}\n    truth:  {}\n    stored: {}\n    {:.2000}\n",
        difference.table,
        difference.key,
        table.story(difference.key.as_deref(), &difference.column),
        shortened(difference.truth.as_deref()),
        shortened(difference.stored.as_deref()),
        table.definition(),
    )
}
