
DECLARE
    followed bemi.checkpoint;
    gap bemi.gaps;
    last_before bigint;
    first_behind bigint;
BEGIN
    IF instant > clock_timestamp() THEN
        followed := bemi.followed_slot();
        RAISE EXCEPTION USING
            ERRCODE = 'ZB002',
            MESSAGE = format('bemi: %s is yet to come, and the worker has stored everything up to %s',
                             instant, '0/0'::pg_lsn + followed.position);
    END IF;
    followed := bemi.caught_up(NULL, instant);
    last_before := coalesce((
        SELECT p.commit_position FROM (
            (SELECT c.committed_at, c.commit_position FROM {changes} AS c
             WHERE c.committed_at = (SELECT l.committed_at FROM {changes} AS l
                                     WHERE l.committed_at <= instant AND l.database = followed.database
                                     ORDER BY l.committed_at DESC LIMIT 1)
               AND c.database = followed.database
             ORDER BY c.commit_position DESC LIMIT 1)
            UNION ALL
            (SELECT e.committed_at, e.commit_position FROM bemi.table_events AS e
             WHERE e.committed_at <= instant AND e.slot = followed.slot
             ORDER BY e.committed_at DESC, e.commit_position DESC LIMIT 1)) AS p
        ORDER BY p.committed_at DESC, p.commit_position DESC LIMIT 1), 0);
    -- What is kept is later than what has expired.
    last_before := greatest(last_before, (
        SELECT max(g.to_position - 1) FROM bemi.gaps g
        WHERE g.slot = followed.slot AND g.to_position > g.from_position AND g.kind = 'expired'
          AND coalesce(g.kept_since, g.detected_at) <= instant));
    IF NOT EXISTS (SELECT FROM bemi.gaps g WHERE g.slot = followed.slot AND g.to_position > g.from_position
                   AND g.kind = 'lost' AND g.from_position >= last_before) THEN
        RETURN last_before;
    END IF;
    first_behind := (
        SELECT p.commit_position FROM (
            (SELECT c.committed_at, c.commit_position FROM {changes} AS c
             WHERE c.committed_at = (SELECT l.committed_at FROM {changes} AS l
                                     WHERE l.committed_at > instant AND l.database = followed.database
                                     ORDER BY l.committed_at LIMIT 1)
               AND c.database = followed.database
             ORDER BY c.commit_position LIMIT 1)
            UNION ALL
            (SELECT e.committed_at, e.commit_position FROM bemi.table_events AS e
             WHERE e.committed_at > instant AND e.slot = followed.slot
             ORDER BY e.committed_at, e.commit_position LIMIT 1)) AS p
        ORDER BY p.committed_at, p.commit_position LIMIT 1);
    -- Between the last transaction before a gap and the first one behind it, it may be anywhere in the gap:
    -- there nothing is known. Once the gap was noticed, it was over.
    FOR gap IN SELECT g.* FROM bemi.gaps g
               WHERE g.slot = followed.slot AND g.to_position > g.from_position AND g.kind = 'lost'
                 AND g.from_position >= last_before
               ORDER BY g.from_position
    LOOP
        EXIT WHEN first_behind < gap.from_position;
        last_before := gap.from_position;
        EXIT WHEN instant < gap.detected_at;
        last_before := gap.to_position - 1;
    END LOOP;
    RETURN last_before;
END
