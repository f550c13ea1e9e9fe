-- Does Postgres remember more of the log than there is?

-- name: positions
-- Where every consumer of this or another log stands, and what it applied last. Inbox topics are other logs of another
-- consumer, and say nothing about this one.
SELECT consumer, log_id, log_partition, next_offset, anchor_offset, anchor
FROM storyline.positions
WHERE consumer IN ('live', 'repair') OR consumer LIKE 'rebuild:%%'
ORDER BY consumer, log_id, log_partition;
