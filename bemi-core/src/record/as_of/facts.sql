SELECT b.is_keyed, k.is_complete, b.ceiling_position, b.ceiling_position = 9223372036854775807 AS is_open,
       s.commit_position AS settled_position, s.sequence AS settled_sequence,
       CASE WHEN b.is_cleared THEN b.cleared_position END AS cleared_position,
       CASE WHEN b.is_cleared THEN b.cleared_sequence END AS cleared_sequence
FROM bounds AS b
CROSS JOIN known AS k
CROSS JOIN LATERAL (
    -- Behind all of these, a change tells the row as it is, and nothing else is to be looked at.
    SELECT p.commit_position, p.sequence
    FROM (VALUES (b.floor_position, b.floor_sequence),
                 (coalesce(b.cleared_position, -1), coalesce(b.cleared_sequence, 0)),
                 (b.rewritten_position, b.rewritten_sequence),
                 (b.shaped_position, b.shaped_sequence)) AS p (commit_position, sequence)
    ORDER BY p.commit_position DESC, p.sequence DESC LIMIT 1
) AS s
