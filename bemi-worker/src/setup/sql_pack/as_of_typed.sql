
DECLARE
    relation CONSTANT oid := (SELECT t.typrelid FROM pg_type AS t WHERE t.oid = pg_typeof(of_type));
    named pg_class;
BEGIN
    SELECT c.* INTO named FROM pg_class AS c WHERE c.oid = relation AND c.relkind IN ('r', 'p');
    IF named.oid IS NULL OR named.relispartition THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('bemi: %s is not the row of a table that has changes of its own', pg_typeof(of_type)),
            HINT = 'Write SELECT * FROM bemi.as_of(NULL::todos, ''-2h''). What happens in a partition is under the '
                   'partitioned table.';
    END IF;
    RETURN QUERY
    SELECT r.*
    FROM bemi.present_rows(relation, (SELECT n.nspname FROM pg_namespace n WHERE n.oid = named.relnamespace)::text,
                           named.relname::text, at) AS p (content)
    -- Nothing of a row that was given goes into the answer.
    CROSS JOIN LATERAL jsonb_populate_record(CASE WHEN false THEN of_type END, p.content) AS r;
END
