(SELECT v.columns FROM events AS v
 WHERE v.columns IS NOT NULL
   AND (v.commit_position, v.sequence) < ({at}.commit_position, {at}.sequence)
 ORDER BY v.nr DESC LIMIT 1)
