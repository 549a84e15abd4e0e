
DECLARE
    relation CONSTANT oid := to_regclass(format('%I.%I', schema, "table"));
BEGIN
    IF EXISTS (SELECT FROM unnest(columns) AS c (name) WHERE NOT EXISTS (
                   SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = relation AND a.attname = c.name AND NOT a.attisdropped)) THEN
        RAISE undefined_column USING
            MESSAGE = format('bemi: the table %I.%I has other columns than its view in bemi_past', schema, "table"),
            HINT = 'Run SELECT bemi.refresh_past(), or bemi-worker setup.';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT %s FROM bemi.present_rows($1, $2, $3, bemi.position_of($4)) AS p (content)
         CROSS JOIN LATERAL jsonb_populate_record(NULL::%I.%I, p.content) AS r',
        (SELECT string_agg(format('r.%I', c.name), ', ' ORDER BY c.place)
         FROM unnest(columns) WITH ORDINALITY AS c (name, place)),
        schema, "table")
    USING relation, schema, "table", point;
END
