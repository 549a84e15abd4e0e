c.commit_position <= $5::text::bigint
      AND (c.commit_position, c.sequence) > (b.floor_position, b.floor_sequence)
      AND (c.commit_position, c.sequence) > (b.rewritten_position, b.rewritten_sequence)
      AND (c.commit_position, c.sequence)
          > (coalesce(b.cleared_position, -1), coalesce(b.cleared_sequence, 0))
      AND NOT EXISTS (
          SELECT FROM {changes} AS s
          WHERE s."table" = $4::text AND s.primary_key = f.key AND s.operation = 'SNAPSHOT'
            AND s.commit_position <= $5::text::bigint
            AND (s.commit_position, s.sequence) > (c.commit_position, c.sequence)
            AND s.schema = $3::text AND s.database = $2::text)