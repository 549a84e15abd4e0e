-- What the corpus of the fuzz targets is recorded from: the tables first, then one transaction behind each line of dashes.

CREATE TYPE mood AS ENUM ('sad', 'very "happy"');
CREATE TYPE pair AS (n numeric, "a text" text);
CREATE TYPE address AS (street text, no int, list int[], m mood, i pair, j jsonb);
CREATE DOMAIN tags AS text[];
CREATE TABLE plain (id int PRIMARY KEY, task text, done boolean);
CREATE TABLE whole (id bigint PRIMARY KEY, note text);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE no_key (a int, b text);
ALTER TABLE no_key REPLICA IDENTITY FULL;
CREATE TABLE silent (a int);
ALTER TABLE silent REPLICA IDENTITY NOTHING;
CREATE TABLE by_index (a int, b text NOT NULL, c text);
CREATE UNIQUE INDEX by_index_b ON by_index (b);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_b;
CREATE TABLE composite_key (a int, b text, c uuid, v int, PRIMARY KEY (b, a, c));
CREATE TABLE toasted (id int PRIMARY KEY, big text, n int);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
CREATE TABLE toasted_whole (id int PRIMARY KEY, big text, n int);
ALTER TABLE toasted_whole ALTER big SET STORAGE EXTERNAL;
ALTER TABLE toasted_whole REPLICA IDENTITY FULL;
CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us');
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
CREATE TABLE "Odd ""name"".with, 😀" ("id" int PRIMARY KEY, "Ünïcode ""column""" text, " " text);
CREATE TABLE numbers (id int PRIMARY KEY, a smallint, b bigint, c real, d double precision, e numeric, f numeric(20,4), g money, h oid);
CREATE TABLE texts (id int PRIMARY KEY, a text, b varchar(10), c char(5), d "char", e name, f bytea, g uuid, h xml, i bit varying);
CREATE TABLE times (id int PRIMARY KEY, a date, b time, c timetz, d timestamp, e timestamptz, f interval);
CREATE TABLE documents (id int PRIMARY KEY, a json, b jsonb, c json[], d jsonb[]);
CREATE TABLE lists (id int PRIMARY KEY, a int[], b text[], c tags, d box[], e numeric[], f bytea[], g int2vector, h oidvector, i mood[]);
CREATE TABLE composites (id int PRIMARY KEY, a pair, b address, c address[]);
CREATE TABLE others (id int PRIMARY KEY, a inet, b macaddr, c point, d path, e tsvector, f int4range, g tstzrange, h int4multirange, i mood, j pg_lsn);

------------------------------------------------
INSERT INTO plain VALUES (1, 'Sleep', false), (2, '', NULL), (3, E'quote" \\ \n\t\r\x01 é 😀', true);
------------------------------------------------
UPDATE plain SET done = true WHERE id = 1;
UPDATE plain SET id = 20 WHERE id = 2;
DELETE FROM plain WHERE id = 3;
------------------------------------------------
SELECT pg_logical_emit_message(true, '_bemi', '{"user_id": 1, "SQL": "UPDATE plain SET done = ?"}');
UPDATE plain SET done = false;
SELECT pg_logical_emit_message(true, '_bemi', '{"user_id": 2}');
DELETE FROM plain WHERE id = 1;
SELECT pg_logical_emit_message(true, '_bemi', '{}');
INSERT INTO plain VALUES (1, 'again', NULL);
------------------------------------------------
SELECT pg_logical_emit_message(true, '_bemi', 'this is no JSON');
INSERT INTO whole VALUES (9007199254740993, 'a'), (-9223372036854775808, NULL);
SELECT pg_logical_emit_message(true, '_bemi', '');
UPDATE whole SET note = 'b';
SELECT pg_logical_emit_message(true, '_bemi', 'null');
DELETE FROM whole;
------------------------------------------------
SELECT pg_logical_emit_message(true, '_bemi_heartbeat', '');
------------------------------------------------
SELECT pg_logical_emit_message(true, 'somebody else', 'their content');
SELECT pg_logical_emit_message(true, '_bemi_config', '');
INSERT INTO no_key VALUES (1, 'x'), (1, 'x');
UPDATE no_key SET b = 'y';
DELETE FROM no_key;
INSERT INTO silent VALUES (1), (NULL);
------------------------------------------------
SELECT pg_logical_emit_message(true, '_bemi', '{"path": "%2Ftodos%3Fdone%3Dtrue", "params": {"a": "%C3%A9"}, "user": null}');
INSERT INTO by_index VALUES (1, 'k', 'c');
UPDATE by_index SET c = 'd';
UPDATE by_index SET b = 'l';
DELETE FROM by_index;
------------------------------------------------
INSERT INTO composite_key VALUES (1, 'a "b", c', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1);
UPDATE composite_key SET v = 2;
UPDATE composite_key SET a = 2;
DELETE FROM composite_key;
------------------------------------------------
INSERT INTO toasted VALUES (1, repeat('big ', 700), 1);
INSERT INTO toasted_whole VALUES (1, repeat('big ', 700), 1);
------------------------------------------------
UPDATE toasted SET n = 2;
------------------------------------------------
UPDATE toasted SET id = 2, n = 3;
------------------------------------------------
UPDATE toasted_whole SET n = 2;
------------------------------------------------
INSERT INTO parted VALUES (1, 'eu'), (2, 'us');
UPDATE parted SET region = 'us' WHERE id = 1;
DELETE FROM parted WHERE id = 2;
TRUNCATE parted_eu;
------------------------------------------------
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
DELETE FROM parent WHERE id = 1;
------------------------------------------------
TRUNCATE parent, child, plain RESTART IDENTITY CASCADE;
------------------------------------------------
INSERT INTO "Odd ""name"".with, 😀" VALUES (1, 'a', NULL);
UPDATE "Odd ""name"".with, 😀" SET " " = '';
------------------------------------------------
INSERT INTO plain VALUES (5, 'before the savepoint', NULL);
SAVEPOINT a;
SELECT pg_logical_emit_message(true, '_bemi', '{"rolled": "back"}');
INSERT INTO plain VALUES (6, 'rolled back', NULL);
ROLLBACK TO SAVEPOINT a;
INSERT INTO plain VALUES (7, 'behind the savepoint', NULL);
------------------------------------------------
ALTER TABLE plain ADD added int DEFAULT 7;
SELECT pg_logical_emit_message(true, '_bemi_ddl', '{"command": "ALTER TABLE", "object_type": "table", "object": "public.plain", "schema": "public", "table": "plain", "sql": "ALTER TABLE plain ADD added int DEFAULT 7;"}');
UPDATE plain SET done = true;
ALTER TABLE plain DROP task;
UPDATE plain SET done = false;
ALTER TABLE plain ALTER id TYPE bigint, ALTER added TYPE text;
UPDATE plain SET added = 'x';
ALTER TABLE plain RENAME TO renamed;
DELETE FROM renamed;
------------------------------------------------
INSERT INTO numbers VALUES
    (1, -32768, 9223372036854775807, 'NaN', 'Infinity', '1.10', 12345.6789, '12.34', 4294967295),
    (2, 0, 9007199254740993, 3.4e38, 5e-324, 'NaN', -1, '-1000000', 0),
    (3, NULL, -1, '-0', 1.7976931348623157e308, repeat('9', 500)::numeric, NULL, NULL, NULL),
    (4, 1, 1, 1e-40, '-Infinity', ('1e-' || 300)::numeric, 0, '0', 1);
------------------------------------------------
INSERT INTO texts VALUES
    (1, E'e\u0301 中 𝄞', 'abc', 'ab', 'x', 'a name', '\x00ff5c22', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '<a b="1">x &amp; y</a>', B'101'),
    (2, E'\\u0000 {"a":[1]}', '', '', '', '', '', NULL, NULL, B'');
------------------------------------------------
INSERT INTO times VALUES
    (1, '2024-02-29', '23:59:59.999999', '12:30:00+05:30', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789+02', '1 year 2 mons -3 days 04:05:06.7'),
    (2, '0044-03-15 BC', '24:00:00', '00:00:00-08', '0001-01-01 00:00:00 BC', '0001-01-01 00:00:00+00 BC', '-1 day'),
    (3, 'infinity', '00:00:00', NULL, '-infinity', 'infinity', '178000000 years'),
    (4, '5874897-12-31', NULL, NULL, '294276-12-31 23:59:59.999999', '1900-01-01 00:00:00+00:19:32', '0');
------------------------------------------------
INSERT INTO documents VALUES
    (1, '{"b": 1, "a": [1, 2.50, "x"], "b": 2}', '{"b": 1, "a": [1, 2.50, "x"], "deep": {"n": null}}', ARRAY['{"a": 1}']::json[], ARRAY['{"a": [1]}', 'null', '"x"']::jsonb[]),
    (2, ' null ', '12345678901234567890.123456789', '{}', '{}'),
    (3, '"\ud800 \u0000"', '"text"', ARRAY['1e400000']::json[], NULL),
    (4, '[1e400000]', '[]', NULL, NULL);
------------------------------------------------
INSERT INTO lists VALUES
    (1, '{1,NULL,3}', ARRAY['a', NULL, 'NULL', '', 'a,b', '{x}', E'q"\\', ' sp '], '{a,b}', ARRAY['(1,1),(0,0)', '(2,2),(1,1)']::box[], '{1.50,NaN,-Infinity}', ARRAY['\x00ff', '\x']::bytea[], '1 2 3', '1 4294967295', ARRAY['sad', 'very "happy"']::mood[]),
    (2, '[-1:0][3:4]={{1,2},{3,4}}', '{}', '{}', '{}', '{}', '{}', '', '', '{}'),
    (3, '{{{{{{1}}}}}}', '{{"a","b"},{"c","d"}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
------------------------------------------------
INSERT INTO composites VALUES
    (1, '(1.5,x)', ROW('a "street", 1', 7, '{1,2}', 'sad', '(1.5,x)', '{"k": [1]}'), ARRAY[ROW('a, "b"', 7, '{NULL}', 'sad', '(2,"a b")', 'null')::address, NULL]),
    (2, '(,)', ROW('', NULL, '{}', NULL, NULL, NULL), '{}'),
    (3, '(NaN,"")', NULL, NULL);
------------------------------------------------
INSERT INTO others VALUES
    (1, '192.168.0.1/24', '08:00:2b:01:02:03', '(1.5,-2)', '[(0,0),(1,1)]', 'a:1 fat:2A ''it''''s'':3', '[1,10)', '[2024-01-01 00:00:00+00,infinity)', '{[1,3), [5,8)}', 'very "happy"', '16/B374D848'),
    (2, '::1', NULL, NULL, '((0,0),(1,1))', '', 'empty', '(,)', '{}', NULL, '0/0');
