
    SELECT format($do$DO %L$do$, format($check$
DECLARE
    reference record;
    is_there boolean;
BEGIN
    FOR reference IN
        SELECT (SELECT format('%%I.%%I', n.nspname, r.relname) FROM pg_catalog.pg_class AS r
                JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace WHERE r.oid = f.conrelid) AS of,
               (SELECT string_agg(format('c.%%I = k.%%I', own.attname, other.attname), ' AND ')
                FROM unnest(f.conkey, f.confkey) AS pair (own, other)
                JOIN pg_catalog.pg_attribute AS own ON own.attrelid = f.conrelid AND own.attnum = pair.own
                JOIN pg_catalog.pg_attribute AS other ON other.attrelid = f.confrelid AND other.attnum = pair.other)
               AS refers
        FROM pg_catalog.pg_constraint AS f
        WHERE f.contype = 'f' AND f.confrelid = %2$L::regclass AND f.confdeltype IN ('c', 'n', 'd')
          AND f.conparentid = 0
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %%s AS c, jsonb_populate_recordset(NULL::%%s, $1) AS k '
                       'WHERE %%s AND to_jsonb(c.*) NOT IN (SELECT e FROM jsonb_array_elements($2 -> %%L) AS e))',
                       reference.of, %2$L, reference.refers, reference.of)
        INTO is_there USING %1$L::jsonb, %3$L::jsonb;
        IF is_there THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('bemi: rows of %%s refer to what is to be deleted, and would be changed with it',
                                 reference.of);
        END IF;
    END LOOP;
END
$check$, deleted, format('%I.%I', schema, "table"), touched))
