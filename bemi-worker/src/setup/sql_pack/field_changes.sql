
    SELECT h.committed_at, h.operation, f.name, h.before -> f.name, h.after -> f.name, h.context, h.id
    FROM bemi.history($1, $2) AS h
    CROSS JOIN LATERAL jsonb_object_keys(CASE h.operation WHEN 'DELETE' THEN h.before ELSE h.after END)
        AS f (name)
    -- As texts: 1.0 is another value than 1.00.
    WHERE h.operation <> 'UPDATE' OR (h.before -> f.name)::text IS DISTINCT FROM (h.after -> f.name)::text
    ORDER BY h.commit_position DESC, h.sequence DESC, f.name
