
DECLARE
    followed CONSTANT bemi.checkpoint := bemi.followed_slot();
    told jsonb;
    named record;
BEGIN
    FOR named IN
        WITH RECURSIVE names AS (
            -- From one name to the next by the index.
            (SELECT c."table" AS name FROM {changes} AS c ORDER BY c."table" LIMIT 1)
            UNION ALL
            SELECT (SELECT c."table" FROM {changes} AS c WHERE c."table" > n.name ORDER BY c."table" LIMIT 1)
            FROM names AS n WHERE n.name IS NOT NULL
        )
        SELECT e.schema, e."table" FROM bemi.table_events AS e WHERE e.slot = followed.slot
        UNION
        SELECT c.schema, n.name FROM names AS n
        CROSS JOIN LATERAL (SELECT c.schema FROM {changes} AS c
                            WHERE c."table" = n.name AND c.database = followed.database AND c.operation <> 'DDL'
                            LIMIT 1) AS c
        ORDER BY 1, 2
    LOOP
        EXECUTE $told${coverage}$told$ INTO told
        USING followed.slot, followed.database, named.schema, named."table", followed.position::text;
        schema := named.schema;
        "table" := named."table";
        since := (told #>> '{since,at}')::timestamptz;
        -- Where changes tell the whole row before, what was read later tells of what was before.
        complete_since := CASE
            WHEN (told #>> '{whole,was_read}')::boolean AND (told ->> 'is_whole_before')::boolean
                 AND (told #>> '{since,position}')::bigint <= (told #>> '{whole,position}')::bigint
                 AND NOT EXISTS (
                     SELECT FROM jsonb_array_elements(told -> 'holes') AS h
                     WHERE (h ->> 'from')::bigint <= (told #>> '{whole,position}')::bigint
                       AND coalesce((h ->> 'to')::bigint >= (told #>> '{since,position}')::bigint, true))
            THEN since
            ELSE (told #>> '{whole,at}')::timestamptz END;
        identity := told ->> 'identity';
        holes := (SELECT jsonb_agg(jsonb_build_object(
                      'from', '0/0'::pg_lsn + (h ->> 'from')::numeric, 'to', '0/0'::pg_lsn + (h ->> 'to')::numeric,
                      'why', bemi.reason(h -> 'why')))
                  FROM jsonb_array_elements(told -> 'holes') AS h);
        RETURN NEXT;
    END LOOP;
END
