//! Which statements a plan has, in which order, and what each writes.

use bemi_core::record::ConflictKind::IncompleteRecord;
use bemi_core::record::Handling::Blocks;
use bemi_core::record::OnConflict::{Abort, Force, Skip};
use bemi_core::record::{RevertError, RevertOptions};
use bemi_tests::{Tracked, shared_cluster};

use crate::case::{Case, shown};

#[tokio::test]
async fn foreign_keys_are_respected_by_order() {
    let mut case = Case::new(
        "CREATE TABLE region (id int PRIMARY KEY); \
         CREATE TABLE customer (id int PRIMARY KEY, region int REFERENCES region); \
         CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer ON DELETE RESTRICT); \
         CREATE TABLE line (orders int REFERENCES orders ON DELETE CASCADE, number int, PRIMARY KEY (orders, number))",
    )
    .await;
    let made = case
        .committed(
            "INSERT INTO region VALUES (1), (2); INSERT INTO customer VALUES (1, 1), (2, 1); \
             INSERT INTO orders VALUES (1, 1); INSERT INTO line VALUES (1, 1), (1, 2)",
        )
        .await;
    let rows = case.rows("line").await;
    let gone = case
        .committed("UPDATE customer SET region = 2; DELETE FROM orders; DELETE FROM customer; DELETE FROM region")
        .await;
    let plan = case.revert(&gone).await;
    assert_eq!(
        shown(&plan),
        [
            "INSERT region 2",
            "INSERT region 1",
            "INSERT customer 2",
            "INSERT customer 1",
            "INSERT orders 1",
            "INSERT line [\"1\",\"2\"]",
            "INSERT line [\"1\",\"1\"]"
        ]
    );
    assert_eq!(case.rows("line").await, rows);
    assert_eq!(case.rows("customer").await, "(1,1) (2,1)");
    let plan = case.revert(&made).await;
    let order: Vec<String> =
        plan.statements().iter().map(|statement| statement.table().to_string()).collect();
    assert_eq!(order, ["line", "line", "orders", "customer", "customer", "region", "region"]);
}

#[tokio::test]
async fn rows_that_refer_to_rows_of_their_own_table_are_ordered_one_by_one() {
    let mut case =
        Case::new("CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree)").await;
    let made =
        case.committed("INSERT INTO tree VALUES (5, NULL), (3, 5), (4, 3), (1, 4), (2, 2)").await;
    let gone = case.committed("DELETE FROM tree").await;
    let plan = case.revert(&gone).await;
    assert_eq!(
        shown(&plan),
        ["INSERT tree 2", "INSERT tree 5", "INSERT tree 3", "INSERT tree 4", "INSERT tree 1"]
    );
    let plan = case.revert(&made).await;
    assert_eq!(
        shown(&plan),
        ["DELETE tree 2", "DELETE tree 1", "DELETE tree 4", "DELETE tree 3", "DELETE tree 5"]
    );
}

#[tokio::test]
async fn a_circle_is_cut_at_a_constraint_that_can_be_deferred_and_only_there() {
    let mut case = Case::new(
        "CREATE TABLE a (id int PRIMARY KEY, b int); \
         CREATE TABLE b (id int PRIMARY KEY, a int CONSTRAINT b_a REFERENCES a DEFERRABLE); \
         ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b",
    )
    .await;
    let made = case
        .committed("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1")
        .await;
    let gone = case.committed("UPDATE a SET b = NULL; DELETE FROM b; DELETE FROM a").await;
    let plan = case.revert(&gone).await;
    assert!(
        plan.script().contains("SET CONSTRAINTS \"public\".\"b_a\" DEFERRED;"),
        "{}",
        plan.script()
    );
    assert_eq!(case.rows("a").await, "(1,1)");
    let plan = case.revert(&made).await;
    assert_eq!(shown(&plan).len(), 2);
    // Where no circle is, nothing waits.
    let simple = case.committed("INSERT INTO a VALUES (2); INSERT INTO b VALUES (2, 2)").await;
    assert!(!case.revert(&simple).await.script().contains("SET CONSTRAINTS"));
}

#[tokio::test]
async fn keys_that_moved_go_back_with_what_refers_to_them() {
    let mut case = Case::new(
        "CREATE TABLE account (region text, number int, PRIMARY KEY (number, region)); \
         CREATE TABLE card (id int PRIMARY KEY, region text, number int, note text, \
             FOREIGN KEY (number, region) REFERENCES account ON UPDATE CASCADE); \
         CREATE TABLE part (number int, region text, n int, PRIMARY KEY (number, region, n), \
             FOREIGN KEY (number, region) REFERENCES account ON UPDATE CASCADE); \
         CREATE TABLE piece (number int, region text, n int, \
             FOREIGN KEY (number, region, n) REFERENCES part ON UPDATE CASCADE)",
    )
    .await;
    case.committed(
        "INSERT INTO account VALUES ('n', 1); INSERT INTO card VALUES (1, 'n', 1, 'a'), (2, 'n', 1, 'b'); \
         INSERT INTO part VALUES (1, 'n', 7); INSERT INTO piece VALUES (1, 'n', 7), (1, 'n', 7)",
    )
    .await;
    let moved = case
        .committed("UPDATE account SET number = 2; UPDATE card SET note = 'c' WHERE id = 2")
        .await;
    let plan = case.revert(&moved).await;
    assert_eq!(
        shown(&plan),
        [
            "UPDATE account [\"2\",\"n\"] (number)",
            "UPDATE card 2 (note)",
            "FOLLOW part [\"2\",\"n\",\"7\"]",
            "FOLLOW piece -",
            "FOLLOW piece -",
            "FOLLOW card 1"
        ]
    );
    assert_eq!(case.rows("card").await, "(1,n,1,a) (2,n,1,b)");
    assert_eq!(case.rows("part").await, "(1,n,7)");
    assert_eq!(case.rows("piece").await, "(1,n,7) (1,n,7)");
}

#[tokio::test]
async fn unique_values_trade_places_by_order_or_where_the_constraint_waits() {
    let mut case = Case::new(
        "CREATE TABLE seat (id int PRIMARY KEY, place int UNIQUE); \
         CREATE TABLE rank (id int PRIMARY KEY, place int UNIQUE DEFERRABLE)",
    )
    .await;
    case.committed("INSERT INTO seat VALUES (1, 10), (2, 20), (3, 30); INSERT INTO rank VALUES (1, 10), (2, 20)").await;
    let moved = case
        .committed(
            "UPDATE seat SET place = 40 WHERE id = 3; UPDATE seat SET place = 30 WHERE id = 2; \
             UPDATE seat SET place = 20 WHERE id = 1; SET CONSTRAINTS ALL DEFERRED; UPDATE rank SET place = 30 - place",
        )
        .await;
    let plan = case.revert(&moved).await;
    assert_eq!(
        shown(&plan)[2..],
        ["UPDATE seat 1 (place)", "UPDATE seat 2 (place)", "UPDATE seat 3 (place)"]
    );
    assert_eq!(case.rows("seat").await, "(1,10) (2,20) (3,30)");
    assert_eq!(case.rows("rank").await, "(1,10) (2,20)");
}

#[tokio::test]
async fn a_key_that_was_given_again_is_one_row() {
    let mut case = Case::new("CREATE TABLE t (id int PRIMARY KEY, a text, b text)").await;
    case.committed("INSERT INTO t VALUES (1, 'a', 'b')").await;
    let again = case
        .committed("DELETE FROM t; INSERT INTO t VALUES (1, 'x', 'b') ON CONFLICT (id) DO UPDATE SET a = 'y'")
        .await;
    let plan = case.revert(&again).await;
    assert_eq!(shown(&plan), ["UPDATE t 1 (a)"]);
    assert_eq!(case.rows("t").await, "(1,a,b)");
    let upsert = case
        .committed("INSERT INTO t VALUES (1, 'z', 'b'), (2, 'n', 'n') ON CONFLICT (id) DO UPDATE SET a = excluded.a")
        .await;
    assert_eq!(shown(&case.revert(&upsert).await), ["DELETE t 2", "UPDATE t 1 (a)"]);
}

#[tokio::test]
async fn truncate_brings_back_the_rows_that_the_table_had_just_before() {
    let tables = "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE bag (a int); \
        CREATE TABLE c (id int REFERENCES t)";
    let tracked = Tracked::new("").await;
    tracked.sql(tables).await;
    let mut case = Case::of(tracked).await;
    case.committed("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO bag VALUES (1), (1), (2); INSERT INTO c VALUES (1)").await;
    let emptied = case
        .committed(
            "INSERT INTO t VALUES (3, 'c'); UPDATE t SET id = 4, a = 'd' WHERE id = 2; DELETE FROM bag WHERE a = 2; \
             TRUNCATE t, bag CASCADE; INSERT INTO t VALUES (1, 'new'); INSERT INTO bag VALUES (9)",
        )
        .await;
    case.revert(&emptied).await;
    assert_eq!(case.rows("t").await, "(1,a) (2,b)");
    assert_eq!(case.rows("bag").await, "(1) (1) (2)");
    assert_eq!(case.rows("c").await, "(1)");
}

#[tokio::test]
async fn rows_that_a_truncate_took_and_that_nobody_knows_are_a_conflict() {
    let mut case = Case::new("CREATE TABLE t (id int PRIMARY KEY, a text)").await;
    case.committed("INSERT INTO t VALUES (1, 'a')").await;
    // Whether there were others before the table was tracked is not in the record.
    let emptied = case.committed("TRUNCATE t").await;
    for way in [Abort, Force] {
        assert_eq!(case.conflicts(&emptied, way).await, [(IncompleteRecord, Blocks)]);
    }
    // Those that are known can be had.
    let plan = case.revert_by(&emptied, Skip).await;
    assert_eq!(shown(&plan), ["INSERT t 1"]);
}

#[tokio::test]
async fn identities_keep_their_values_and_sequences_stay_where_they_are() {
    let mut case = Case::new(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, s serial)",
    )
    .await;
    case.committed("INSERT INTO t (n) VALUES (1), (2)").await;
    let gone = case.committed("DELETE FROM t WHERE id = 2; UPDATE t SET n = 5").await;
    case.revert(&gone).await;
    assert_eq!(case.rows("t").await, "(1,1,2,1) (2,2,4,2)");
    case.committed("INSERT INTO t (n) VALUES (3)").await;
    assert_eq!(case.rows("t").await, "(1,1,2,1) (2,2,4,2) (3,3,6,3)");
}

#[tokio::test]
async fn columns_that_came_since_get_their_default() {
    let mut case = Case::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let made = case.committed("INSERT INTO t VALUES (1), (2)").await;
    let gone = case.committed("DELETE FROM t WHERE id = 2").await;
    case.sql("ALTER TABLE t ADD note text DEFAULT 'none', ADD kind int").await;
    case.revert(&gone).await;
    assert_eq!(case.rows("t").await, "(1,none,) (2,none,)");
    case.committed("UPDATE t SET note = 'filled' WHERE id = 1").await;
    let plan = case.plan(&made, Abort).await;
    assert_eq!(plan.conflicts().len(), 1);
    assert_eq!(plan.conflicts()[0].columns, ["note"]);
}

#[tokio::test]
async fn every_kind_of_value_comes_back_exactly() {
    let mut case = Case::new(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (x int, y text); \
         CREATE DOMAIN positive AS int NOT NULL CHECK (VALUE > 0); \
         CREATE TABLE v (id int PRIMARY KEY, n numeric, d float8, big int8, b bytea, j json, jb jsonb, tags text[], grid int[][], \
             p pair, ps pair[], m mood, at timestamptz, day date, i interval, r tstzrange, pos positive, c char(3), x xml, bits bit(3), note text)",
    )
    .await;
    case.committed(
        r#"INSERT INTO v VALUES (1, 1234567890123456789012345678901234567890.1234567890, 0.1, 9223372036854775807, '\x00ff',
             '{"a": "\u0000", "b":1}', '{"n": 1.10, "k": null}', '{a,NULL,"b\"c"}', '{{1,2},{3,4}}', (1, 'it''s'), ARRAY[(2, NULL)::pair],
             'happy', '2026-01-01 12:00:00.123456+02', '-infinity', '1 mon -2 days 03:04:05.6', '[2026-01-01 00:00+00,)', 5, 'a', '<a/>', '101', E'\\ '' " :x $1')"#,
    )
    .await;
    case.sql("SET TIME ZONE 'Asia/Tokyo'; SET DateStyle = 'German'").await;
    let before = case.rows("v").await;
    // The caller's settings are its own, before and after.
    case.source
        .client()
        .batch_execute("SET TIME ZONE 'America/New_York'; SET IntervalStyle = 'iso_8601'")
        .await
        .unwrap();
    let changed = case
        .committed(
            "UPDATE v SET n = NULL, d = 0, big = 0, b = '', j = '1', jb = '2', tags = '{}', grid = NULL, p = NULL, ps = NULL, m = 'sad', \
             at = now(), day = now(), i = '0', r = 'empty', pos = 6, c = 'xyz', x = NULL, bits = '000', note = NULL",
        )
        .await;
    case.revert(&changed).await;
    assert_eq!(case.rows("v").await, before);
    let gone = case.committed("DELETE FROM v").await;
    case.revert(&gone).await;
    assert_eq!(case.rows("v").await, before);
    let zone: String = case.source.client().query_one("SHOW TimeZone", &[]).await.unwrap().get(0);
    assert_eq!(zone, "America/New_York");
}

#[tokio::test]
async fn hstore_comes_back_by_its_own_functions() {
    let schema = "CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE TABLE h (id int PRIMARY KEY, h ext.hstore)";
    let mut case = Case::new(schema).await;
    case.committed(r#"INSERT INTO h VALUES (1, '"a b"=>"1", c=>NULL'), (2, ''), (3, NULL)"#).await;
    let before = case.rows("h").await;
    let gone =
        case.committed("UPDATE h SET h = 'x=>y' WHERE id = 1; DELETE FROM h WHERE id > 1").await;
    case.revert(&gone).await;
    assert_eq!(case.rows("h").await, before);
}

#[tokio::test]
async fn a_table_without_a_key_goes_back_row_by_row() {
    let mut case = Case::new("CREATE TABLE bag (a int, b text)").await;
    case.committed("INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, NULL)").await;
    let changed = case
        .committed("UPDATE bag SET b = 'y' WHERE ctid = (SELECT min(ctid) FROM bag); DELETE FROM bag WHERE a = 2; INSERT INTO bag VALUES (1, 'x')")
        .await;
    let plan = case.revert(&changed).await;
    assert_eq!(shown(&plan).len(), 3);
    assert_eq!(case.rows("bag").await, "(1,x) (1,x) (2,)");
}

#[tokio::test]
async fn ignored_columns_are_neither_compared_nor_updated_and_come_back_with_their_row() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, a text, seen int)",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "full", "--ignore", "seen"]).await;
    let mut case = Case::of(tracked).await;
    let made = case.committed("INSERT INTO t VALUES (1, 'a', 1)").await;
    let changed = case.committed("UPDATE t SET a = 'b', seen = 2").await;
    case.committed("UPDATE t SET seen = 3").await;
    assert_eq!(shown(&case.revert(&changed).await), ["UPDATE t 1 (a)"]);
    assert_eq!(case.rows("t").await, "(1,a,3)");
    case.revert(&made).await;
    let deleted = bemi_core::record::Selection::Committed(case.stored().await);
    case.revert(&deleted).await;
    assert_eq!(case.rows("t").await, "(1,a,3)");
}

#[tokio::test]
async fn triggers_run_as_always() {
    let mut case = Case::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text, updated int DEFAULT 0); \
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated := OLD.updated + 1; RETURN NEW; END'; \
         CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()",
    )
    .await;
    case.committed("INSERT INTO t VALUES (1, 'a')").await;
    let changed = case.committed("UPDATE t SET a = 'b'").await;
    case.revert(&changed).await;
    assert_eq!(case.rows("t").await, "(1,a,2)");
}

#[tokio::test]
async fn keys_are_found_by_what_the_server_writes_whatever_their_type() {
    let mut case = Case::new(
        "CREATE TABLE k (c char(3), b boolean, at timestamptz, n numeric, PRIMARY KEY (c, b, at, n), v int); \
         CREATE TABLE one (c char(3) PRIMARY KEY, v int)",
    )
    .await;
    case.committed("INSERT INTO k VALUES ('a', true, '2026-01-01 00:00+09', 1.50, 1); INSERT INTO one VALUES ('b', 1)").await;
    let before = (case.rows("k").await, case.rows("one").await);
    let changed = case.committed("UPDATE k SET v = 2; UPDATE one SET v = 2").await;
    case.source
        .client()
        .batch_execute("SET TIME ZONE 'Asia/Tokyo'; SET DateStyle = 'German'")
        .await
        .unwrap();
    case.revert(&changed).await;
    assert_eq!((case.rows("k").await, case.rows("one").await), before);
}

#[tokio::test]
async fn names_are_names_whatever_is_in_them() {
    let mut case = Case::new(
        r#"CREATE SCHEMA "S.x"; CREATE TABLE "S.x"."T""$1::text" ("I d" int PRIMARY KEY, "t" text, "r" int, "v" text, "e" int, "g" text, "row" int, "bemi row" text)"#,
    )
    .await;
    let table = r#""S.x"."T""$1::text""#;
    case.committed(&format!("INSERT INTO {table} VALUES (1, 't', 1, 'v', 1, 'g', 1, 'b')")).await;
    let before = case.rows(table).await;
    let changed = case
        .committed(&format!("UPDATE {table} SET t = 'x', r = 2, v = 'x', e = 2, g = 'x', \"row\" = 2, \"bemi row\" = '\"'; DELETE FROM {table}"))
        .await;
    case.revert(&changed).await;
    assert_eq!(case.rows(table).await, before);
}

#[tokio::test]
async fn without_a_transaction_nothing_is_planned() {
    let mut case = Case::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let made = case.committed("INSERT INTO t VALUES (1)").await;
    let set = case.record.reverse(&made).await.unwrap();
    let error = set.plan(&mut case.source, &RevertOptions::new()).await.unwrap_err();
    assert!(matches!(error, RevertError::NoTransaction), "{error}");
}
