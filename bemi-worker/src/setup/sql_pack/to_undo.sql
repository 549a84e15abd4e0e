
    WITH chosen AS (
        SELECT c.* FROM {changes} AS c
        WHERE c.database = $1 AND c.operation NOT IN ('SNAPSHOT', 'DDL')
          AND ($2 IS NULL OR c.id = $2 AND c.committed_at >= bemi.moment_of($2)
               AND c.committed_at < bemi.moment_of($2) + interval '1 millisecond')
          AND ($3 IS NULL OR c.commit_position = $3)
          AND ($4 IS NULL OR c.context @> $4)
          AND ($5 IS NULL OR c.committed_at >= $5) AND ($6 IS NULL OR c.committed_at < $6)
          AND ($7 IS NULL OR c.schema = $7[1] AND c."table" = $7[2])
    )
    SELECT row_number() OVER (ORDER BY c.commit_position DESC, c.sequence DESC),
           c.id, c.commit_position, a.action, c.schema, c."table", c.primary_key, coalesce(e.key_columns, '{}'),
           coalesce(w.columns, '{}'), k.key,
           -- Where it is not known what the key is made of, a row is known by all that it has.
           CASE WHEN c.operation = 'UPDATE' AND e.key_columns IS NOT NULL THEN w.was ELSE c.after END, w.is, c.after,
           CASE WHEN c.primary_key IS NULL THEN ARRAY[c.before::text, c.after::text]
                ELSE array_remove(ARRAY[c.primary_key, c.previous_key], NULL) END,
           CASE WHEN c.operation = 'TRUNCATE' THEN 'the rows that a TRUNCATE took away are in other changes'
                WHEN c.operation <> 'CREATE' AND NOT c.before_complete
                    THEN 'the table''s replica identity does not tell what the row was before'
                WHEN c.encoded IS NOT NULL THEN format('the record has %s as text alone', array_to_string(c.encoded, ', '))
                WHEN w.is::text ~ ': "hmac-sha256:[0-9a-f]{64}"[,}]' THEN 'the record has a hash in the place of a value'
           END
    FROM chosen AS c
    CROSS JOIN LATERAL (SELECT CASE c.operation WHEN 'CREATE' THEN 'DELETE' WHEN 'DELETE' THEN 'INSERT'
                                                ELSE c.operation END) AS a (action)
    LEFT JOIN LATERAL (
        SELECT CASE WHEN cardinality(t.key_columns) > 0 AND c.primary_key IS NOT NULL THEN t.key_columns END AS key_columns,
               t.columns
        FROM bemi.table_events AS t
        WHERE t.schema = c.schema AND t."table" = c."table" AND t.columns IS NOT NULL
          AND (t.commit_position, t.sequence) < (c.commit_position, c.sequence)
          AND t.slot IN (SELECT p.slot FROM bemi.checkpoint AS p WHERE p.database = $1)
        ORDER BY t.commit_position DESC, t.sequence DESC, t.ordinal DESC LIMIT 1) AS e ON true
    CROSS JOIN LATERAL (SELECT jsonb_object_agg(n, c.after -> n) FROM unnest(e.key_columns) AS n) AS k (key)
    CROSS JOIN LATERAL (
        SELECT array_agg(b.key ORDER BY b.key) AS columns, jsonb_object_agg(b.key, b.value) AS is,
               jsonb_object_agg(b.key, c.after -> b.key) AS was
        FROM jsonb_each(c.before) AS b
        WHERE (c.operation <> 'UPDATE' OR c.after ? b.key AND b.value::text <> (c.after -> b.key)::text)
          AND NOT EXISTS (SELECT FROM jsonb_to_recordset(e.columns) AS g (name text, generated boolean)
                          WHERE g.generated AND g.name = b.key)) AS w
    -- An UPDATE that changed nothing needs nothing.
    WHERE c.operation <> 'UPDATE' OR w.columns IS NOT NULL OR NOT c.before_complete
