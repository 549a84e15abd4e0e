expired AS MATERIALIZED (
    -- What retention has dropped.
    SELECT max(g.to_position - 1) AS up_to, max(coalesce(g.kept_since, g.detected_at)) AS kept_since
    FROM bemi.gaps AS g
    WHERE g.slot = $1::text AND g.to_position > g.from_position AND g.kind = 'expired'
), events AS MATERIALIZED (
    SELECT e.*, row_number() OVER w AS nr,
           e.columns IS NOT NULL AND e.columns IS DISTINCT FROM lag(e.columns) OVER w AS is_reshaped,
           -- Whether a name is another column's.
           EXISTS (SELECT FROM jsonb_to_recordset(e.columns) AS n (number integer, name text)
                   JOIN jsonb_to_recordset(e.columns_before) AS o (number integer, name text)
                     ON o.name = n.name AND o.number <> n.number OR o.number = n.number AND o.name <> n.name)
               AS is_renamed,
           CASE WHEN e.is_open THEN lag(e.key) OVER w END AS key_before
    FROM (
        SELECT t.columns_before, t.ordinal, t.committed_at, t.event, t.identity, t.key_columns, t.columns,
               -- What a table is behind a gap holds since its end; where it was altered behind it, nobody
               -- knows what it was in between.
               CASE WHEN t.event = 'tracked' AND t.was_open THEN coalesce(g.gap_end, t.commit_position)
                    ELSE t.commit_position END AS commit_position,
               CASE WHEN t.event = 'tracked' AND t.was_open AND g.gap_end IS NOT NULL THEN 0
                    ELSE t.sequence END AS sequence,
               t.rewritten OR t.event = 'altered' AND g.gap_end IS NOT NULL AS rewritten,
               t.is_open,
               CASE WHEN t.is_here AND t.event NOT IN ('untracked', 'dropped')
                    THEN '{"reason": "incomplete", "columns": []}'::jsonb
                    ELSE '{"reason": "not_tracked"}'::jsonb END AS why_closed,
               CASE WHEN t.columns IS NOT NULL THEN jsonb_build_array(t.relation, (
                    SELECT jsonb_agg(jsonb_build_array(c -> 'number', c -> 'type') ORDER BY k.nr)
                    FROM unnest(t.key_columns) WITH ORDINALITY AS k (name, nr)
                    JOIN jsonb_array_elements(t.columns) AS c ON c ->> 'name' = k.name)) END AS key
        FROM (
            SELECT w.*, lag(w.columns) OVER p AS columns_before, lag(w.is_open) OVER p AS was_open,
                   lag(w.commit_position) OVER p AS position_before
            FROM (
                SELECT n.*, n.is_here AND n.event NOT IN ('untracked', 'dropped')
                           AND n.identity IS DISTINCT FROM 'none' AS is_open
                FROM (
                    SELECT o.*, o.schema = $3::text AND o."table" = $4::text AS is_here,
                           lag(o.schema = $3::text AND o."table" = $4::text) OVER (
                               PARTITION BY o.relation
                               ORDER BY o.commit_position, o.sequence, o.ordinal) AS was_here
                    FROM bemi.table_events AS o
                    WHERE o.slot = $1::text AND o.relation IN (
                        SELECT n.relation FROM bemi.table_events AS n
                        WHERE n.slot = $1::text AND n.schema = $3::text AND n."table" = $4::text)
                ) AS n
                WHERE n.is_here OR n.was_here
            ) AS w
            WINDOW p AS (ORDER BY w.commit_position, w.sequence, w.ordinal)
        ) AS t
        CROSS JOIN LATERAL (
            SELECT max(g.to_position - 1) AS gap_end FROM bemi.gaps AS g
            WHERE g.slot = $1::text AND g.to_position > g.from_position AND g.kind = 'lost'
              AND g.to_position - 1 <= t.commit_position AND g.to_position - 1 > t.position_before
        ) AS g
    ) AS e
    WINDOW w AS (ORDER BY e.commit_position, e.sequence, e.ordinal)
), holes AS MATERIALIZED (
    -- Before the record: up to the first event, or, where there is none, the first change.
    SELECT -1::bigint AS from_position, 0::bigint AS from_sequence,
           b.commit_position AS to_position, b.sequence AS to_sequence,
           '{"reason": "before_record"}'::jsonb AS reason
    FROM (
        SELECT f.*
        FROM (
            (SELECT e.commit_position, e.sequence FROM events AS e WHERE e.is_open ORDER BY e.nr LIMIT 1)
            UNION ALL
            (SELECT c.commit_position, c.sequence - 1 FROM {changes} AS c
             WHERE c."table" = $4::text AND c.schema = $3::text AND c.database = $2::text
               AND NOT EXISTS (SELECT FROM events)
             ORDER BY c.committed_at, c.id LIMIT 1)
            UNION ALL
            SELECT 9223372036854775807, 0
        ) AS f
        ORDER BY f.commit_position, f.sequence LIMIT 1
    ) AS b
    UNION ALL
    SELECT e.commit_position, e.sequence, coalesce(n.commit_position, 9223372036854775807),
           coalesce(n.sequence, 0), e.why_closed
    FROM events AS e
    LEFT JOIN LATERAL (
        SELECT o.commit_position, o.sequence FROM events AS o
        WHERE o.is_open AND o.nr > e.nr ORDER BY o.nr LIMIT 1) AS n ON true
    WHERE NOT e.is_open
    UNION ALL
    -- Another key, or another table of that name: what was known by the key is of other rows.
    SELECT e.commit_position, e.sequence, e.commit_position, e.sequence,
           jsonb_build_object('reason', 'rewritten', 'commit_position', e.commit_position)
    FROM events AS e
    WHERE e.is_open AND e.key_before IS NOT NULL AND e.key <> e.key_before
    UNION ALL
    -- Lost are transactions that committed at the first position or behind it, and before the other one.
    SELECT g.from_position, -1, g.to_position - 1, 0,
           jsonb_build_object('reason', 'gap', 'from', g.from_position, 'to', g.to_position)
    FROM bemi.gaps AS g
    WHERE g.slot = $1::text AND g.to_position > g.from_position AND g.kind = 'lost'
    UNION ALL
    -- Of what has expired, the last transaction is gone, too, with all that was in it.
    SELECT 0, -1, x.up_to, 9223372036854775807,
           jsonb_build_object('reason', 'expired', 'up_to', x.up_to, 'kept_since',
                              to_char(x.kept_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
    FROM expired AS x
    WHERE x.up_to IS NOT NULL
    UNION ALL
    SELECT q.commit_position, q.sequence - 1, q.commit_position, q.sequence,
           jsonb_build_object('reason', 'quarantined', 'commit_position', q.commit_position)
    FROM bemi.quarantine AS q
    WHERE q.slot = $1::text AND (q."table" IS NULL OR q."table" = $4::text AND q.schema = $3::text)
), shape AS MATERIALIZED (
    -- What the columns are behind a gap is not known from before it.
    SELECT CASE WHEN NOT EXISTS (
               SELECT FROM bemi.gaps AS g
               WHERE g.slot = $1::text AND g.to_position > g.from_position AND g.kind = 'lost'
                 AND g.to_position - 1 > e.commit_position AND g.from_position <= $5::text::bigint)
           THEN e.columns END AS columns, e.key_columns
    FROM events AS e
    WHERE e.columns IS NOT NULL AND e.commit_position <= $5::text::bigint
    ORDER BY e.nr DESC LIMIT 1
), keyed AS MATERIALIZED (
    SELECT coalesce((SELECT cardinality(s.key_columns) > 0 FROM shape AS s),
                    EXISTS (SELECT FROM {changes} AS c
                            WHERE c."table" = $4::text AND c.primary_key IS NOT NULL
                              AND c.schema = $3::text AND c.database = $2::text)) AS is_keyed
), bounds AS MATERIALIZED (
    SELECT k.is_keyed,
           -- What is known of a row at a place tells about the point only behind the floor, and up to
           -- the ceiling.
           coalesce(f.to_position, -1) AS floor_position, coalesce(f.to_sequence, 0) AS floor_sequence,
           coalesce(f.reason, '{"reason": "before_record"}') AS floor_reason,
           coalesce(c.from_position, 9223372036854775807) AS ceiling_position,
           coalesce(c.from_sequence, 0) AS ceiling_sequence,
           -- Where the table was last emptied.
           l.commit_position AS cleared_position, l.sequence AS cleared_sequence,
           coalesce((l.commit_position, l.sequence)
                    >= (coalesce(f.to_position, -1), coalesce(f.to_sequence, 0)), false) AS is_cleared,
           -- Where values changed that are in no change of a row, last before the point and first behind it.
           coalesce(r.commit_position, -1) AS rewritten_position, coalesce(r.sequence, 0) AS rewritten_sequence,
           coalesce(n.commit_position, 9223372036854775807) AS rewriting_position,
           coalesce(n.sequence, 0) AS rewriting_sequence,
           -- Since when the columns are those of the point, and until when.
           (SELECT s.columns FROM shape AS s) AS columns,
           coalesce(s.commit_position, -1) AS shaped_position, coalesce(s.sequence, 0) AS shaped_sequence,
           coalesce(t.commit_position, 9223372036854775807) AS reshaped_position,
           coalesce(t.sequence, 0) AS reshaped_sequence
    FROM keyed AS k
    LEFT JOIN LATERAL (
        SELECT h.to_position, h.to_sequence, h.reason
        FROM (
            SELECT o.to_position, o.to_sequence, o.reason FROM holes AS o
            WHERE o.from_position <= $5::text::bigint
            UNION ALL
            (SELECT u.commit_position, u.sequence,
                    jsonb_build_object('reason', 'key_untold', 'commit_position', u.commit_position)
             FROM {changes} AS u
             WHERE k.is_keyed AND u."table" = $4::text AND u.primary_key IS NULL
               AND u.commit_position <= $5::text::bigint
               AND u.schema = $3::text AND u.database = $2::text
               AND u.operation NOT IN ('TRUNCATE', 'DDL')
             ORDER BY u.commit_position DESC, u.sequence DESC LIMIT 1)
        ) AS h
        ORDER BY h.to_position DESC, h.to_sequence DESC LIMIT 1) AS f ON true
    LEFT JOIN LATERAL (
        SELECT h.from_position, h.from_sequence
        FROM (
            SELECT o.from_position, o.from_sequence FROM holes AS o
            WHERE o.to_position > $5::text::bigint
            UNION ALL
            (SELECT u.commit_position, u.sequence - 1 FROM {changes} AS u
             WHERE k.is_keyed AND u."table" = $4::text AND u.primary_key IS NULL
               AND u.commit_position > $5::text::bigint
               AND u.schema = $3::text AND u.database = $2::text
               AND u.operation NOT IN ('TRUNCATE', 'DDL')
             ORDER BY u.commit_position, u.sequence LIMIT 1)
            UNION ALL
            (SELECT u.commit_position, u.sequence FROM {changes} AS u
             WHERE u."table" = $4::text AND u.operation = 'TRUNCATE'
               AND u.commit_position > $5::text::bigint
               AND u.schema = $3::text AND u.database = $2::text
             ORDER BY u.commit_position, u.sequence LIMIT 1)
        ) AS h
        ORDER BY h.from_position, h.from_sequence LIMIT 1) AS c ON true
    LEFT JOIN LATERAL (
        SELECT h.commit_position, h.sequence
        FROM (
            SELECT e.commit_position, e.sequence::bigint FROM events AS e
            WHERE e.event = 'created' AND e.commit_position <= $5::text::bigint
            UNION ALL
            (SELECT u.commit_position, u.sequence FROM {changes} AS u
             WHERE u."table" = $4::text AND u.operation = 'TRUNCATE'
               AND u.commit_position <= $5::text::bigint
               AND u.schema = $3::text AND u.database = $2::text
             ORDER BY u.commit_position DESC, u.sequence DESC LIMIT 1)
        ) AS h
        ORDER BY h.commit_position DESC, h.sequence DESC LIMIT 1) AS l ON true
    LEFT JOIN LATERAL (
        SELECT e.commit_position, e.sequence FROM events AS e
        WHERE e.rewritten AND e.commit_position <= $5::text::bigint
        ORDER BY e.nr DESC LIMIT 1) AS r ON true
    LEFT JOIN LATERAL (
        SELECT e.commit_position, e.sequence FROM events AS e
        WHERE e.rewritten AND e.commit_position > $5::text::bigint
        ORDER BY e.nr LIMIT 1) AS n ON true
    LEFT JOIN LATERAL (
        SELECT e.commit_position, e.sequence FROM events AS e
        WHERE e.is_reshaped AND e.commit_position <= $5::text::bigint
        ORDER BY e.nr DESC LIMIT 1) AS s ON true
    LEFT JOIN LATERAL (
        SELECT e.commit_position, e.sequence FROM events AS e
        WHERE e.is_reshaped AND e.commit_position > $5::text::bigint
        ORDER BY e.nr LIMIT 1) AS t ON true
), since AS MATERIALIZED (
    -- From where on the rows of a table without a key can be counted: it was empty, or all its rows were
    -- stored at once.
    SELECT n.commit_position, n.sequence,
           (n.commit_position, n.sequence) >= (b.floor_position, b.floor_sequence)
               AND (n.commit_position, n.sequence) >= (b.rewritten_position, b.rewritten_sequence)
               AND NOT EXISTS (
                   SELECT FROM {changes} AS c
                   WHERE c."table" = $4::text AND c.primary_key IS NULL
                     AND c.commit_position <= $5::text::bigint
                     AND (c.commit_position, c.sequence) > (n.commit_position, n.sequence)
                     AND c.operation IN ('UPDATE', 'DELETE') AND NOT c.before_complete
                     AND c.schema = $3::text AND c.database = $2::text) AS is_told
    FROM bounds AS b
    CROSS JOIN LATERAL (
        SELECT p.commit_position, p.sequence
        FROM (
            SELECT b.cleared_position AS commit_position, b.cleared_sequence AS sequence
            UNION ALL
            (SELECT c.commit_position, 0 FROM {changes} AS c
             WHERE c."table" = $4::text AND c.primary_key IS NULL AND c.operation = 'SNAPSHOT'
               AND c.commit_position <= $5::text::bigint
               AND c.schema = $3::text AND c.database = $2::text
             ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1)
            UNION ALL
            SELECT f.position, 0 FROM bemi.backfill AS f
            WHERE f.slot = $1::text AND f.schema = $3::text AND f."table" = $4::text
              AND f.finished_at IS NOT NULL AND f.began_at_position = f.position
              AND f.position <= $5::text::bigint
        ) AS p
        WHERE p.commit_position IS NOT NULL
        ORDER BY p.commit_position DESC, p.sequence DESC LIMIT 1
    ) AS n
    WHERE NOT b.is_keyed
), known AS MATERIALIZED (
    -- Whether nothing is missing among the rows: a key that the record never had is of no row, since the
    -- table was empty once, or all its rows were stored, and no hole is between there and the point.
    SELECT CASE WHEN b.is_keyed THEN b.is_cleared OR f.position IS NOT NULL
                ELSE coalesce((SELECT s.is_told FROM since AS s), false) END AS is_complete,
           -- Where the rows were stored, if that is behind the point.
           CASE WHEN f.position > $5::text::bigint THEN f.position END AS read_position
    FROM bounds AS b
    LEFT JOIN bemi.backfill AS f
        ON f.slot = $1::text AND f.schema = $3::text AND f."table" = $4::text
       AND f.finished_at IS NOT NULL AND f.began_at_position IS NOT NULL
       AND (f.began_at_position > $5::text::bigint
            OR (b.floor_position, b.floor_sequence) <= (f.began_at_position, 0))
       AND (f.position <= $5::text::bigint OR b.ceiling_position > f.position)
)
