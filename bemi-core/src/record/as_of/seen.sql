-- Ids have 32 bits in the record: those that are not older than the snapshot's end are later than it,
-- unless it was long before.
NOT (c.transaction_id = ANY (live.xip)
     OR c.committed_at >= live.began
        AND (c.transaction_id - live.xmax) & 4294967295 < 2147483648)
