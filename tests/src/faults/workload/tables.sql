-- Whole old rows in the WAL.
CREATE TABLE account (id bigint PRIMARY KEY, owner text, balance numeric(14, 2) NOT NULL DEFAULT 0, note text);

-- Its key alone is in the WAL, and large values that an UPDATE does not touch are not.
CREATE TABLE item (shelf int, code text, amount int NOT NULL, body text, PRIMARY KEY (shelf, code));
ALTER TABLE item ALTER body SET STORAGE EXTERNAL;

-- No primary key, but an index that identifies rows.
CREATE TABLE device (code text NOT NULL, state jsonb, seen timestamptz);
CREATE UNIQUE INDEX device_code ON device (code);
ALTER TABLE device REPLICA IDENTITY USING INDEX device_code;

-- Nothing identifies its rows: what is inserted is tracked, and nothing else.
CREATE TABLE entry (at int, line text);

-- Rows move between partitions.
CREATE TABLE reading (id int, region int, value double precision, tags text[], PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE reading_north PARTITION OF reading FOR VALUES IN (0);
CREATE TABLE reading_south PARTITION OF reading FOR VALUES IN (1, 2);
CREATE TABLE reading_else PARTITION OF reading DEFAULT;
