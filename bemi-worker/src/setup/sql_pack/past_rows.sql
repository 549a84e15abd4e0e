
DECLARE
    relation CONSTANT oid := to_regclass(format('%I.%I', schema, "table"));
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT %s FROM bemi.present_rows($1, $2, $3, bemi.position_of($4)) AS p (content)
         CROSS JOIN LATERAL jsonb_populate_record(NULL::%I.%I, p.content) AS r',
        (SELECT string_agg(format('r.%I', c.name), ', ' ORDER BY c.place)
         FROM unnest(columns) WITH ORDINALITY AS c (name, place)),
        schema, "table")
    USING relation, schema, "table", point;
END
