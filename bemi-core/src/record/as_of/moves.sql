SELECT c.after::text AS row, c.sequence, 1 AS n FROM {changes} AS c
WHERE c."table" = $4::text AND c.primary_key = f.key AND c.commit_position = {at}.commit_position
  AND c.operation IN ('CREATE', 'UPDATE') AND c.schema = $3::text AND c.database = $2::text
UNION ALL
SELECT c.before::text, c.sequence, -1 FROM {changes} AS c
WHERE c."table" = $4::text AND c.primary_key = f.key AND c.commit_position = {at}.commit_position
  AND c.operation IN ('UPDATE', 'DELETE') AND c.previous_key IS NULL AND c.before_complete
  AND c.schema = $3::text AND c.database = $2::text
UNION ALL
SELECT c.before::text, c.sequence, -1 FROM {changes} AS c
WHERE c."table" = $4::text AND c.previous_key = f.key AND c.commit_position = {at}.commit_position
  AND c.before_complete AND c.schema = $3::text AND c.database = $2::text
