
-- A name that several schemas have is that of the table in public, or of the first one; the others have
-- their schema in front.
BEGIN
    IF to_regclass('bemi.settings') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH published AS (
        SELECT DISTINCT c.oid, n.nspname, c.relname
        FROM bemi.settings s
        JOIN pg_publication p ON p.pubname IN (s.publication, s.publication || '_insert_only')
        JOIN pg_publication_rel m ON m.prpubid = p.oid
        JOIN pg_class c ON c.oid = m.prrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
    ), named AS (
        SELECT DISTINCT ON (chosen) t.oid, t.nspname, t.relname, chosen
        FROM (SELECT p.*, row_number() OVER (PARTITION BY p.relname
                                             ORDER BY p.nspname <> 'public', p.nspname) AS place
              FROM published p) AS t
        CROSS JOIN LATERAL (SELECT CASE WHEN t.place = 1 THEN t.relname
                                        ELSE (t.nspname || '.' || t.relname)::name END) AS c (chosen)
        ORDER BY chosen, t.place
    )
    SELECT n.chosen::text, n.nspname::text, n.relname::text, a.columns, a.names, a.literals,
           format('%I.%I as of the setting bemi.as_of. Made by bemi.refresh_past(): %s',
                  n.nspname, n.relname, a.columns)
    FROM named n
    CROSS JOIN LATERAL (
        SELECT string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                                 CASE WHEN a.attcollation NOT IN (0, t.typcollation)
                                      THEN format(' COLLATE %I.%I', cn.nspname, o.collname) END),
                          ', ' ORDER BY a.attnum) AS columns,
               string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) AS names,
               string_agg(format('%L', a.attname), ', ' ORDER BY a.attnum) AS literals
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_collation o ON o.oid = a.attcollation
        LEFT JOIN pg_namespace cn ON cn.oid = o.collnamespace
        WHERE a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS a
    -- A table without columns has no view.
    WHERE a.columns IS NOT NULL;
END
