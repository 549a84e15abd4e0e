
DECLARE
    named CONSTANT text[] := bemi.table_named("table");
    at CONSTANT text := bemi.position_of(point);
    followed CONSTANT bemi.checkpoint := bemi.followed_slot();
BEGIN
    IF NOT bemi.is_whole(followed.slot, followed.database, named[1], named[2], at) THEN
        RETURN QUERY SELECT NULL::text, 'unknown', NULL::jsonb,
            'rows that were there before the record began and have not changed since are not in it; '
            'bemi-worker backfill stores them';
    END IF;
    RETURN QUERY
    SELECT t.key, t.state, t.row, bemi.reason(t.why)
    FROM bemi.told(followed.slot, followed.database, named[1], named[2], at, NULL) AS t
    WHERE t.state <> 'absent'
    ORDER BY t.key;
END
