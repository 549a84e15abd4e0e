
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'ZB001',
        MESSAGE = CASE WHEN why IS NULL
            THEN format('bemi: the record does not have all rows of %I.%I as of %s', schema, "table", at)
            ELSE format('bemi: the record does not tell the row %s of %I.%I as of %s: %s', key, schema, "table",
                        at, bemi.reason(why)) END,
        HINT = 'bemi.rows_as_of tells what is known, bemi.coverage how far back the record goes; bemi-worker '
               'backfill stores rows that were there before.';
END
