
    SELECT CASE why ->> 'reason'
        WHEN 'before_record' THEN 'this was before the record began'
        WHEN 'gap' THEN format('changes between %s and %s were lost', '0/0'::pg_lsn + (why ->> 'from')::numeric,
                               '0/0'::pg_lsn + (why ->> 'to')::numeric)
        WHEN 'expired' THEN format('changes up to %s have expired: they are kept since %s',
                                   '0/0'::pg_lsn + (why ->> 'up_to')::numeric, why ->> 'kept_since')
        WHEN 'not_tracked' THEN 'the table was not tracked then'
        WHEN 'key_untold' THEN format('a change of the table at %s does not say of which row it is',
                                      '0/0'::pg_lsn + (why ->> 'commit_position')::numeric)
        WHEN 'quarantined' THEN format('a change of the table at %s is in bemi.quarantine',
                                       '0/0'::pg_lsn + (why ->> 'commit_position')::numeric)
        WHEN 'incomplete' THEN concat('the table''s replica identity does not tell ', coalesce(
            (SELECT string_agg(c, ', ') FROM jsonb_array_elements_text(why -> 'columns') AS c), 'the row'))
        WHEN 'rewritten' THEN format('the table was rewritten at %s, after its last change',
                                     '0/0'::pg_lsn + (why ->> 'commit_position')::numeric)
        ELSE why::text
    END
