SELECT coalesce(jsonb_object_agg(p.name, CASE WHEN h.number IS NULL THEN a.missing
                                              ELSE {row} -> h.name END)
                    FILTER (WHERE CASE WHEN h.number IS NULL THEN NOT p.generated AND NOT a.is_unknown
                                       ELSE {row} ? h.name END), '{}') AS row,
       array_agg(p.name ORDER BY p.number)
           FILTER (WHERE h.number IS NULL AND NOT p.generated AND a.is_unknown) AS lacking
FROM jsonb_to_recordset(b.columns) AS p (number integer, name text, generated boolean)
LEFT JOIN jsonb_to_recordset({columns}) AS h (number integer, name text) ON h.number = p.number
LEFT JOIN LATERAL (
    {added}
) AS a ON h.number IS NULL
HAVING b.columns IS NOT NULL AND count(h.number) > 0
