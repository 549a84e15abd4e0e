SELECT b.is_keyed, k.is_complete, b.ceiling_position, b.ceiling_position = 9223372036854775807 AS is_open,
       -- Behind this place, the last change of a row tells it.
       s.commit_position AS settled_position, s.sequence AS settled_sequence,
       CASE WHEN b.is_cleared THEN b.cleared_position END AS cleared_position,
       CASE WHEN b.is_cleared THEN b.cleared_sequence END AS cleared_sequence,
       -- Behind this place it has the columns of the point; before that, what becomes of them is told by
       -- the last of these that lies before it.
       b.shaped_position, b.shaped_sequence,
       (SELECT jsonb_agg(jsonb_build_object('position', v.commit_position, 'sequence', v.sequence,
                                            'columns', m.columns) ORDER BY v.nr)::text
        FROM events AS v
        CROSS JOIN LATERAL (
            -- Of columns that nobody knows, nothing becomes of those that rows were written with.
            SELECT coalesce(jsonb_object_agg(p.name,
                       CASE WHEN h.number IS NOT NULL THEN jsonb_build_object('from', h.name)
                            WHEN a.is_unknown THEN '{"unknown": true}'
                            ELSE jsonb_build_object('value', a.missing) END)
                       FILTER (WHERE h.number IS NOT NULL OR NOT p.generated), '{}') AS columns
            FROM jsonb_to_recordset(b.columns) AS p (number integer, name text, generated boolean)
            LEFT JOIN jsonb_to_recordset(v.columns) AS h (number integer, name text)
                ON h.number = p.number
            LEFT JOIN LATERAL (
                SELECT coalesce((array_agg(w -> 'missing' ORDER BY n.nr))[1], 'null') AS missing,
                       coalesce((array_agg((w ->> 'missing_unknown')::boolean ORDER BY n.nr))[1], false)
                           AS is_unknown
                FROM events AS n
                CROSS JOIN LATERAL jsonb_array_elements(n.columns) AS w
                WHERE (w ->> 'number')::integer = p.number AND n.nr > v.nr
            ) AS a ON h.number IS NULL
        ) AS m
        WHERE v.columns IS NOT NULL
          AND (v.commit_position, v.sequence) < (b.shaped_position, b.shaped_sequence)) AS reshapings
FROM bounds AS b
CROSS JOIN known AS k
CROSS JOIN LATERAL (
    SELECT p.commit_position, p.sequence
    FROM (VALUES (b.floor_position, b.floor_sequence),
                 (coalesce(b.cleared_position, -1), coalesce(b.cleared_sequence, 0)),
                 (b.rewritten_position, b.rewritten_sequence)) AS p (commit_position, sequence)
    ORDER BY p.commit_position DESC, p.sequence DESC LIMIT 1
) AS s
