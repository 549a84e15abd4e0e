c.commit_position > $5::text::bigint AND c.operation <> 'SNAPSHOT'
      AND (c.commit_position, c.sequence) <= (b.ceiling_position, b.ceiling_sequence)
      AND (c.commit_position, c.sequence) <= (b.rewriting_position, b.rewriting_sequence)
      AND (c.commit_position, c.sequence)
          < (coalesce(z.commit_position, k.read_position + 1, 9223372036854775807), coalesce(z.sequence, 0))
