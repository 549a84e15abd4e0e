
    SELECT date_trunc(per, c.committed_at), w.who, c.schema, c."table", c.operation, count(*),
           count(DISTINCT c.commit_position)
    FROM {changes} AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(c.context ->> by, c.context #>> string_to_array(by, '.'))) AS w (who)
    WHERE c.committed_at >= since AND c.committed_at < until AND c.operation <> 'SNAPSHOT'
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 3, 4, 5
