//! Many tables: what they cost in memory and time, of the worker and of its commands.

use std::fmt::Write as _;
use std::time::Instant;

use bemi_tests::{Cluster, Resident};

use crate::Result;
use crate::report;
use crate::tracked::Tracked;

/// Measures commands and the worker over so many tables, and tells each as it comes.
pub(crate) async fn measure(cluster: &Cluster, tables: u32) -> Result<Resident> {
    let tracked = Tracked::create(cluster, "").await?;
    report::tables(tables);
    let timed = |what, started: Instant| report::time(what, started.elapsed());

    let in_each = |statement: &str| {
        (1..=tables).fold(String::new(), |mut all, number| {
            let _ = writeln!(all, "{};", statement.replace("{}", &number.to_string()));
            all
        })
    };
    let started = Instant::now();
    tracked
        .client
        .batch_execute(&in_each("CREATE TABLE t{} (id bigint PRIMARY KEY, a text)"))
        .await?;
    timed("CREATE TABLE of each, before setup", started);

    let started = Instant::now();
    tracked.set_up().await?;
    timed("setup --all-tables --replica-identity full", started);
    let started = Instant::now();
    tracked.set_up().await?;
    timed("the same again, with nothing to do", started);
    let started = Instant::now();
    tracked.client.batch_execute("CREATE TABLE one_more (id bigint PRIMARY KEY)").await?;
    timed("one more CREATE TABLE, with the event triggers", started);
    let started = Instant::now();
    tracked.client.batch_execute("ALTER TABLE one_more ADD COLUMN a text").await?;
    timed("one ALTER TABLE, with the event triggers", started);

    tracked.client.batch_execute(&in_each("INSERT INTO t{} VALUES (1, 'x')")).await?;
    let started = Instant::now();
    let mut worker = tracked.run().await;
    timed("run, until it streams", started);
    tracked.wait_for(&mut worker, i64::from(tables)).await?;
    timed("… and one row of each table is stored", started);
    let started = Instant::now();
    tracked.client.batch_execute(&in_each("INSERT INTO t{} VALUES (2, 'x')")).await?;
    tracked.wait_for(&mut worker, 2 * i64::from(tables)).await?;
    timed("another row of each, until it is stored", started);

    for (what, arguments) in [("status", &["status"][..]), ("doctor", &["doctor"])] {
        let started = Instant::now();
        tracked.run_to_end(arguments).await?.assert_code(0);
        timed(what, started);
    }
    let resident = Resident::of(worker.pid()).ok_or("nobody says how much memory it takes")?;
    worker.stop().await;
    let started = Instant::now();
    tracked.run_to_end(&["teardown"]).await?.assert_code(0);
    timed("teardown", started);
    drop(tracked.client);
    tracked.database.close().await?;
    Ok(resident)
}
