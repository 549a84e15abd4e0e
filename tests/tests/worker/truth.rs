//! The truth to compare with: triggers that write each change down as it happens.

use bemi_tests::Tracked;

/// Installs triggers on `tables` that write every row change to `truth.log`, which is not tracked.
pub(crate) async fn install(tracked: &Tracked, tables: &[&str]) {
    tracked
        .sql(
            "CREATE SCHEMA truth; \
             CREATE UNLOGGED TABLE truth.log (n bigserial, xid bigint, \"table\" text, \
                 operation text, before jsonb, after jsonb); \
             CREATE FUNCTION truth.write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO truth.log (xid, \"table\", operation, before, after) VALUES ( \
                     pg_current_xact_id()::xid::text::bigint, TG_TABLE_NAME, \
                     CASE TG_OP WHEN 'INSERT' THEN 'CREATE' ELSE TG_OP END, \
                     CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) ELSE '{}' END, \
                     CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) ELSE '{}' END); \
                 RETURN NULL; END $$; \
             CREATE FUNCTION truth.write_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO truth.log (xid, \"table\", operation, before, after) VALUES ( \
                     pg_current_xact_id()::xid::text::bigint, TG_TABLE_NAME, 'TRUNCATE', '{}', '{}'); \
                 RETURN NULL; END $$",
        )
        .await;
    for table in tables {
        tracked
            .sql(&format!(
                "CREATE TRIGGER truth AFTER INSERT OR UPDATE OR DELETE ON {table} \
                     FOR EACH ROW EXECUTE FUNCTION truth.write(); \
                 CREATE TRIGGER truth_truncate AFTER TRUNCATE ON {table} \
                     FOR EACH STATEMENT EXECUTE FUNCTION truth.write_truncate()"
            ))
            .await;
    }
}

/// Requires that `changes` is the truth: the same changes, in each transaction in the same order,
/// each once. Returns how many there are.
pub(crate) async fn require(tracked: &Tracked) -> i64 {
    // The order in which triggers wrote is that of the changes inside a transaction; between
    // transactions the order of rows of the same key is what can be known, and is checked by `chained`.
    let differences = tracked
        .client
        .query(
            "WITH told AS ( \
                 SELECT xid, row_number() OVER (PARTITION BY xid ORDER BY n) AS sequence, \
                        \"table\", operation, before, after FROM truth.log \
             ), stored AS ( \
                 SELECT transaction_id AS xid, sequence, \"table\", operation, before, after FROM changes \
             ) \
             (SELECT 'not stored', xid, sequence, t::text FROM (TABLE told EXCEPT ALL TABLE stored) t LIMIT 3) \
             UNION ALL \
             (SELECT 'not true', xid, sequence, t::text FROM (TABLE stored EXCEPT ALL TABLE told) t LIMIT 3)",
            &[],
        )
        .await
        .unwrap();
    let told: Vec<String> = differences
        .iter()
        .map(|row| format!("{}: {}", row.get::<_, &str>(0), row.get::<_, &str>(3)))
        .collect();
    assert!(told.is_empty(), "changes differ from the truth:\n{}", told.join("\n"));
    tracked.value("SELECT count(*) FROM truth.log").await
}

/// Requires that in the order of `changes`, the row before each change of a key is the row after the
/// change before it: no order but that of the commits has this.
pub(crate) async fn require_chained(tracked: &Tracked) {
    let broken: i64 = tracked
        .value(
            "SELECT count(*) FROM ( \
                 SELECT before, lag(after) OVER (PARTITION BY \"table\", primary_key \
                     ORDER BY commit_position, sequence) AS previous, operation \
                 FROM changes WHERE primary_key IS NOT NULL \
             ) c WHERE operation <> 'CREATE' AND previous IS NOT NULL AND before <> previous",
        )
        .await;
    assert_eq!(broken, 0, "changes of one key are not in commit order");
}

/// Requires that commit positions grow with the ids of the transactions' commit times, and that none of
/// them has a hole in its sequence.
pub(crate) async fn require_whole_transactions(tracked: &Tracked) {
    let broken: i64 = tracked
        .value(
            "SELECT count(*) FROM ( \
                 SELECT commit_position FROM changes GROUP BY commit_position \
                 HAVING max(sequence) <> count(*) OR min(sequence) <> 1 \
                     OR count(DISTINCT transaction_id) <> 1 \
             ) c",
        )
        .await;
    assert_eq!(broken, 0, "a transaction is not whole");
}
