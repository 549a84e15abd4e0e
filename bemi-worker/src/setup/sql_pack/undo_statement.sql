
    SELECT CASE action
        WHEN 'INSERT' THEN format(
            'INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM jsonb_array_elements(%L) AS u (x), '
            'jsonb_populate_record(NULL::%s, u.x -> ''is'') AS v RETURNING 1',
            n.relation, n.columns, n.values, rows, n.relation)
        WHEN 'UPDATE' THEN format(
            'UPDATE %s AS t SET %s FROM jsonb_array_elements(%L) AS u (x), '
            'jsonb_populate_record(NULL::%s, u.x -> ''key'') AS k, jsonb_populate_record(NULL::%s, u.x -> ''is'') AS v '
            'WHERE %s RETURNING 1', n.relation, n.assigned, rows, n.relation, n.relation, n.meant)
        WHEN 'DELETE' THEN format(
            'DELETE FROM %s AS t USING jsonb_array_elements(%L) AS u (x), '
            'jsonb_populate_record(NULL::%s, u.x -> ''key'') AS k WHERE %s RETURNING 1',
            n.relation, rows, n.relation, n.meant)
    END
    FROM (SELECT format('%I.%I', schema, "table") AS relation,
                 (SELECT string_agg(format('%I', c), ', ') FROM unnest(columns) AS c) AS columns,
                 (SELECT string_agg(format('v.%I', c), ', ') FROM unnest(columns) AS c) AS values,
                 (SELECT string_agg(format('%I = v.%I', c, c), ', ') FROM unnest(columns) AS c) AS assigned,
                 concat((SELECT string_agg(format('t.%I = k.%I AND ', c, c), '') FROM unnest(key_columns) AS c),
                        -- As texts: 1.0 is another value than 1.00.
                        'NOT EXISTS (SELECT FROM jsonb_each(u.x -> ''was'') AS w '
                        'WHERE (to_jsonb(t.*) -> w.key)::text IS DISTINCT FROM w.value::text)') AS meant) AS n
