
DECLARE
    named CONSTANT text[] := bemi.table_named("table");
    at CONSTANT text := bemi.position_of(point);
    followed CONSTANT bemi.checkpoint := bemi.followed_slot();
BEGIN
    RETURN QUERY
    SELECT t.state, t.row, bemi.reason(t.why)
    FROM bemi.told(followed.slot, followed.database, named[1], named[2], at, jsonb_build_array(key)::text) AS t;
    -- A table without a key has no row of any.
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'absent', NULL::jsonb, NULL::text;
    END IF;
END
