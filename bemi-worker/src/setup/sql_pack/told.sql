
DECLARE
    facts record;
    undecided text[] := '{}';
BEGIN
    EXECUTE $told${facts}$told$ INTO facts USING slot, database, schema, "table", "position";
    IF NOT facts.is_keyed THEN
        IF keys IS NULL THEN
            RETURN QUERY EXECUTE $told${all}$told$
            USING slot, database, schema, "table", "position", NULL::text, NULL::text, '0'::text, NULL::text;
        END IF;
        RETURN;
    END IF;
    -- Most rows are told by their nearest change alone.
    FOR key, state, "row" IN EXECUTE $told${nearest}$told$
        USING database, schema, "table", "position", keys, NULL::text, jsonb_array_length(keys::jsonb)::text,
              facts.settled_position::text, facts.settled_sequence::text,
              facts.cleared_position::text, facts.cleared_sequence::text,
              facts.shaped_position::text, facts.shaped_sequence::text, facts.reshapings
    LOOP
        CONTINUE WHEN state = 'elsewhere';
        IF state = 'undecided' THEN
            undecided := undecided || key;
        ELSE
            "row" := CASE WHEN state = 'present' THEN "row" END;
            RETURN NEXT;
        END IF;
    END LOOP;
    IF undecided <> '{}' THEN
        RETURN QUERY EXECUTE $told${all}$told$
        USING slot, database, schema, "table", "position", to_jsonb(undecided)::text, NULL::text,
              cardinality(undecided)::text, NULL::text;
    END IF;
END
