//! A plain `changes` becomes the first partition of one that has its name.

use std::time::Duration;

use bemi_tests::{Tracked, eventually};

use super::aged::{TODO, partitioned, partitions};

#[tokio::test]
async fn a_table_that_has_rows_becomes_the_first_partition_while_the_worker_stores() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo SELECT i, 'before' FROM generate_series(1, 5000) AS i").await;
    tracked.store().await;
    let worker = tracked.run().await;
    let writer = tracked.database.connect().await.unwrap();
    let writing = tokio::spawn(async move {
        for i in 0..400 {
            let insert = format!("INSERT INTO todo VALUES ({}, 'meanwhile')", 10_000 + i);
            writer.batch_execute(&insert).await.unwrap();
        }
    });
    let told = tracked.setup(&["--partition-by", "day"]).await.stdout;
    assert!(told.contains("make partitions of public.changes, by day"), "{told}");
    writing.await.unwrap();
    tracked.wait_for_count(5400).await;
    worker.stop().await.assert_code(0);

    assert_eq!(tracked.count().await, 5400);
    let keys: i64 = tracked.value("SELECT count(DISTINCT primary_key) FROM changes").await;
    assert_eq!(keys, 5400);
    assert_eq!(tracked.value::<i64>("SELECT count(*) FROM bemi.quarantine").await, 0);
    let bounds = partitions(&tracked).await;
    assert!(bounds.iter().any(|bound| bound.contains("(MINVALUE)")), "{bounds:?}");
    assert!(bounds.iter().any(|bound| bound.contains("(MAXVALUE)")), "{bounds:?}");
    assert!(bounds.len() > 7, "{bounds:?}");
    let again = tracked.setup(&["--partition-by", "day"]).await.stdout;
    assert!(again.starts_with("nothing to do\n"), "{again}");
}

#[tokio::test]
async fn what_the_table_had_its_successor_has() {
    let tracked = Tracked::new(TODO).await;
    let reader = tracked.database.unique_name("reader");
    tracked
        .sql(&format!(
            "CREATE ROLE {reader}; GRANT SELECT ON changes TO {reader};
             GRANT UPDATE (context) ON changes TO {reader} WITH GRANT OPTION;
             CREATE INDEX \"by who\" ON changes ((context ->> 'user_id'), commit_position, sequence);
             CREATE VIEW recent WITH (security_barrier) AS SELECT * FROM changes WHERE operation <> 'DDL';
             CREATE VIEW of_it AS SELECT primary_key FROM recent"
        ))
        .await;
    let facts = "SELECT array_agg(fact ORDER BY fact) FROM (
         SELECT format('index %s', regexp_replace(indexdef, ' ON ONLY ', ' ON ')) FROM pg_indexes
         WHERE tablename = 'changes' AND schemaname = 'public'
         UNION ALL SELECT format('column %s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                 pg_get_expr(d.adbin, d.adrelid))
                   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                   WHERE a.attrelid = 'changes'::regclass AND a.attnum > 0
         UNION ALL SELECT format('grant %s', x) FROM pg_class, unnest(relacl) AS x WHERE oid = 'changes'::regclass
         UNION ALL SELECT format('column grant %s %s', attname, attacl) FROM pg_attribute
                   WHERE attrelid = 'changes'::regclass AND attacl IS NOT NULL
         UNION ALL SELECT format('trigger %s %s', tgenabled, pg_get_triggerdef(oid)) FROM pg_trigger
                   WHERE tgrelid = 'changes'::regclass AND NOT tgisinternal
         UNION ALL SELECT format('owner %s', relowner::regrole) FROM pg_class WHERE oid = 'changes'::regclass
         UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
                   WHERE conrelid = 'changes'::regclass AND contype <> 'n'
         UNION ALL SELECT format('view %s %s', reloptions, pg_get_viewdef(oid)) FROM pg_class WHERE relname = 'recent'
     ) AS f (fact)";
    let before: Vec<String> = tracked.value(facts).await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    tracked.setup(&["--partition-by", "month"]).await;
    let after: Vec<String> = tracked.value(facts).await;
    assert_eq!(before, after);
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    tracked.store().await;
    assert_eq!(tracked.value::<i64>("SELECT count(*) FROM of_it").await, 2);
    let comment: String = tracked.value("SELECT obj_description('changes'::regclass)").await;
    assert!(comment.ends_with(" Partitioned by month."), "{comment}");
    let refused = tracked.client.batch_execute("DELETE FROM changes").await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn what_would_be_left_with_the_first_partition_is_named_before_anything_is_done() {
    let tracked = Tracked::new(TODO).await;
    tracked
        .sql(
            "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM changes;
             CREATE FUNCTION f(changes) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        )
        .await;
    let output =
        tracked.worker(&["setup", "--partition-by", "day"]).run_to_end().await.assert_code(3);
    for what in ["materialized view public.totals", "function public.f(public.changes)"] {
        assert!(output.stderr.contains(what), "{output}");
    }
    assert_eq!(
        tracked.value::<i8>("SELECT relkind FROM pg_class WHERE oid = 'changes'::regclass").await,
        b'r'.cast_signed()
    );
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    assert_eq!(tracked.count().await, 1);
}

#[tokio::test]
async fn cut_off_it_goes_on_where_it_was() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo SELECT i FROM generate_series(1, 100) AS i").await;
    tracked.store().await;
    // A transaction that reads the table is in the way of the last step alone.
    let mut reader = tracked.database.connect().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    reading.query_one("SELECT count(*) FROM todo", &[]).await.unwrap();
    let checked = "SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = 'bemi_bound' AND conrelid = 'changes'::regclass)";
    let mut cut = tracked.worker(&["setup", "--partition-by", "day"]).spawn();
    let validated =
        "SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = 'bemi_bound' AND convalidated
                                        AND conrelid = 'changes'::regclass)
                          OR (SELECT relkind = 'p' FROM pg_class WHERE oid = 'changes'::regclass)";
    eventually(Duration::from_secs(60), "the check is there", async || {
        tracked.value::<bool>(validated).await.then_some(())
    })
    .await;
    cut.kill_9();
    drop(cut);
    drop(reading);
    // Whatever is there, changes are stored.
    tracked.sql("INSERT INTO todo VALUES (1000)").await;
    tracked.store().await;
    tracked.setup(&["--partition-by", "day"]).await;
    assert_eq!(
        tracked.value::<i8>("SELECT relkind FROM pg_class WHERE oid = 'changes'::regclass").await,
        b'p'.cast_signed()
    );
    assert!(!tracked.value::<bool>(checked).await);
    assert_eq!(tracked.count().await, 101);
}

#[tokio::test]
async fn partitions_are_never_tracked() {
    let tracked = partitioned().await;
    let worker = tracked.worker(&["retention"]).run_to_end().await.assert_code(0);
    assert!(worker.stdout.contains("nothing to do"), "{worker}");
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    let tracked_tables: Vec<String> =
        tracked.value("SELECT array_agg(tablename::text) FROM pg_publication_tables").await;
    assert_eq!(tracked_tables, ["todo"]);
    let again = tracked.setup(&[]).await.stdout;
    assert!(again.starts_with("nothing to do\n"), "{again}");
    assert_eq!(tracked.count().await, 1);
}
