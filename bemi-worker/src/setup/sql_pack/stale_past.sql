
    WITH made AS (
        SELECT c.relname::text AS view, obj_description(c.oid, 'pg_class') AS description
        FROM pg_class c
        WHERE c.relnamespace = to_regnamespace('bemi_past') AND c.relkind = 'v'
          AND obj_description(c.oid, 'pg_class') LIKE '%Made by bemi.refresh_past()%'
    )
    SELECT coalesce(w.view, m.view)
    FROM bemi.wanted_past() w FULL JOIN made m ON m.view = w.view
    WHERE m.description IS DISTINCT FROM w.description
    ORDER BY 1
