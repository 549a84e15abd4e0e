WITH reshapings AS MATERIALIZED (
    SELECT (r.value ->> 'position')::bigint AS commit_position,
           (r.value ->> 'sequence')::bigint AS sequence, r.value -> 'columns' AS columns, r.nr
    FROM jsonb_array_elements($14::text::jsonb) WITH ORDINALITY AS r (value, nr)
), keys AS MATERIALIZED (
    SELECT k.key FROM (
        (SELECT c.primary_key AS key FROM {changes} AS c
         WHERE c."table" = $3::text AND $5::text IS NULL AND c.primary_key >= coalesce($6::text, '')
           AND c.primary_key IS DISTINCT FROM $6::text
         GROUP BY c.primary_key ORDER BY c.primary_key LIMIT $7::text::bigint)
        UNION
        (SELECT c.previous_key FROM {changes} AS c
         WHERE c."table" = $3::text AND $5::text IS NULL AND c.previous_key >= coalesce($6::text, '')
           AND c.previous_key IS DISTINCT FROM $6::text
         GROUP BY c.previous_key ORDER BY c.previous_key LIMIT $7::text::bigint)
        UNION
        SELECT a.key FROM jsonb_array_elements_text($5::text::jsonb) AS a (key)
    ) AS k
    ORDER BY k.key LIMIT $7::text::bigint
)
SELECT k.key,
       CASE
           WHEN $5::text IS NULL AND o.commit_position IS NULL AND g.commit_position IS NULL
                AND NOT EXISTS (SELECT FROM {changes} AS c
                                WHERE c."table" = $3::text AND c.primary_key = k.key
                                  AND c.schema = $2::text AND c.database = $1::text)
                AND NOT EXISTS (SELECT FROM {changes} AS c
                                WHERE c."table" = $3::text AND c.previous_key = k.key
                                  AND c.schema = $2::text AND c.database = $1::text)
               THEN 'elsewhere'
           WHEN $10::text IS NOT NULL
                AND (coalesce(o.commit_position, -1), coalesce(o.sequence, -1))
                    <= ($10::text::bigint, $11::text::bigint)
                AND (coalesce(g.commit_position, -1), coalesce(g.sequence, -1))
                    <= ($10::text::bigint, $11::text::bigint) THEN 'absent'
           WHEN (o.commit_position, o.sequence) > ($8::text::bigint, $9::text::bigint)
                AND (g.commit_position IS NULL
                     OR (o.commit_position, o.sequence) > (g.commit_position, g.sequence))
               THEN CASE WHEN o.operation <> 'DELETE' AND o.unavailable IS NULL AND m.is_known IS NOT FALSE
                             THEN 'present'
                         WHEN o.operation = 'DELETE' AND NOT (o.before_complete AND EXISTS (
                             SELECT FROM {changes} AS a
                             WHERE a."table" = $3::text AND a.primary_key = k.key
                               AND a.commit_position = o.commit_position AND a.sequence < o.sequence
                               AND (a.operation = 'CREATE' OR a.previous_key IS NOT NULL)))
                             THEN 'absent'
                         ELSE 'undecided' END
           WHEN (g.commit_position, g.sequence) > ($8::text::bigint, $9::text::bigint)
                AND g.commit_position > coalesce(o.commit_position, -1) THEN 'absent'
           ELSE 'undecided'
       END AS state,
       coalesce(m.row, o.after) AS row
FROM keys AS k
LEFT JOIN LATERAL (
    SELECT c.commit_position, c.sequence, c.operation, c.after, c.unavailable, c.before_complete
    FROM {changes} AS c
    WHERE c."table" = $3::text AND c.primary_key = k.key AND c.commit_position <= $4::text::bigint
      AND c.schema = $2::text AND c.database = $1::text
    ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1
) AS o ON true
LEFT JOIN LATERAL (
    SELECT c.commit_position, c.sequence
    FROM {changes} AS c
    WHERE c."table" = $3::text AND c.previous_key = k.key AND c.commit_position <= $4::text::bigint
      AND c.schema = $2::text AND c.database = $1::text
    ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1
) AS g ON true
LEFT JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(c.key, CASE WHEN c.value ? 'from' THEN o.after -> (c.value ->> 'from')
                                                 ELSE c.value -> 'value' END)
               FILTER (WHERE NOT c.value ? 'from' OR o.after ? (c.value ->> 'from')), '{}') AS row,
           bool_and(NOT c.value ? 'unknown') AS is_known
    FROM jsonb_each((SELECT r.columns FROM reshapings AS r
                     WHERE (r.commit_position, r.sequence) < (o.commit_position, o.sequence)
                     ORDER BY r.nr DESC LIMIT 1)) AS c
    HAVING (o.commit_position, o.sequence) <= ($12::text::bigint, $13::text::bigint)
       AND o.operation <> 'DELETE' AND count(*) > 0
) AS m ON true
