
DECLARE
    parts text[];
    elsewhere text;
BEGIN
    BEGIN
        parts := parse_ident(name);
    EXCEPTION WHEN invalid_parameter_value OR syntax_error THEN
        parts := NULL;
    END;
    IF coalesce(cardinality(parts), 0) NOT IN (1, 2) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('bemi: ''%s'' is not the name of a table', name),
            HINT = 'One looks like todo, sales.orders or "My Table".';
    END IF;
    IF cardinality(parts) = 1 THEN
        parts := ARRAY['public', parts[1]];
    END IF;
    IF EXISTS (SELECT FROM {changes} AS c WHERE c."table" = parts[2] AND c.schema = parts[1])
       OR EXISTS (SELECT FROM bemi.table_events AS e WHERE e."table" = parts[2] AND e.schema = parts[1])
    THEN
        RETURN parts;
    END IF;
    SELECT string_agg(DISTINCT format('%I.%I', c.schema, c."table"), ' or ') INTO elsewhere
    FROM {changes} AS c WHERE c."table" = parts[2];
    RAISE undefined_table USING
        MESSAGE = format('bemi: the record has no table %I.%I', parts[1], parts[2]),
        HINT = coalesce('Do you mean ' || elsewhere || '?',
                        'A name without a schema is one in public; tables that are tracked have a change, '
                        'or an event in bemi.table_events.');
END
