-- Statements as they reach a server, each under a line that says how they must be judged:
--
--   read       changes no row          procedure      CALL, DO
--   write      may change rows         control        begins, ends or divides a transaction
--   script     several, with control, none of which changes rows
--   script+    several, with control, some of which may change rows
--
-- What is behind the verdict on its line is a remark.

-- ==== sqlx, tokio-postgres: text as written, numbered parameters

--: write
INSERT INTO todos (title, done) VALUES ($1, $2)
--: write
INSERT INTO todos (title) VALUES ($1) RETURNING id, title, done
--: write
insert into todos(title)values($1)returning id
--: write
INSERT INTO todos (title) SELECT * FROM UNNEST($1::text[])
--: write
INSERT INTO todos DEFAULT VALUES
--: write
INSERT INTO todos (id, title) OVERRIDING SYSTEM VALUE VALUES (10001, 'x')
--: write
INSERT INTO todos (id, title) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title
--: write
INSERT INTO todos (id, title) VALUES ($1, $2) ON CONFLICT DO NOTHING
--: write
INSERT INTO todos AS t (id, title) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET title = t.title || 'y' WHERE t.done
--: write
UPDATE todos SET done = $1, title = COALESCE($2, title) WHERE id = $3 RETURNING *
--: write
UPDATE ONLY todos AS t SET owner_id = u.id FROM users u WHERE u.email = t.title
--: write
UPDATE todos SET (title, done) = (SELECT email, true FROM users LIMIT 1) WHERE id = 1
--: write
UPDATE "todos" SET "order" = "order" + 1
--: write
DELETE FROM todos WHERE id = ANY($1)
--: write
DELETE FROM todos USING users WHERE todos.owner_id = users.id AND users.email LIKE '%@example.com'
--: write
DELETE FROM ONLY todos WHERE created_at < now() - interval '30 days'
--: write
TRUNCATE todos
--: write
TRUNCATE TABLE ONLY todos, users RESTART IDENTITY CASCADE
--: write
MERGE INTO todos t USING users u ON t.owner_id = u.id
WHEN MATCHED AND u.email IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET title = u.email
WHEN NOT MATCHED THEN INSERT (title) VALUES (u.email)
--: read
SELECT id, title, done FROM todos WHERE id = $1
--: read
SELECT id as "id!", title as "title?" FROM todos WHERE done = $1 ORDER BY created_at DESC LIMIT 20
--: read
SELECT EXISTS(SELECT 1 FROM todos WHERE id = $1)
--: read
SELECT data->>'name', data ? 'key', data @> '{"a": 1}' FROM todos
--: read
SELECT COUNT(*) FROM todos
--: read
SELECT 1
--: read
SELECT;

-- ==== diesel

--: write
INSERT INTO "todos" ("title", "done") VALUES ($1, DEFAULT), ($2, $3) RETURNING "todos"."id", "todos"."title"
--: write
UPDATE "todos" SET "title" = $1, "done" = $2 WHERE ("todos"."id" = $3)
--: write
DELETE  FROM "todos" WHERE ("todos"."id" = $1)
--: read
SELECT "todos"."id", "todos"."title" FROM "todos" WHERE ("todos"."done" = $1) LIMIT $2
--: read
SELECT "todos"."id" FROM "todos" WHERE ("todos"."id" = $1) FOR UPDATE SKIP LOCKED
--: read
SELECT "todos"."id" FROM "todos" FOR NO KEY UPDATE
--: control
SAVEPOINT diesel_savepoint_1
--: control
RELEASE SAVEPOINT diesel_savepoint_1
--: control
ROLLBACK TO SAVEPOINT diesel_savepoint_1
--: control
BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE DEFERRABLE
--: write
INSERT INTO "__diesel_schema_migrations" ("version", "run_on") VALUES ($1, DEFAULT) ON CONFLICT DO NOTHING

-- ==== sea-orm

--: write
INSERT INTO "todos" ("title", "owner_id") VALUES ($1, $2) RETURNING "id", "title", "done", "owner_id"
--: write
UPDATE "todos" SET "title" = $1 WHERE "todos"."id" = $2 RETURNING "id", "title"
--: write
DELETE FROM "todos" WHERE "todos"."id" = $1
--: read
SELECT "todos"."id", "todos"."title", CAST("todos"."data" AS text) FROM "todos" ORDER BY "todos"."id" ASC LIMIT $1 OFFSET $2
--: read
SELECT COUNT(*) AS num_items FROM (SELECT "todos"."id" FROM "todos") AS "sub_query"

-- ==== Django

--: write
INSERT INTO "todos" ("title", "done", "created_at") VALUES ('Buy milk', false, '2025-01-01T00:00:00+00:00'::timestamptz) RETURNING "todos"."id"
--: write
UPDATE "todos" SET "done" = true, "title" = CASE WHEN ("todos"."id" = 1) THEN 'one' ELSE NULL END WHERE "todos"."id" IN (1, 2, 3)
--: write
DELETE FROM "todos" WHERE "todos"."id" IN (1) /*Bemi {"path": "/todos", "user": "it%27s; SELECT"} Bemi*/
--: read
SELECT "todos"."id", (SELECT U0."email" FROM "users" U0 WHERE U0."id" = ("todos"."owner_id") LIMIT 1) AS "email" FROM "todos" WHERE NOT ("todos"."done") LIMIT 21
--: control
SAVEPOINT "s140234_x1"
--: control
RELEASE SAVEPOINT "s140234_x1"
--: control
ROLLBACK TO SAVEPOINT "s140234_x1"
--: read
DECLARE "_django_curs_140_sync_1" NO SCROLL CURSOR WITH HOLD FOR SELECT "todos"."id" FROM "todos"
--: read
SET CONSTRAINTS ALL IMMEDIATE

-- ==== Prisma, TypeORM, Rails, Hibernate

--: write
INSERT INTO "public"."todos" ("title","done") VALUES ($1,$2) RETURNING "public"."todos"."id"
--: write
UPDATE "public"."todos" SET "done" = $1 WHERE ("public"."todos"."id" = $2 AND 1=1) /* traceparent='00-x' */
--: read
SELECT "public"."todos"."id" FROM "public"."todos" WHERE 1=1 OFFSET $1
--: read
SELECT DISTINCT "distinctAlias"."Todo_id" AS "ids_Todo_id" FROM (SELECT "Todo"."id" AS "Todo_id" FROM "todos" "Todo") "distinctAlias" LIMIT 1
--: control
START TRANSACTION
--: write
/* action:update,controller:todos */ UPDATE "todos" SET "done" = TRUE WHERE "todos"."id" = 1
--: read
SELECT 1 AS one FROM "todos" WHERE "todos"."title" = 'insert into' LIMIT 1 /*application:Rails*/
--: read
select t1_0.id,t1_0.title from todos t1_0 where t1_0.id=? for no key update
--: read
select nextval('todos_id_seq')

-- ==== parentheses, VALUES, TABLE, set operations

--: read
(SELECT 1)
--: read
((SELECT 1))
--: read
(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1
--: read
(WITH t AS (SELECT 1) SELECT * FROM t)
--: write
(WITH t AS (DELETE FROM todos RETURNING id) SELECT * FROM t)
--: read
VALUES (1, 'insert into t'), (2, NULL)
--: read
TABLE todos
--: read
SELECT * FROM todos INTERSECT SELECT * FROM todos EXCEPT TABLE todos

-- ==== SELECT that looks like a write

--: read
SELECT 'INSERT INTO todos VALUES (1)'
--: read
SELECT 'it''s; DELETE FROM todos'
--: read
SELECT E'it\'s; DELETE FROM todos WHERE \\'
--: read    the second line goes on with the escapes of the first
SELECT E'one'
  'two\'; DELETE FROM todos; --'
--: read
SELECT U&'\0041; DELETE FROM todos' UESCAPE '!'
--: read
SELECT B'0101', X'1FF', N'; DELETE FROM todos'
--: read
SELECT $$; DELETE FROM todos$$
--: read
SELECT $tag$ $$; DELETE FROM todos; $$ $tag $ $tag$, 1
--: read
SELECT "update", "delete", "insert into" FROM (SELECT 1 AS "update", 2 AS "delete", 3 AS "insert into") AS "truncate"
--: read
SELECT U&"d\0061ta; DELETE FROM todos" FROM (SELECT 1 AS "data; DELETE FROM todos") s
--: read
SELECT "a""; DELETE FROM todos; --" FROM (SELECT 1 AS "a""; DELETE FROM todos; --") s
--: read
SELECT 1 -- ; DELETE FROM todos
--: read
SELECT 1 /* ; /* nested */ DELETE FROM todos; */ + 1
--: read
SELECT 2*/* ; DELETE FROM todos */3
--: read    the dollar belongs to the name
SELECT a$b$ FROM (SELECT 1 AS a$b$) AS s$x$
--: read
SELECT $1::text || $2::text
--: read
SELECT 1 AS into
--: read
SELECT 1 AS insert, 2 AS update, 3 AS delete, 4 AS copy
--: read
SELECT t.into FROM (SELECT 1 AS into) AS t
--: read
SELECT max(update), count(delete) FROM (SELECT 1 AS update, 2 AS delete) t
--: read
SELECT delete FROM (SELECT 1 AS delete) t
--: read
SELECT * FROM todos FOR UPDATE OF todos NOWAIT
--: read
SELECT * FROM todos FOR SHARE
--: read
SELECT * FROM todos WHERE title = 'x' AND owner_id IN (SELECT id FROM users) FOR KEY SHARE
--: read
SELECT extract(epoch FROM now()), substring('x' FROM 1), overlay('abc' placing 'x' from 1)
--: read
SELECT "Interval" FROM (SELECT interval '1 day' AS "Interval") s
--: read
SELECT row_number() OVER w FROM todos WINDOW w AS (PARTITION BY done ORDER BY id)
--: read
SELECT (ARRAY[1,2,3])[1:2], '{1,2}'::int[], 1.5e-3, .5, 1::numeric(10,2)
--: read    a function nobody told us about
SELECT quiet(1)

-- ==== SELECT that writes

--: write
SELECT id, title INTO archive FROM todos
--: write
SELECT * INTO TEMP TABLE archive_temp FROM todos
--: write
select 1 as a into unlogged table archive_unlogged
--: write
SELECT x INTO STRICT FROM (SELECT 1 AS x) s
--: write
WITH t AS (SELECT 1 AS a) SELECT a INTO archive_with FROM t
--: write    a column of that name, into a table
SELECT insert INTO archive_insert FROM (SELECT 1 AS insert) s

-- ==== WITH

--: read
WITH t AS (SELECT 1) SELECT * FROM t
--: read
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t
--: read
WITH a AS (SELECT 1), b AS NOT MATERIALIZED (TABLE todos), c AS (VALUES (1)) SELECT * FROM a, b
--: read
WITH a AS (SELECT * FROM todos FOR UPDATE) SELECT count(*) FROM a
--: read
WITH update AS (SELECT 1 AS delete), insert (into_) AS (SELECT 2) SELECT max(delete) FROM update
--: read    aliases without AS
WITH a AS (SELECT 1 AS x) SELECT * FROM (SELECT 1) update WHERE true
--: read
WITH a AS (SELECT 'x) INSERT INTO todos' AS x) (SELECT x FROM a)
--: write
WITH gone AS (DELETE FROM todos WHERE done RETURNING *) SELECT * FROM gone
--: write
WITH gone AS MATERIALIZED (DELETE FROM todos RETURNING *) SELECT count(*) FROM gone
--: write
WITH gone AS NOT MATERIALIZED (UPDATE todos SET done = true RETURNING *) TABLE gone
--: write
WITH a AS (SELECT 1), b(x) AS (INSERT INTO todos (title) VALUES ('a') RETURNING id) SELECT * FROM a, b
--: write
WITH moved AS (DELETE FROM todos RETURNING title) INSERT INTO users (email) SELECT title FROM moved
--: write
WITH x AS (SELECT 1 AS id) INSERT INTO todos (title) SELECT 'n' || id FROM x
--: write
WITH x AS (SELECT id FROM todos) UPDATE todos SET done = true FROM x WHERE x.id = todos.id
--: write
WITH x AS (SELECT id FROM todos LIMIT 10) DELETE FROM todos USING x WHERE x.id = todos.id
--: write
WITH x AS (SELECT 1 AS id) MERGE INTO todos t USING x ON t.id = x.id WHEN MATCHED THEN DELETE
--: write
WITH x AS (WITH y AS (SELECT 'n' AS title) INSERT INTO todos (title) SELECT title FROM y RETURNING id) SELECT * FROM x
--: read
WITH x AS (WITH y AS (SELECT 1), z AS (SELECT 2) SELECT * FROM y, z), w AS (SELECT 3) SELECT * FROM x, w
--: write
WITH x AS (WITH y AS (SELECT 1) SELECT * FROM y), w AS (DELETE FROM todos RETURNING id) SELECT * FROM w
--: write
WITH x AS (WITH y AS (SELECT 1) (SELECT 2)) INSERT INTO todos (title) SELECT 'x' FROM x
--: write
WITH RECURSIVE t(id, up) AS (SELECT 1, 0 UNION ALL SELECT id + 1, id FROM t WHERE id < 3)
SEARCH DEPTH FIRST BY id SET place
CYCLE id SET looped TO true DEFAULT false USING path
INSERT INTO todos (title) SELECT place::text FROM t
--: write
WITH RECURSIVE t(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM t WHERE id < 3) SEARCH BREADTH FIRST BY id SET place DELETE FROM todos USING t WHERE t.id = todos.id
--: read
WITH RECURSIVE t(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM t WHERE id < 3) CYCLE id SET looped USING path SELECT id FROM t

-- ==== COPY

--: write
COPY todos FROM STDIN
--: write
COPY todos (title, done) FROM STDIN WITH (FORMAT csv, HEADER true)
--: write
copy public."todos" from '/tmp/todos.csv'
--: write
COPY BINARY todos FROM STDIN
--: write
COPY todos (title) FROM PROGRAM 'echo x' WITH (DELIMITER '|') WHERE title IS NOT NULL
--: read
COPY todos TO STDOUT
--: read
COPY todos (title) TO '/tmp/from.csv' WITH CSV
--: read
COPY (SELECT * FROM todos) TO STDOUT
--: read
COPY (SELECT title FROM todos WHERE title = 'to' UNION TABLE archive_title) TO STDOUT (FORMAT binary)
--: write
COPY (INSERT INTO todos (title) VALUES ('x') RETURNING *) TO STDOUT
--: write
COPY (WITH d AS (DELETE FROM todos RETURNING *) SELECT * FROM d) TO STDOUT

-- ==== EXPLAIN

--: read
EXPLAIN INSERT INTO todos (title) VALUES ('x')
--: read
EXPLAIN VERBOSE DELETE FROM todos
--: read
EXPLAIN (COSTS OFF, VERBOSE) UPDATE todos SET done = true
--: read
EXPLAIN (ANALYZE FALSE, COSTS OFF) DELETE FROM todos
--: read
EXPLAIN (ANALYZE off) DELETE FROM todos
--: read
EXPLAIN ANALYZE SELECT * FROM todos
--: read
EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM todos
--: read
EXPLAIN (SELECT 1)
--: read
EXPLAIN ((SELECT 1) UNION (SELECT 2))
--: read
EXPLAIN (FORMAT json) SELECT 1
--: read
EXPLAIN CREATE TABLE planned AS SELECT 1
--: write
EXPLAIN ANALYZE INSERT INTO todos (title) VALUES ('x')
--: write
EXPLAIN ANALYZE VERBOSE UPDATE todos SET done = true
--: write
explain analyse delete from todos
--: write
EXPLAIN (ANALYZE, COSTS OFF) UPDATE todos SET done = NOT done
--: write
EXPLAIN (COSTS OFF, ANALYZE TRUE, TIMING OFF) DELETE FROM todos
--: write
EXPLAIN (TIMING off, ANALYZE on) WITH d AS (DELETE FROM todos RETURNING 1) SELECT * FROM d
--: write    the parenthesis is the query's
EXPLAIN ANALYZE (WITH d AS (DELETE FROM todos RETURNING id) SELECT * FROM d)
--: write
EXPLAIN (ANALYZE) (WITH d AS (DELETE FROM todos RETURNING id) SELECT * FROM d)
--: write    the last one counts
EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM todos
--: write
EXPLAIN ANALYZE CREATE TABLE explained AS SELECT 1 AS a
--: write
EXPLAIN ANALYZE EXECUTE adds('x')

-- ==== PREPARE, EXECUTE, cursors

--: read
PREPARE adds_more (text) AS INSERT INTO todos (title) VALUES ($1)
--: read
PREPARE adds_one AS INSERT INTO todos (title) VALUES ('x')
--: write
EXECUTE adds('x')
--: read
DEALLOCATE ALL
--: read
DECLARE c INSENSITIVE SCROLL CURSOR WITH HOLD FOR SELECT * FROM todos WHERE title = 'for update'
--: read
DECLARE c2 CURSOR WITH HOLD FOR WITH x AS (SELECT 1) SELECT * FROM x
--: read
FETCH NEXT FROM held
--: read
MOVE FORWARD 1 IN held
--: read
CLOSE ALL

-- ==== DDL

--: read
CREATE TABLE plain (id serial PRIMARY KEY, title text NOT NULL DEFAULT 'insert into', doubled int GENERATED ALWAYS AS (1 + 1) STORED)
--: read
CREATE TABLE children (id int, todo_id int REFERENCES todos (id) ON UPDATE CASCADE ON DELETE SET NULL)
--: read
CREATE TABLE IF NOT EXISTS public.as (a int, CHECK (a IN (1, 2) IS NOT TRUE)) WITH (fillfactor = 70)
--: read
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at)
--: read
CREATE TABLE likes (LIKE todos INCLUDING ALL)
--: write
CREATE TABLE copied AS SELECT * FROM todos
--: write
create temporary table copied_temp on commit drop as table todos
--: write
CREATE TABLE IF NOT EXISTS copied_some (a, b) WITH (fillfactor = 70) AS SELECT id, title FROM todos WITH DATA
--: write
CREATE UNLOGGED TABLE copied_unlogged AS EXECUTE reads
--: write
CREATE TABLE copied_with AS WITH x AS (SELECT 1 AS a) SELECT * FROM x
--: write
CREATE MATERIALIZED VIEW summary AS SELECT count(*) FROM todos
--: write
REFRESH MATERIALIZED VIEW stored
--: read
CREATE VIEW done_todos AS SELECT * FROM todos WHERE done
--: read
CREATE OR REPLACE VIEW v AS WITH x AS (SELECT 1 AS a) SELECT a FROM x
--: read
CREATE RULE no_insert AS ON INSERT TO ruled DO INSTEAD NOTHING
--: read
CREATE RULE twice AS ON UPDATE TO ruled DO ALSO (INSERT INTO todos (title) VALUES ('r'); DELETE FROM todos WHERE title = 'r')
--: read
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ruled FOR EACH STATEMENT EXECUTE FUNCTION audits()
--: read
CREATE FUNCTION adds_todo() RETURNS void LANGUAGE sql AS $$ INSERT INTO todos (title) VALUES ('x'); DELETE FROM todos $$
--: read
CREATE OR REPLACE FUNCTION adds_body() RETURNS trigger AS $body$
BEGIN
  INSERT INTO todos (title) VALUES ($1); EXECUTE $q$DELETE FROM todos$q$;
  RETURN NEW;
END;
$body$ LANGUAGE plpgsql
--: read
CREATE FUNCTION adds_atomic(a int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
  INSERT INTO todos (title) VALUES (CASE WHEN a = 1 THEN 'one' ELSE 'more' END);
  SELECT CASE WHEN a > 0 THEN CASE a WHEN 1 THEN 1 END ELSE 2 END AS end;
END
--: read
CREATE OR REPLACE PROCEDURE removes_atomic() LANGUAGE sql BEGIN ATOMIC DELETE FROM todos; DELETE FROM users; END;
--: read
CREATE INDEX ON todos (title) WHERE done
--: read
CREATE INDEX CONCURRENTLY todos_title ON todos (title)
--: read
CREATE UNIQUE INDEX IF NOT EXISTS todos_delete ON todos (id, title) INCLUDE (done)
--: read
CREATE EXTENSION IF NOT EXISTS plpgsql
--: read
CREATE PUBLICATION p FOR TABLE todos WITH (publish = 'insert, update')
--: read
CREATE POLICY own ON todos FOR DELETE USING (true)
--: read
CREATE SCHEMA IF NOT EXISTS app
--: read
CREATE TYPE mood AS ENUM ('insert', 'update')
--: read
CREATE DATABASE other_database
--: read
DROP DATABASE IF EXISTS other_database
--: read    rewrites the table, which logical decoding does not show
ALTER TABLE users ALTER COLUMN id TYPE bigint
--: read
ALTER TABLE todos ADD COLUMN added int DEFAULT 1, ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE ON UPDATE SET NULL
--: read
ALTER TABLE todos ENABLE ROW LEVEL SECURITY
--: read
ALTER DEFAULT PRIVILEGES GRANT INSERT, UPDATE ON TABLES TO public
--: read
DROP TABLE IF EXISTS nothing_there CASCADE
--: read
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON todos TO public
--: read
REVOKE DELETE ON todos FROM public
--: read
COMMENT ON TABLE todos IS 'INSERT INTO todos; DELETE FROM todos'

-- ==== maintenance, settings, notifications

--: read
VACUUM (FULL, ANALYZE) todos
--: read
VACUUM
--: read
ANALYZE todos (title)
--: read
REINDEX TABLE todos
--: read
CLUSTER
--: read
CHECKPOINT
--: read
SET search_path TO app, public
--: read
SET LOCAL statement_timeout = '5s'
--: read
SELECT set_config('search_path', 'public', false)
--: read
RESET ALL
--: read
DISCARD ALL
--: read
SHOW transaction_isolation
--: read
LISTEN todos
--: read
NOTIFY todos, 'insert'
--: read
SELECT pg_notify('todos', 'delete from todos')
--: read
SELECT pg_advisory_xact_lock(1)
--: read
LOCK TABLE todos IN SHARE ROW EXCLUSIVE MODE
--: read
SET CONSTRAINTS ALL DEFERRED
--: read
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ

-- ==== procedures

--: procedure
CALL commits()
--: procedure
call public."commits"( )
--: procedure
DO $$ BEGIN INSERT INTO todos (title) VALUES ('do'); END $$
--: procedure
DO LANGUAGE plpgsql 'BEGIN DELETE FROM todos; COMMIT; END'

-- ==== transactions

--: control
BEGIN
--: control
begin work;
--: control
BEGIN READ ONLY
--: control
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY
--: control
START TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY
--: control
SET TRANSACTION READ ONLY
--: read
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
--: read
SET TRANSACTION SNAPSHOT '00000003-0000001B-1'
--: control
COMMIT
--: control
END
--: control
COMMIT AND CHAIN
--: control
ROLLBACK
--: control
ABORT WORK
--: control
ROLLBACK TO before_import
--: control
RELEASE before_import
--: control
PREPARE TRANSACTION 'update'
--: control
COMMIT PREPARED 'update'
--: control
ROLLBACK PREPARED 'update'
--: read
PREPARE transaction AS SELECT 1

-- ==== several statements

--: read
SELECT 1; SELECT 2;
--: read
SET search_path TO public; SELECT * FROM todos
--: write
SELECT 1; DELETE FROM todos
--: write
DELETE FROM todos; SELECT 1;
--: write
CREATE TABLE first_this (a int); INSERT INTO first_this VALUES (1);
--: write    the server runs several statements in one transaction, where a procedure cannot commit
SELECT 1; CALL quiet_procedure()
--: script
BEGIN; SELECT 1; COMMIT
--: script
BEGIN; CREATE TABLE migrated (a int); COMMENT ON TABLE migrated IS ';'; COMMIT;
--: script+
BEGIN; INSERT INTO todos (title) VALUES (';'); COMMIT
--: script+
BEGIN;
-- a migration
CREATE TABLE with_rows (a int);
INSERT INTO with_rows VALUES (1);
COMMIT;
--: script+
BEGIN; CALL quiet_procedure(); COMMIT
--: script+
INSERT INTO todos (title) VALUES ('x'); ROLLBACK
--: write
CREATE FUNCTION adds_and_more() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO todos (title) VALUES ('x'); END; INSERT INTO todos (title) VALUES ('y')
--: read
CREATE RULE once AS ON DELETE TO ruled DO ALSO (SELECT 1; SELECT 2); SELECT 1
--: write    as pg_dump begins a dump
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
INSERT INTO public.todos (title) VALUES ('it''s');
SELECT pg_catalog.setval('public.todos_id_seq', 20000, true);

-- ==== comments and emptiness around a statement

--: write
/*+ IndexScan(todos) */ UPDATE todos SET done = true
--: write
-- SELECT
  -- SELECT
INSERT INTO todos (title) VALUES ('x')
--: write
/* /* SELECT */ */DELETE/**/FROM/**/todos
--: write
; ;; DELETE FROM todos ;
--: read
;
--: read
-- nothing but a comment; DELETE FROM todos
--: read
/* ; DELETE FROM todos; */
