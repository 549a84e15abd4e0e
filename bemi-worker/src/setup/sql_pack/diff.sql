
DECLARE
    named CONSTANT text[] := bemi.table_named("table");
    from_position CONSTANT bigint := bemi.position_of(from_point);
    to_position CONSTANT bigint := bemi.position_of(to_point);
    followed CONSTANT bemi.checkpoint := bemi.followed_slot();
    -- Those that were touched in between; all of them where the changes do not tell which.
    keys CONSTANT text := (
        SELECT CASE WHEN bool_or(c.primary_key IS NULL) OR EXISTS (
                        SELECT FROM bemi.table_events AS e
                        WHERE e.slot = followed.slot AND e.schema = named[1] AND e."table" = named[2]
                          AND e.commit_position > least(from_position, to_position)
                          AND e.commit_position <= greatest(from_position, to_position) AND e.event <> 'altered')
                    THEN NULL
                    ELSE coalesce(jsonb_agg(DISTINCT k.key) FILTER (WHERE k.key IS NOT NULL), '[]') END
        FROM {changes} AS c
        CROSS JOIN LATERAL (VALUES (c.primary_key), (c.previous_key)) AS k (key)
        WHERE c.schema = named[1] AND c."table" = named[2] AND c.database = followed.database
          AND c.commit_position > least(from_position, to_position)
          AND c.commit_position <= greatest(from_position, to_position)
          AND c.operation <> 'DDL');
BEGIN
    IF NOT (bemi.is_whole(followed.slot, followed.database, named[1], named[2], from_position::text)
            AND bemi.is_whole(followed.slot, followed.database, named[1], named[2], to_position::text))
    THEN
        RETURN QUERY SELECT NULL::text, NULL::jsonb, NULL::jsonb,
            'rows may differ that the record does not know of, as they were there before it began, or changed '
            'where it has a gap';
    END IF;
    RETURN QUERY
    WITH told AS MATERIALIZED (
        -- Rows without a key are alike, or others.
        SELECT p.is_from, t.key, t.state, t.row, t.why,
               coalesce('key ' || t.key, format('row %s %s', row_number() OVER (
                   PARTITION BY p.is_from, t.key, t.row::text), t.row)) AS name
        FROM (VALUES (true, from_position::text), (false, to_position::text)) AS p (is_from, at)
        CROSS JOIN LATERAL bemi.told(followed.slot, followed.database, named[1], named[2], p.at, keys) AS t
    )
    SELECT coalesce(f.key, t.key), f.row, t.row, bemi.reason(coalesce(f.why, t.why))
    FROM (SELECT * FROM told WHERE is_from) AS f
    FULL JOIN (SELECT * FROM told WHERE NOT is_from) AS t ON t.name = f.name
    WHERE f.row::text IS DISTINCT FROM t.row::text OR f.why IS NOT NULL OR t.why IS NOT NULL
    ORDER BY 1;
END
