SELECT CASE WHEN p.lacking IS NULL THEN coalesce(p.row, x.row)::text END AS row, x.commit_position, x.sequence, x.n, x.is_baseline
FROM (
    SELECT c.after AS row, c.commit_position, c.sequence, 1 AS n,
           c.operation = 'SNAPSHOT' AS is_baseline FROM {changes} AS c
    WHERE c."table" = $4::text AND c.primary_key = f.key AND {range}
      AND c.operation IN ('CREATE', 'UPDATE', 'SNAPSHOT') AND c.schema = $3::text AND c.database = $2::text
    UNION ALL
    SELECT c.before, c.commit_position, c.sequence, -1, false FROM {changes} AS c
    WHERE c."table" = $4::text AND c.primary_key = f.key AND {range}
      AND c.operation IN ('UPDATE', 'DELETE') AND c.previous_key IS NULL
      AND c.schema = $3::text AND c.database = $2::text
    UNION ALL
    SELECT c.before, c.commit_position, c.sequence, -1, false FROM {changes} AS c
    WHERE c."table" = $4::text AND c.previous_key = f.key AND {range}
      AND c.schema = $3::text AND c.database = $2::text
) AS x
LEFT JOIN LATERAL (
    SELECT s.row, s.lacking FROM ({mapped}) AS s WHERE {is_mapped}
) AS p ON true
