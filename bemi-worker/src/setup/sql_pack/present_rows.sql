
DECLARE
    followed CONSTANT bemi.checkpoint := bemi.followed_slot();
    at CONSTANT pg_lsn := '0/0'::pg_lsn + "position";
    -- What columns are called now that had another name, or whose name another column has; by their
    -- numbers.
    names CONSTANT jsonb := (
        SELECT jsonb_object_agg(c.name, a.attname) FILTER (WHERE a.attname IS DISTINCT FROM c.name)
        FROM (SELECT e.columns, e.relation FROM bemi.table_events AS e
              WHERE e.slot = followed.slot AND e.schema = present_rows.schema
                AND e."table" = present_rows."table" AND e.columns IS NOT NULL
                AND e.commit_position <= present_rows."position"
              ORDER BY e.commit_position DESC, e.sequence DESC, e.ordinal DESC LIMIT 1) AS e
        CROSS JOIN LATERAL jsonb_to_recordset(e.columns) AS c (number smallint, name text)
        LEFT JOIN pg_attribute AS a ON a.attrelid = e.relation AND a.attnum = c.number AND NOT a.attisdropped
        WHERE e.relation = present_rows.relation::bigint);
BEGIN
    IF NOT bemi.is_whole(followed.slot, followed.database, schema, "table", "position"::text) THEN
        PERFORM bemi.refuse(schema, "table", at, NULL, NULL);
    END IF;
    RETURN QUERY
    SELECT CASE
        WHEN t.state <> 'present' THEN bemi.refuse(present_rows.schema, present_rows."table", at, t.key, t.why)
        WHEN names IS NULL THEN t.row
        ELSE (SELECT coalesce(jsonb_object_agg(coalesce(names ->> f.key, f.key), f.value), '{}')
              FROM jsonb_each(t.row) AS f WHERE names -> f.key IS DISTINCT FROM 'null')
    END
    FROM bemi.told(followed.slot, followed.database, schema, "table", "position"::text, NULL) AS t
    WHERE t.state <> 'absent';
END
