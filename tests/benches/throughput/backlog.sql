-- A table that is worked on, and how: 60% insert, 30% update, 10% delete, in small transactions that begin with a context.

CREATE TABLE todo (
    id bigint PRIMARY KEY,
    task text NOT NULL,
    is_completed boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    note text NOT NULL
);

-- About 200 characters that compress no better than prose.
CREATE FUNCTION note(id bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(md5((id + part)::text), ' ') FROM generate_series(1, 6) AS part
$$;

INSERT INTO todo SELECT id, 'task ' || id, false, now(), note(id) FROM generate_series(1, 10000) AS id;

CREATE PROCEDURE make_backlog(changes integer, rows_per_transaction integer) LANGUAGE plpgsql AS $$
DECLARE
    lowest bigint;
    highest bigint;
BEGIN
    SELECT min(id), max(id) INTO lowest, highest FROM todo;
    FOR change IN 1..changes LOOP
        IF (change - 1) % rows_per_transaction = 0 THEN
            PERFORM pg_logical_emit_message(true, '_bemi', format(
                '{"user_id":%s,"endpoint":"/todos/complete","method":"PATCH","request_id":"%s","params":{"list":"%s"},'
                '"SQL":"UPDATE todo SET is_completed = $1, updated_at = $2 WHERE id = $3"}',
                change, md5(change::text), md5((change * 7::bigint)::text)));
        END IF;
        -- Inserts at one end, deletes at the other, updates all over: ids have no holes, so each statement changes one row.
        IF change % 10 < 6 THEN
            highest := highest + 1;
            INSERT INTO todo VALUES (highest, 'task ' || highest, false, clock_timestamp(), note(highest));
        ELSIF change % 10 < 9 THEN
            UPDATE todo SET is_completed = NOT is_completed, updated_at = clock_timestamp()
            WHERE id = lowest + change * 7919::bigint % (highest - lowest + 1);
        ELSE
            DELETE FROM todo WHERE id = lowest;
            lowest := lowest + 1;
        END IF;
        IF change % rows_per_transaction = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END
$$;
