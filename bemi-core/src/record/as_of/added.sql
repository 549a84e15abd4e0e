-- What rows have that were there before the column.
SELECT coalesce((array_agg(w -> 'missing' ORDER BY v.nr))[1], 'null') AS missing,
       coalesce((array_agg((w ->> 'missing_unknown')::boolean ORDER BY v.nr))[1], false) AS is_unknown
FROM events AS v
CROSS JOIN LATERAL jsonb_array_elements(v.columns) AS w
WHERE (w ->> 'number')::integer = p.number
  AND (v.commit_position, v.sequence) >= ({at}.commit_position, {at}.sequence)
