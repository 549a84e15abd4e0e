
-- The slot that the setting bemi.slot names; else the only one, or the one that reads this database.
DECLARE
    wanted CONSTANT text := nullif(current_setting('bemi.slot', true), '');
    candidates bemi.checkpoint[];
    here bemi.checkpoint[];
BEGIN
    SELECT array_agg(c ORDER BY c.slot), array_agg(c ORDER BY c.slot) FILTER (WHERE bemi.is_here(c))
    INTO candidates, here
    FROM bemi.checkpoint c WHERE c.slot = wanted OR wanted IS NULL;
    IF cardinality(candidates) = 1 THEN
        RETURN candidates[1];
    ELSIF cardinality(here) = 1 THEN
        RETURN here[1];
    ELSIF candidates IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('bemi: bemi.checkpoint has no slot%s', ' ' || wanted),
            HINT = 'Run bemi-worker setup, or RESET bemi.slot.';
    END IF;
    RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('bemi: several slots are stored here: %s',
                         (SELECT string_agg(c.slot, ', ') FROM unnest(candidates) AS c)),
        HINT = 'Say whose changes it is about: SET bemi.slot = ''…''.';
END
