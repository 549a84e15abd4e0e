SELECT json_build_object(
    'since', (SELECT json_build_object('position', greatest(h.to_position, x.up_to), 'at', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
              FROM holes AS h
              CROSS JOIN expired AS x
              LEFT JOIN LATERAL (SELECT CASE WHEN x.up_to >= h.to_position THEN x.kept_since ELSE coalesce(
                      (SELECT v.committed_at FROM events AS v WHERE v.commit_position = h.to_position LIMIT 1),
                      (SELECT c.committed_at FROM {changes} AS c
                       WHERE c.commit_position = h.to_position AND c.database = $2::text LIMIT 1)) END AS at) AS e ON true
              WHERE h.from_position = -1 AND h.to_position < 9223372036854775807),
    'whole', (SELECT json_build_object('position', w.position, 'at', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'was_read', w.was_read)
              FROM (
                  SELECT e.commit_position AS position, false AS was_read FROM events AS e
                  WHERE e.event = 'created'
                    AND e.commit_position > coalesce((SELECT x.up_to FROM expired AS x), -1)
                  UNION ALL
                  (SELECT c.commit_position, false FROM {changes} AS c
                   WHERE c."table" = $4::text AND c.operation = 'TRUNCATE'
                     AND c.commit_position > coalesce((SELECT x.up_to FROM expired AS x), -1)
                     AND c.schema = $3::text AND c.database = $2::text
                   ORDER BY c.commit_position LIMIT 1)
                  UNION ALL
                  SELECT f.position, true FROM bemi.backfill AS f
                  WHERE f.slot = $1::text AND f.schema = $3::text AND f."table" = $4::text
                    AND f.finished_at IS NOT NULL AND f.began_at_position IS NOT NULL
                    AND f.began_at_position > coalesce((SELECT x.up_to FROM expired AS x), -1)
              ) AS w
              LEFT JOIN LATERAL (SELECT coalesce(
                      (SELECT v.committed_at FROM events AS v WHERE v.commit_position = w.position LIMIT 1),
                      (SELECT c.committed_at FROM {changes} AS c
                       WHERE c.commit_position = w.position AND c.database = $2::text LIMIT 1)) AS at) AS e ON true
              ORDER BY w.position LIMIT 1),
    'identity', (SELECT e.identity FROM events AS e WHERE e.is_open ORDER BY e.nr DESC LIMIT 1),
    'is_whole_before', NOT EXISTS (SELECT FROM events AS e
                                   WHERE e.identity <> 'full' OR cardinality(e.key_columns) = 0)
                       AND EXISTS (SELECT FROM events AS e WHERE e.identity = 'full'),
    'holes', (SELECT coalesce(json_agg(json_build_object(
                  'from', h.from_position,
                  'to', nullif(h.to_position, 9223372036854775807), 'why', h.reason)
                  ORDER BY h.from_position, h.to_position), '[]')
              FROM (
                  SELECT o.from_position, o.to_position, o.reason FROM holes AS o
                  WHERE o.from_position >= 0
                    AND (o.from_position, o.from_sequence) <> (o.to_position, o.to_sequence)
                  UNION ALL
                  SELECT e.commit_position, e.commit_position,
                         jsonb_build_object('reason', 'rewritten', 'commit_position', e.commit_position)
                  FROM events AS e
                  WHERE e.rewritten OR e.is_open AND e.key_before IS NOT NULL AND e.key <> e.key_before
                  UNION ALL
                  (SELECT c.commit_position, c.commit_position,
                         jsonb_build_object('reason', 'key_untold', 'commit_position', c.commit_position)
                  FROM {changes} AS c CROSS JOIN bounds AS b
                  WHERE b.is_keyed AND c."table" = $4::text AND c.primary_key IS NULL
                    AND c.operation NOT IN ('TRUNCATE', 'DDL')
                    AND c.schema = $3::text AND c.database = $2::text
                  ORDER BY c.commit_position DESC LIMIT 1)
              ) AS h))::text
