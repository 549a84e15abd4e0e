live AS MATERIALIZED (
    SELECT v.live, (v.live ->> 'began')::timestamptz AS began, (v.live ->> 'xmax')::bigint AS xmax,
           array(SELECT x::bigint FROM jsonb_array_elements_text(v.live -> 'xip') AS x) AS xip
    FROM (SELECT $9::text::jsonb AS live) AS v
), keys AS MATERIALIZED (
    SELECT k.key FROM (
        (SELECT c.primary_key AS key FROM {changes} AS c
         WHERE c."table" = $4::text AND $6::text IS NULL AND c.primary_key >= coalesce($7::text, '')
           AND c.primary_key IS DISTINCT FROM $7::text
         GROUP BY c.primary_key ORDER BY c.primary_key LIMIT $8::text::bigint)
        UNION
        (SELECT c.previous_key FROM {changes} AS c
         WHERE c."table" = $4::text AND $6::text IS NULL AND c.previous_key >= coalesce($7::text, '')
           AND c.previous_key IS DISTINCT FROM $7::text
         GROUP BY c.previous_key ORDER BY c.previous_key LIMIT $8::text::bigint)
        UNION
        SELECT a.key FROM jsonb_array_elements_text($6::text::jsonb) AS a (key)
    ) AS k
    WHERE (SELECT b.is_keyed FROM bounds AS b)
    ORDER BY k.key LIMIT $8::text::bigint
), forward AS (
    SELECT k.key, f.previous_key, f.commit_position, f.sequence, f.row, f.lacking,
           CASE
               WHEN f.commit_position IS NULL
                    OR (f.commit_position, f.sequence) <= (b.cleared_position, b.cleared_sequence)
                    THEN CASE WHEN b.is_cleared THEN 'absent' ELSE 'unknown' END
               WHEN (f.commit_position, f.sequence) <= (b.floor_position, b.floor_sequence)
                    THEN 'unknown'
               WHEN f.is_tangled THEN 'tangled'
               WHEN NOT f.arrives THEN 'absent'
               WHEN (f.commit_position, f.sequence) <= (b.rewritten_position, b.rewritten_sequence)
                    THEN 'rewritten'
               ELSE 'present'
           END AS state
    FROM keys AS k
    CROSS JOIN bounds AS b
    LEFT JOIN LATERAL (
        SELECT e.*,
               -- Where keys are checked at the end of a transaction, two rows may have one meanwhile.
               NOT e.arrives AND e.before_complete AND EXISTS (
                   SELECT FROM {changes} AS a
                   WHERE a."table" = $4::text AND a.primary_key = k.key
                     AND a.commit_position = e.commit_position AND a.sequence < e.sequence
                     AND (a.operation = 'CREATE' OR a.previous_key IS NOT NULL)
                     AND a.schema = $3::text AND a.database = $2::text) AS is_tangled
        FROM (
            (SELECT c.commit_position, c.sequence, c.previous_key, c.after AS row, c.unavailable AS lacking,
                    c.before_complete, c.operation <> 'DELETE' AS arrives
             FROM {changes} AS c
             WHERE c."table" = $4::text AND c.primary_key = k.key
               AND c.commit_position <= $5::text::bigint
               AND c.schema = $3::text AND c.database = $2::text
             ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1)
            UNION ALL
            (SELECT c.commit_position, c.sequence, NULL, '{}', NULL, c.before_complete, false
             FROM {changes} AS c
             WHERE c."table" = $4::text AND c.previous_key = k.key
               AND c.commit_position <= $5::text::bigint
               AND c.schema = $3::text AND c.database = $2::text
             ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1)
        ) AS e
        ORDER BY e.commit_position DESC, e.sequence DESC LIMIT 1
    ) AS f ON true
), filled AS (
    SELECT f.key, f.commit_position, f.sequence,
           f.state = 'tangled' AS was_tangled,
           CASE WHEN f.state <> 'tangled' THEN f.state
                WHEN t.answer ? 'row' THEN 'present'
                ELSE coalesce(t.answer ->> 'state', 'unknown') END AS state,
           coalesce(u.row, t.answer -> 'row', f.row) AS row,
           CASE WHEN u.row IS NULL THEN f.lacking ELSE u.lacking END AS lacking
    FROM forward AS f
    CROSS JOIN bounds AS b
    LEFT JOIN LATERAL (
        -- The one of those that came to the key and has not left it, by its content. Where all have left,
        -- there is none, if there was none at first.
        SELECT CASE WHEN f.state = 'tangled' THEN (
            WITH moves AS MATERIALIZED ({moves_before})
            SELECT coalesce(
                (SELECT '{"state": "unknown"}'::jsonb FROM moves AS m WHERE m.row IS NULL LIMIT 1),
                (SELECT jsonb_build_object('row', r.row::jsonb)
                 FROM (SELECT m.row FROM moves AS m GROUP BY m.row HAVING sum(m.n) > 0 LIMIT 1) AS r),
                (SELECT '{"state": "absent"}'::jsonb
                 FROM (SELECT m.row FROM moves AS m GROUP BY m.row HAVING sum(m.n) < 0 LIMIT 1) AS r),
                (SELECT CASE WHEN r.n < 0 THEN jsonb_build_object('row', r.row::jsonb)
                             WHEN b.is_cleared OR r.is_baseline THEN '{"state": "absent"}'
                             ELSE '{"state": "unknown"}' END
                 FROM (SELECT m.* FROM moves AS m
                       ORDER BY m.commit_position, m.sequence, m.n LIMIT 1) AS r))
        ) END AS answer
    ) AS t ON true
    LEFT JOIN LATERAL (
        -- A value that was not sent did not change: an earlier change of the row has it.
        WITH RECURSIVE walk AS (
            SELECT coalesce(f.previous_key, f.key) AS key, f.commit_position, f.sequence, f.row, f.lacking,
                   1 AS step
            UNION ALL
            SELECT coalesce(c.previous_key, w.key), c.commit_position, c.sequence,
                   w.row || coalesce(c.values, '{}'),
                   CASE WHEN c.operation = 'UPDATE' THEN c.lacking END, w.step + 1
            FROM walk AS w
            -- Its name is that of the same column.
            CROSS JOIN LATERAL (
                SELECT coalesce(max(v.commit_position), -1) AS commit_position,
                       coalesce(max(v.sequence), -1) AS sequence
                FROM (SELECT n.commit_position, n.sequence FROM events AS n
                      WHERE n.is_renamed
                        AND (n.commit_position, n.sequence) < (f.commit_position, f.sequence)
                      ORDER BY n.nr DESC LIMIT 1) AS v) AS e
            CROSS JOIN LATERAL (
                SELECT o.commit_position, o.sequence, o.previous_key, o.operation, v.values, v.lacking
                FROM (
                    SELECT c.* FROM {changes} AS c
                    WHERE c."table" = $4::text AND c.primary_key = w.key
                      AND (c.commit_position, c.sequence) < (w.commit_position, w.sequence)
                      AND (c.commit_position, c.sequence) > (b.floor_position, b.floor_sequence)
                      AND (c.commit_position, c.sequence) > (b.rewritten_position, b.rewritten_sequence)
                      AND (c.commit_position, c.sequence) > (e.commit_position, e.sequence)
                      AND (c.operation <> 'UPDATE' OR c.previous_key IS NOT NULL
                           OR c.unavailable IS NULL OR NOT w.lacking <@ c.unavailable)
                      AND c.schema = $3::text AND c.database = $2::text
                    ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1
                ) AS o
                CROSS JOIN LATERAL (
                    SELECT jsonb_object_agg(l.name, o.after -> l.name) FILTER (WHERE o.after ? l.name) AS values,
                           array_agg(l.name) FILTER (WHERE NOT o.after ? l.name) AS lacking
                    FROM unnest(w.lacking) AS l (name)
                ) AS v
            ) AS c
            WHERE w.lacking IS NOT NULL AND c.operation <> 'DELETE'
        )
        SELECT w.row, coalesce(w.lacking, (SELECT nullif(array(
                   SELECT l FROM unnest(f.lacking) AS l WHERE NOT w.row ? l), '{}'))) AS lacking
        FROM walk AS w
        WHERE f.state = 'present' AND f.lacking IS NOT NULL
        ORDER BY w.step DESC LIMIT 1
    ) AS u ON true
), told AS (
    -- By the record forward; else by what comes next.
    SELECT f.key,
           CASE WHEN f.state = 'absent' THEN 'absent'
                WHEN f.state = 'present' AND f.lacking IS NULL AND m.lacking IS NULL THEN 'present'
                WHEN n.state IN ('absent', 'present') THEN n.state
                WHEN l.state IN ('absent', 'present') THEN l.state
                WHEN k.is_complete AND f.state = 'unknown'
                     AND (n.state IS NULL OR k.read_position IS NULL) THEN 'absent'
                ELSE 'unknown' END AS state,
           CASE WHEN f.state = 'present' AND f.lacking IS NULL AND m.lacking IS NULL
                THEN coalesce(m.row, f.row)
                WHEN n.state = 'present' THEN n.row
                WHEN l.state = 'present' THEN l.row END AS row,
           CASE f.state
               WHEN 'present' THEN jsonb_build_object('reason', 'incomplete',
                   'columns', coalesce(f.lacking, '{}') || coalesce(m.lacking, '{}'))
               WHEN 'rewritten' THEN jsonb_build_object('reason', 'rewritten',
                   'commit_position', b.rewritten_position)
               ELSE coalesce(n.why, l.why, b.floor_reason)
           END AS why
    FROM filled AS f
    CROSS JOIN bounds AS b
    CROSS JOIN known AS k
    LEFT JOIN LATERAL (
        SELECT s.row, s.lacking
        FROM ({mapped_forward}) AS s
        WHERE f.state = 'present' AND NOT f.was_tangled
          AND (f.commit_position, f.sequence) <= (b.shaped_position, b.shaped_sequence)
    ) AS m ON true
    LEFT JOIN LATERAL (
        SELECT CASE
                   WHEN e.is_tangled THEN CASE WHEN t.answer ? 'row' THEN 'present'
                                               ELSE t.answer ->> 'state' END
                   WHEN e.arrives THEN 'absent'
                   WHEN (e.commit_position, e.sequence) > (b.rewriting_position, b.rewriting_sequence)
                        OR NOT e.complete OR s.lacking IS NOT NULL THEN 'unknown'
                   ELSE 'present'
               END AS state,
               coalesce(t.answer -> 'row', s.row, e.row) AS row,
               CASE
                   WHEN (e.commit_position, e.sequence) > (b.rewriting_position, b.rewriting_sequence)
                        THEN jsonb_build_object('reason', 'rewritten', 'commit_position', b.rewriting_position)
                   WHEN e.is_tangled THEN '{"reason": "before_record"}'
                   ELSE jsonb_build_object('reason', 'incomplete',
                                           'columns', CASE WHEN e.complete THEN s.lacking ELSE '{}' END)
               END AS why
        FROM (
            SELECT o.*, o.arrives AND EXISTS (
                       SELECT FROM {changes} AS g
                       WHERE g."table" = $4::text AND g.commit_position = o.commit_position
                         AND g.sequence > o.sequence AND g.before_complete
                         AND g.primary_key = f.key AND g.operation = 'DELETE'
                         AND g.schema = $3::text AND g.database = $2::text
                   ) OR o.arrives AND EXISTS (
                       SELECT FROM {changes} AS g
                       WHERE g."table" = $4::text AND g.commit_position = o.commit_position
                         AND g.sequence > o.sequence AND g.before_complete AND g.previous_key = f.key
                         AND g.schema = $3::text AND g.database = $2::text) AS is_tangled
            FROM (
            (SELECT c.commit_position, c.sequence,
                    CASE c.operation WHEN 'SNAPSHOT' THEN c.after ELSE c.before END AS row,
                    c.operation = 'SNAPSHOT' OR c.before_complete AS complete,
                    c.operation = 'CREATE' OR c.previous_key IS NOT NULL AS arrives
             FROM {changes} AS c
             WHERE c."table" = $4::text AND c.primary_key = f.key
               AND c.commit_position > $5::text::bigint
               AND c.schema = $3::text AND c.database = $2::text
             ORDER BY c.commit_position, c.sequence LIMIT 1)
            UNION ALL
            (SELECT c.commit_position, c.sequence, c.before, c.before_complete, false
             FROM {changes} AS c
             WHERE c."table" = $4::text AND c.previous_key = f.key
               AND c.commit_position > $5::text::bigint
               AND c.schema = $3::text AND c.database = $2::text
             ORDER BY c.commit_position, c.sequence LIMIT 1)
            ORDER BY commit_position, sequence LIMIT 1
            ) AS o
        ) AS e
        LEFT JOIN LATERAL (
            SELECT c.commit_position, c.sequence, c.after AS row FROM {changes} AS c
            WHERE c."table" = $4::text AND c.primary_key = f.key AND c.operation = 'SNAPSHOT'
              AND c.commit_position > $5::text::bigint
              AND (c.commit_position, c.sequence) <= (b.ceiling_position, b.ceiling_sequence)
              AND (c.commit_position, c.sequence) <= (b.rewriting_position, b.rewriting_sequence)
              AND c.schema = $3::text AND c.database = $2::text AND e.is_tangled
            ORDER BY c.commit_position, c.sequence LIMIT 1
        ) AS z ON true
        LEFT JOIN LATERAL (
            SELECT p.row, p.lacking FROM ({mapped_read}) AS p
            WHERE (z.commit_position, z.sequence) > (b.reshaped_position, b.reshaped_sequence)
        ) AS y ON true
        LEFT JOIN LATERAL (
            -- The one that left the key and had not come, by its content. Where all that came have left,
            -- it is as it was read later.
            SELECT CASE WHEN e.is_tangled THEN (
                WITH moves AS MATERIALIZED ({moves_behind})
                SELECT coalesce(
                    (SELECT '{"state": "unknown"}'::jsonb FROM moves AS m WHERE m.row IS NULL LIMIT 1),
                    (SELECT jsonb_build_object('row', r.row::jsonb)
                     FROM (SELECT m.row FROM moves AS m GROUP BY m.row HAVING sum(m.n) < 0 LIMIT 1) AS r),
                    (SELECT '{"state": "absent"}'::jsonb
                     FROM (SELECT m.row FROM moves AS m GROUP BY m.row HAVING sum(m.n) > 0 LIMIT 1) AS r),
                    CASE WHEN y.lacking IS NOT NULL THEN '{"state": "unknown"}'
                         WHEN z.row IS NOT NULL THEN jsonb_build_object('row', coalesce(y.row, z.row))
                         WHEN k.read_position IS NOT NULL THEN '{"state": "absent"}'
                         ELSE '{"state": "unknown"}' END)
            ) END AS answer
        ) AS t ON true
        LEFT JOIN LATERAL (
            SELECT p.row, p.lacking
            FROM ({mapped_backward}) AS p
            WHERE (e.commit_position, e.sequence) > (b.reshaped_position, b.reshaped_sequence)
        ) AS s ON true
        WHERE f.state <> 'absent'
          AND (f.state <> 'present' OR f.lacking IS NOT NULL OR m.lacking IS NOT NULL)
          AND (e.commit_position, e.sequence) <= (b.ceiling_position, b.ceiling_sequence)
    ) AS n ON true
    LEFT JOIN LATERAL (
        -- The row that is there now, if nothing that it has in it came behind the point.
        SELECT CASE WHEN r.row IS NULL THEN 'absent'
                    WHEN b.rewriting_position < 9223372036854775807 OR s.lacking IS NOT NULL THEN 'unknown'
                    ELSE 'present' END AS state,
               coalesce(s.row, r.row) AS row,
               CASE WHEN s.lacking IS NULL
                    THEN jsonb_build_object('reason', 'rewritten', 'commit_position', b.rewriting_position)
                    ELSE jsonb_build_object('reason', 'incomplete', 'columns', s.lacking) END AS why
        FROM (SELECT live.live -> 'rows' -> f.key AS row FROM live) AS r
        LEFT JOIN LATERAL (SELECT p.row, p.lacking FROM ({mapped_live}) AS p) AS s ON true
        WHERE $9::text IS NOT NULL AND f.state <> 'absent'
          AND (f.state <> 'present' OR f.lacking IS NOT NULL OR m.lacking IS NOT NULL)
          AND n.state IS DISTINCT FROM 'absent' AND n.state IS DISTINCT FROM 'present'
          AND b.ceiling_position = 9223372036854775807
          AND NOT EXISTS (
              SELECT FROM {changes} AS c, live
              WHERE c."table" = $4::text AND c.primary_key = f.key
                AND c.commit_position > $5::text::bigint AND {is_seen} AND c.operation <> 'SNAPSHOT'
                AND c.schema = $3::text AND c.database = $2::text)
          AND NOT EXISTS (
              SELECT FROM {changes} AS c, live
              WHERE c."table" = $4::text AND c.previous_key = f.key
                AND c.commit_position > $5::text::bigint AND {is_seen}
                AND c.schema = $3::text AND c.database = $2::text)
    ) AS l ON true
), uncounted AS (
    -- Without a key, rows are alike or not: as many are there as came and did not leave.
    SELECT coalesce(m.row, c.row)::text AS row, c.n
    FROM bounds AS b
    CROSS JOIN since AS s
    CROSS JOIN LATERAL (
        SELECT o.commit_position, o.sequence, v.row, v.n
        FROM {changes} AS o
        CROSS JOIN LATERAL (VALUES (o.after, 1, o.operation <> 'DELETE'),
                                   (o.before, -1, o.operation IN ('UPDATE', 'DELETE'))) AS v (row, n, counts)
        WHERE o."table" = $4::text AND o.primary_key IS NULL AND o.commit_position <= $5::text::bigint
          AND (o.commit_position, o.sequence) > (s.commit_position, s.sequence)
          AND o.operation NOT IN ('TRUNCATE', 'DDL') AND v.counts
          AND o.schema = $3::text AND o.database = $2::text
    ) AS c
    LEFT JOIN LATERAL (
        SELECT p.row FROM ({mapped_counted}) AS p
        WHERE (c.commit_position, c.sequence) <= (b.shaped_position, b.shaped_sequence)
    ) AS m ON true
    WHERE s.is_told AND $6::text IS NULL
), answer AS (
    SELECT t.key, t.state, t.row, CASE WHEN t.state = 'unknown' THEN t.why END AS why FROM told AS t
    UNION ALL
    SELECT NULL, 'present', u.row::jsonb, NULL
    FROM (SELECT c.row, sum(c.n) AS n FROM uncounted AS c GROUP BY c.row HAVING sum(c.n) > 0
          ORDER BY c.row) AS u
    CROSS JOIN LATERAL generate_series(1, u.n)
)
