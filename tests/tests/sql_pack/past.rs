//! Views of the past: ordinary queries travel when `bemi.as_of` is set.

use serde_json::json;

use super::packed::{Packed, refused_by};

const SHOP: &str = "CREATE TABLE customer (id int PRIMARY KEY, name varchar(40) COLLATE \"C\");
     CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric(10, 2))";

const ORDERS: &str = "SELECT c.name, sum(o.total)::text AS total FROM customer c JOIN orders o \
                      ON o.customer_id = c.id GROUP BY c.name ORDER BY c.name";

/// The point just after the last change that is stored.
async fn stored(packed: &Packed) -> String {
    let last = "SELECT '@lsn:' || ('0/0'::pg_lsn + max(commit_position)) FROM changes";
    packed.texts(last).await.remove(0)
}

#[tokio::test]
async fn an_ordinary_join_travels() {
    let packed = Packed::new(SHOP).await;
    packed
        .sql(
            "INSERT INTO customer VALUES (1, 'Ada'), (2, 'Bo');
             INSERT INTO orders VALUES (1, 1, 10), (2, 1, 5.50), (3, 2, 7)",
        )
        .await;
    packed.store().await;
    let then = stored(&packed).await;
    packed
        .sql("UPDATE customer SET name = 'Ada L.' WHERE id = 1; DELETE FROM orders WHERE id = 2")
        .await;
    packed.store().await;

    packed.sql("SET search_path = bemi_past, public").await;
    let live = json!([{"name": "Ada L.", "total": "10.00"}, {"name": "Bo", "total": "7.00"}]);
    assert_eq!(packed.json(ORDERS).await, live);
    packed.sql(&format!("SET bemi.as_of = '{then}'")).await;
    let past = json!([{"name": "Ada", "total": "15.50"}, {"name": "Bo", "total": "7.00"}]);
    assert_eq!(packed.json(ORDERS).await, past);
    packed.sql("SET bemi.as_of = '-1h'").await;
    assert_eq!(packed.refused(ORDERS).await.0, "ZB001");
    packed.sql("SET bemi.as_of = ''").await;
    assert_eq!(packed.json(ORDERS).await, live);
    packed.sql(&format!("BEGIN; SET LOCAL bemi.as_of = '{then}'")).await;
    assert_eq!(packed.json(ORDERS).await, past);
    packed.sql("COMMIT").await;
    assert_eq!(packed.json(ORDERS).await, live);
    packed.sql("SET bemi.as_of = 'last summer'").await;
    assert_eq!(packed.refused(ORDERS).await.0, "22023");
}

#[tokio::test]
async fn a_view_has_the_columns_and_types_of_its_table() {
    let packed = Packed::new(
        r#"CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS varchar(5);
           CREATE TABLE "Odd ""name" ("Id" int PRIMARY KEY, m mood, s short, n numeric(4, 1)[], c text COLLATE "C",
                                      b bit(3), t timestamptz(2))"#,
    )
    .await;
    let shape = |schema: &str| {
        format!(
            r#"SELECT jsonb_agg(jsonb_build_array(attname, format_type(atttypid, atttypmod), attcollation::regcollation)
                                ORDER BY attnum) AS shape
               FROM pg_attribute WHERE attrelid = '{schema}."Odd ""name"'::regclass AND attnum > 0"#
        )
    };
    assert_eq!(packed.json(&shape("bemi_past")).await, packed.json(&shape("public")).await);
    packed
        .sql(r#"INSERT INTO "Odd ""name" VALUES (1, 'ok', 'it''s', '{1.5}', 'x', '101', '2026-05-05 10:00+00')"#)
        .await;
    packed.store().await;
    let then = stored(&packed).await;
    let live = packed.json(r#"SELECT * FROM bemi_past."Odd ""name""#).await;
    packed.sql(&format!("SET bemi.as_of = '{then}'")).await;
    assert_eq!(packed.json(r#"SELECT * FROM bemi_past."Odd ""name""#).await, live);
}

#[tokio::test]
async fn nobody_is_kept_from_altering_a_table_and_its_view_says_that_it_is_of_old() {
    let packed = Packed::new(SHOP).await;
    packed
        .sql("INSERT INTO customer VALUES (1, 'Ada'); INSERT INTO orders VALUES (1, 1, 10)")
        .await;
    packed
        .sql(
            "ALTER TABLE customer DROP COLUMN name; ALTER TABLE customer ADD label text DEFAULT 'new';
             ALTER TABLE orders ALTER total TYPE bigint; CREATE TABLE third (id int PRIMARY KEY)",
        )
        .await;
    packed.store().await;
    let then = stored(&packed).await;
    let ask = "SELECT * FROM bemi_past.customer";
    assert_eq!(packed.refused(ask).await.0, "42703");
    packed.sql(&format!("SET bemi.as_of = '{then}'")).await;
    assert_eq!(packed.refused(ask).await.0, "42703");
    packed.sql("RESET bemi.as_of").await;

    let told = packed.setup(&[]).await;
    assert_eq!(told, "bring the views of the past in schema bemi_past up to date\n");
    assert!(packed.setup(&[]).await.starts_with("nothing to do\n"));
    assert_eq!(
        packed.json("SELECT * FROM bemi_past.customer").await,
        json!([{"id": 1, "label": "new"}])
    );

    packed.sql("DROP TABLE third; ALTER TABLE orders RENAME TO purchases").await;
    let refreshed = packed.texts("SELECT * FROM bemi.refresh_past()").await;
    assert_eq!(refreshed, ["orders", "purchases", "third"]);
    assert_eq!(packed.texts("SELECT * FROM bemi.refresh_past()").await, [""; 0]);
}

#[tokio::test]
async fn of_several_tables_of_one_name_the_others_have_their_schema_in_front() {
    let packed = Packed::new(
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE b.t (id int PRIMARY KEY);
         CREATE TABLE public.t (id int PRIMARY KEY); CREATE TABLE a.t (id int PRIMARY KEY);
         CREATE TABLE a.other (id int PRIMARY KEY); CREATE TABLE b.other (id int PRIMARY KEY)",
    )
    .await;
    let views = "SELECT relname::text FROM pg_class WHERE relnamespace = 'bemi_past'::regnamespace ORDER BY 1";
    assert_eq!(packed.texts(views).await, ["a.t", "b.other", "b.t", "other", "t"]);
    packed.sql("INSERT INTO public.t VALUES (1); INSERT INTO a.t VALUES (2); INSERT INTO a.other VALUES (3)").await;
    let seen = "SELECT concat_ws(' ', (SELECT id FROM bemi_past.t), (SELECT id FROM bemi_past.\"a.t\"),
                                      (SELECT id FROM bemi_past.other), (SELECT id FROM bemi_past.\"b.t\"))";
    assert_eq!(packed.texts(seen).await, ["1 2 3"]);
}

#[tokio::test]
async fn without_a_point_the_table_is_read_as_ever_by_its_indexes() {
    let packed = Packed::new(SHOP).await;
    packed
        .sql(
            "INSERT INTO orders SELECT i, 1, i FROM generate_series(1, 20000) AS i; ANALYZE orders",
        )
        .await;
    let plan =
        packed.texts("EXPLAIN SELECT total FROM bemi_past.orders WHERE id = 77").await.join("\n");
    assert!(plan.contains("Index Scan using orders_pkey on orders"), "{plan}");
    assert!(plan.contains("One-Time Filter: (COALESCE(current_setting('bemi.as_of'"), "{plan}");
}

#[tokio::test]
async fn who_may_not_read_the_record_or_the_table_sees_nothing_of_its_past() {
    let packed = Packed::new(SHOP).await;
    packed.sql("INSERT INTO customer VALUES (1, 'Ada')").await;
    packed.store().await;
    let then = stored(&packed).await;
    let role = packed.tracked.database.unique_name("reader");
    packed.sql(&format!("CREATE ROLE {role}; GRANT SELECT ON customer TO {role}")).await;
    let client = packed.connect().await;
    client.batch_execute(&format!("SET ROLE {role}")).await.unwrap();

    let as_of = format!("SELECT * FROM bemi.as_of(NULL::customer, '{then}')");
    let view = "SELECT * FROM bemi_past.customer";
    client.batch_execute(view).await.unwrap();
    client.batch_execute(&format!("SET bemi.as_of = '{then}'")).await.unwrap();
    for sql in [
        &as_of,
        view,
        "SELECT * FROM bemi.history('customer', '1')",
        "SELECT * FROM bemi.field_changes('customer', '1')",
        "SELECT * FROM bemi.activity",
        "SELECT * FROM bemi.rows_as_of('customer', 'now')",
        "SELECT bemi.position_of('now')",
        "SELECT * FROM bemi.refresh_past()",
        "SELECT * FROM bemi.sql_pack",
    ] {
        let (state, message, _) = refused_by(&client, sql).await;
        assert_eq!(state, "42501", "{sql}: {message}");
    }
    // What a reader needs, and no more.
    packed
        .sql(&format!(
            "GRANT SELECT ON changes, bemi.checkpoint, bemi.gaps, bemi.backfill, bemi.table_events TO {role};
             GRANT SELECT (slot, schema, \"table\", commit_position, sequence) ON bemi.quarantine TO {role}"
        ))
        .await;
    for sql in
        [&as_of, view, "SELECT * FROM bemi.activity", "SELECT * FROM bemi.history('customer', '1')"]
    {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    // The past of a table that may not be read now is in no view.
    packed.sql(&format!("REVOKE SELECT ON customer FROM {role}")).await;
    assert_eq!(refused_by(&client, view).await.0, "42501");
    packed.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
