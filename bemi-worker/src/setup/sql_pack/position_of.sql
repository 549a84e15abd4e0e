
DECLARE
    wanted CONSTANT text := btrim(point);
    place CONSTANT text[] := regexp_match(wanted, '^@(before:)?(lsn|tx|change):(.+)$');
    before CONSTANT bigint := (place[1] IS NOT NULL)::int;
    followed bemi.checkpoint;
    seconds numeric;
    instant timestamptz;
    transaction bigint;
    change uuid;
    found_at bigint;
BEGIN
    BEGIN
        CASE
            WHEN place[2] = 'lsn' THEN
                found_at := place[3]::pg_lsn - '0/0'::pg_lsn;
            WHEN place[2] = 'tx' AND place[3] ~ '^[0-9]+$' AND place[3]::numeric < 4294967296 THEN
                transaction := place[3];
            WHEN place[2] = 'change' THEN
                change := place[3];
            WHEN wanted ~ '^-([0-9]+(s|m|min|h|d|w))+$' THEN
                SELECT sum(part[1]::numeric * CASE part[2]
                               WHEN 's' THEN 1 WHEN 'h' THEN 3600 WHEN 'd' THEN 86400 WHEN 'w' THEN 604800
                               ELSE 60 END)
                INTO seconds
                FROM regexp_matches(wanted, '([0-9]+)([a-z]+)', 'g') AS part;
                -- From the transaction's beginning: what it asks one after the other fits together.
                instant := CASE WHEN seconds::bigint < 1e11 THEN now() - seconds::bigint * interval '1 s'
                                ELSE '-infinity' END;
            WHEN wanted !~ '^[-@]' THEN
                instant := wanted::timestamptz;
            ELSE
                RAISE invalid_parameter_value;
        END CASE;
    EXCEPTION WHEN data_exception THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('bemi: ''%s'' is not a point in time', point),
            HINT = 'One looks like 2026-11-21T10:00:00Z, -2h, now, @lsn:0/16B3748, @tx:740, @change:ID or '
                   '@before:tx:740.';
    END;
    IF instant IS NOT NULL THEN
        RETURN bemi.position_of(instant);
    ELSIF found_at IS NOT NULL THEN
        found_at := greatest(found_at - before, 0);
        PERFORM bemi.caught_up(found_at, NULL);
        RETURN found_at;
    END IF;
    followed := bemi.followed_slot();
    FOR attempt IN 1..2 LOOP
        found_at := CASE WHEN change IS NULL THEN
            (SELECT max(c.commit_position) FROM {changes} AS c
             WHERE c.transaction_id = transaction AND c.operation <> 'SNAPSHOT'
               AND c.database = followed.database)
        ELSE
            (SELECT c.commit_position FROM {changes} AS c
             WHERE c.id = change AND c.committed_at >= bemi.moment_of(change)
               AND c.committed_at < bemi.moment_of(change) + interval '1 millisecond')
        END;
        IF found_at IS NOT NULL THEN
            RETURN found_at - before;
        END IF;
        EXIT WHEN NOT bemi.is_here(followed);
        -- It may be on its way.
        PERFORM bemi.caught_up(NULL, 'infinity');
    END LOOP;
    RAISE EXCEPTION USING
        ERRCODE = 'ZB003',
        MESSAGE = format('bemi: %s is not in the record', coalesce('change ' || change, 'transaction ' || transaction));
END
