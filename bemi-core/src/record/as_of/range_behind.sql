c.commit_position > $5::text::bigint AND c.operation <> 'SNAPSHOT'
      AND (c.commit_position, c.sequence) <= (b.ceiling_position, b.ceiling_sequence)
      AND (c.commit_position, c.sequence) <= (b.rewriting_position, b.rewriting_sequence)