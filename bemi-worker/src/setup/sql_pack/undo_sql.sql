
DECLARE
    followed CONSTANT bemi.checkpoint := bemi.followed_slot();
    named CONSTANT text[] := bemi.table_named("table");
    committed CONSTANT bigint := CASE WHEN transaction IS NOT NULL THEN
        (SELECT max(c.commit_position) FROM {changes} AS c
         WHERE c.transaction_id = undo_sql.transaction AND c.operation <> 'SNAPSHOT'
           AND c.database = followed.database) END;
    step record;
    -- The statement that each change is part of: what came of one transaction goes together, as far as no
    -- row comes a second time, since foreign keys are checked at the end of a statement.
    statements bigint[] := '{}';
    ids jsonb := '[]';
BEGIN
    IF change IS NULL AND transaction IS NULL AND coalesce(context, '{}') = '{}' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'bemi: nothing says what is to be undone',
            HINT = 'Name a change, a transaction, or what the context has: '
                   'bemi.undo_sql(context => ''{"request_id": "…"}'').';
    END IF;
    IF transaction IS NOT NULL AND committed IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'ZB003',
            MESSAGE = format('bemi: transaction %s is not in the record', transaction);
    END IF;
    FOR step IN
        WITH steps AS MATERIALIZED (
            SELECT s.* FROM bemi.to_undo(followed.database, change, committed, context, since, until, named) AS s
        ), seen AS (
            SELECT p.place, max(p.last) AS last
            FROM (SELECT s.place, lag(s.place) OVER (PARTITION BY s.commit_position, s.schema, s."table", n
                                                     ORDER BY s.place) AS last
                  FROM steps AS s CROSS JOIN LATERAL unnest(s.names) AS n) AS p
            GROUP BY p.place
        )
        SELECT s.place, s.id, s.schema, s."table", s.primary_key, s.problem, n.last,
               s.commit_position = lag(s.commit_position) OVER w AS goes_on
        FROM steps AS s LEFT JOIN seen AS n USING (place)
        WINDOW w AS (ORDER BY s.place)
        ORDER BY s.place
    LOOP
        IF step.problem IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = 'ZB001',
                MESSAGE = format('bemi: change %s of %I.%I %s cannot be undone by SQL: %s', step.id, step.schema,
                                 step."table", step.primary_key, step.problem),
                HINT = 'bemi-worker revert says more, and can do more.';
        END IF;
        IF step.goes_on AND coalesce(step.last < statements[step.place - 1], true) THEN
            statements := statements || statements[step.place - 1];
        ELSE
            statements := statements || step.place;
        END IF;
        IF step.place <= 100 THEN
            ids := ids || to_jsonb(step.id);
        END IF;
    END LOOP;
    IF statements = '{}' THEN
        IF change IS NOT NULL AND since IS NULL AND until IS NULL AND context IS NULL AND "table" IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'ZB003',
                MESSAGE = format('bemi: change %s is not in the record, or leaves nothing to undo', change);
        END IF;
        RETURN;
    END IF;
    RETURN QUERY VALUES ('BEGIN'),
        -- As the record spells values.
        ('SET LOCAL TimeZone = ''UTC'''), ('SET LOCAL DateStyle = ''ISO'''),
        ('SET LOCAL IntervalStyle = ''postgres'''), ('SET LOCAL bytea_output = ''hex'''),
        ('SET LOCAL extra_float_digits = 1'),
        (format('SELECT bemi.set_context(%L)', jsonb_strip_nulls(jsonb_build_object(
            'reason', undo_sql.reason, 'revert_of', jsonb_build_object(
                'selection', jsonb_build_object('change', change, 'transaction', transaction, 'context', context,
                                                'since', since, 'until', until, 'table', "table"),
                'count', cardinality(statements), 'changes', ids))))),
        ('SET CONSTRAINTS ALL DEFERRED');
    RETURN QUERY
    WITH steps AS (
        SELECT s.*, statements[s.place] AS statement
        FROM bemi.to_undo(followed.database, change, committed, context, since, until, named) AS s
    ), parts AS (
        SELECT s.statement, s.action, s.schema, s."table", count(*) AS hits,
               row_number() OVER (PARTITION BY s.statement 
                   ORDER BY CASE s.action WHEN 'DELETE' THEN 1 WHEN 'UPDATE' THEN 2 ELSE 3 END, min(s.place)) AS part,
               jsonb_agg(jsonb_strip_nulls(jsonb_build_object('key', s.key)) || jsonb_build_object('was', s.was, 'is', s.is)
                         ORDER BY s.place) AS rows,
               s.key_columns, s.columns
        FROM steps AS s
        GROUP BY s.statement, s.action, s.schema, s."table", s.key_columns, s.columns
    ), sets AS (
        -- The rows that a statement touches, by their tables.
        SELECT t.statement, jsonb_object_agg(t.name, t.rows) AS touched
        FROM (SELECT s.statement, format('%I.%I', s.schema, s."table") AS name, jsonb_agg(s.now) AS rows
              FROM steps AS s WHERE s.action <> 'INSERT' GROUP BY 1, 2) AS t
        GROUP BY t.statement
    ), texts AS (
        SELECT p.statement, 0 AS turn,
               CASE WHEN p.action = 'INSERT' THEN
                   'DO ''BEGIN IF EXISTS (SELECT FROM bemi.column_rules AS r WHERE r.rule = ''''mask'''') THEN '
                   'RAISE EXCEPTION ''''bemi: columns are masked, so a deleted row may not be whole in the record; '
                   'bemi-worker revert knows''''; END IF; END'''
               ELSE bemi.undo_check(p.schema, p."table", jsonb_path_query_array(p.rows, '$[*].was'), e.touched) END AS text
        FROM parts AS p LEFT JOIN sets AS e USING (statement) WHERE p.action IN ('INSERT', 'DELETE')
        UNION
        SELECT p.statement, 1, format('WITH %s SELECT 1 / (%s)::int AS undone',
            string_agg(format('hit_%s AS (%s)', p.part,
                              bemi.undo_statement(p.action, p.schema, p."table", p.key_columns, p.columns, p.rows)),
                       ', ' ORDER BY p.part),
            string_agg(format('(SELECT count(*) FROM hit_%s) = %s', p.part, p.hits), ' AND ' ORDER BY p.part))
        FROM parts AS p GROUP BY p.statement
    )
    SELECT t.text FROM texts AS t ORDER BY t.statement, t.turn, t.text;
    RETURN QUERY VALUES ('COMMIT');
END
