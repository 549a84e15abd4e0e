
-- Where nothing is written, nobody could tell a record that is complete from one that lags behind: so
-- the worker is asked, by a heartbeat, for a position behind everything that has committed by now.
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp()
        + coalesce(nullif(current_setting('bemi.wait', true), ''), '10 s')::interval;
    followed bemi.checkpoint := bemi.followed_slot();
BEGIN
    IF position_wanted IS NULL AND instant_wanted IS NULL THEN
        RETURN followed;
    END IF;
    IF bemi.is_here(followed)
       AND NOT coalesce(followed.position >= position_wanted, followed.committed_at > instant_wanted, false)
    THEN
        -- Whatever commits from here on commits later than any instant of the past.
        position_wanted := greatest(position_wanted, CASE WHEN pg_is_in_recovery()
            THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn);
        instant_wanted := NULL;
        IF NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean THEN
            IF current_setting('server_version_num')::int >= 170000 THEN
                EXECUTE 'SELECT pg_logical_emit_message(false, ''{heartbeat}'', '''', true)';
            ELSE
                PERFORM pg_logical_emit_message(false, '{heartbeat}', ''),
                        -- Nothing flushes WAL here, but the server soon flushes pages that are full.
                        pg_logical_emit_message(false, '{spacer}', repeat('x', 16384));
            END IF;
        END IF;
    END IF;
    WHILE NOT coalesce(followed.position >= position_wanted, followed.committed_at > instant_wanted, false) LOOP
        IF clock_timestamp() >= deadline THEN
            RAISE EXCEPTION USING
                ERRCODE = 'ZB002',
                MESSAGE = format('bemi: the worker has stored everything up to %s, and the question is about %s',
                                 '0/0'::pg_lsn + followed.position,
                                 coalesce(('0/0'::pg_lsn + position_wanted)::text, instant_wanted::text)),
                HINT = 'Is the worker running? Ask bemi-worker status, or wait longer: SET bemi.wait = ''1 min''.';
        END IF;
        PERFORM pg_sleep(0.01);
        SELECT c.* INTO followed FROM bemi.checkpoint c WHERE c.slot = followed.slot;
    END LOOP;
    RETURN followed;
END
