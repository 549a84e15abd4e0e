//! A record whose changes are as old as a test wants them.

use bemi_tests::{Output, Tracked};

/// The table of most tests.
pub(crate) const TODO: &str =
    "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean DEFAULT false)";

/// A database whose `changes` are in partitions by the day.
pub(crate) async fn partitioned() -> Tracked {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.setup(&["--all-tables", "--replica-identity", "full", "--partition-by", "day"]).await;
    tracked
}

/// Makes everything that is stored older by that many days, as if it had been stored then.
pub(crate) async fn age(tracked: &Tracked, days: u32) {
    tracked
        .sql(&format!(
            "BEGIN; SET LOCAL bemi.append_only = 'off';
             UPDATE changes SET committed_at = committed_at - interval '{days} days',
                                created_at = created_at - interval '{days} days';
             UPDATE bemi.table_events SET committed_at = committed_at - interval '{days} days';
             COMMIT"
        ))
        .await;
}

/// Keeps to a retention once, as the owner.
pub(crate) async fn keep(tracked: &Tracked, retention: &str) -> Output {
    tracked.worker(&["retention", "--retention", retention]).run_to_end().await.assert_code(0)
}

/// Gives the old days partitions of their own, as if they had been made in time: those from 120 days ago on.
pub(crate) async fn with_old_days(tracked: &Tracked) {
    tracked
        .sql(
            "DO $$
             DECLARE old text; boundary timestamptz; since timestamptz; day timestamptz;
             BEGIN
                 SET LOCAL TimeZone = 'UTC';
                 SELECT inhrelid::regclass::text,
                        substring(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([^'']*)''\\)')::timestamptz
                 INTO old, boundary
                 FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
                 WHERE inhparent = 'changes'::regclass AND pg_get_expr(c.relpartbound, c.oid) LIKE '%(MINVALUE)%';
                 EXECUTE format('ALTER TABLE changes DETACH PARTITION %s', old);
                 since := date_trunc('day', now()) - interval '120 days';
                 EXECUTE format('CREATE TABLE bemi.changes_before PARTITION OF changes FOR VALUES FROM (MINVALUE) TO (%L)', since);
                 FOR day IN SELECT generate_series(since, boundary - interval '1 day', interval '1 day') LOOP
                     EXECUTE format('CREATE TABLE bemi.changes_%s PARTITION OF changes FOR VALUES FROM (%L) TO (%L)',
                                    to_char(day, 'YYYYMMDD'), day, day + interval '1 day');
                 END LOOP;
                 EXECUTE format('INSERT INTO changes SELECT * FROM %s', old);
                 EXECUTE format('DROP TABLE %s', old);
             END $$",
        )
        .await;
}

/// The names of the partitions, in the order of time, and how many there are.
pub(crate) async fn partitions(tracked: &Tracked) -> Vec<String> {
    tracked
        .value(
            "SELECT coalesce(array_agg(pg_get_expr(c.relpartbound, c.oid) ORDER BY
                        substring(pg_get_expr(c.relpartbound, c.oid), 'TO \\((.*)\\)')), '{}')
             FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
             WHERE inhparent = 'changes'::regclass",
        )
        .await
}
