
DECLARE
    stale text;
    wanted record;
BEGIN
    FOR stale IN SELECT s FROM bemi.stale_past() s LOOP
        PERFORM bemi.drop_past(stale);
        RETURN NEXT stale;
        SELECT w.* INTO wanted FROM bemi.wanted_past() w WHERE w.view = stale;
        CONTINUE WHEN NOT FOUND;
        -- Its path is not pinned: only so is it inlined. All of its names say their schema.
        EXECUTE format('CREATE FUNCTION bemi_past.%I() RETURNS SETOF record LANGUAGE sql STABLE AS %L', stale,
                       format('SELECT %s FROM %I.%I', wanted.names, wanted.schema, wanted."table"));
        EXECUTE format('GRANT EXECUTE ON FUNCTION bemi_past.%I() TO PUBLIC', stale);
        EXECUTE format($view$
            CREATE VIEW bemi_past.%1$I AS
            SELECT * FROM bemi_past.%1$I() AS live (%5$s)
            WHERE coalesce(current_setting('bemi.as_of', true), '') = ''
            UNION ALL
            SELECT * FROM bemi.past_rows(%2$L, %3$L, ARRAY[%4$s],
                                         current_setting('bemi.as_of', true)) AS past (%5$s)
            WHERE coalesce(current_setting('bemi.as_of', true), '') <> ''
            $view$, stale, wanted.schema, wanted."table", wanted.literals, wanted.columns);
        EXECUTE format('GRANT SELECT ON bemi_past.%I TO PUBLIC', stale);
        EXECUTE format('COMMENT ON VIEW bemi_past.%I IS %L', stale, wanted.description);
    END LOOP;
END
