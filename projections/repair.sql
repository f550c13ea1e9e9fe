-- How is a log that lost records given them back from the timeline, which holds every record byte for byte?

-- name: try_lock
-- One repair at a time, for as long as this session lives.
SELECT pg_try_advisory_lock(7053081092);

-- name: patience
-- The transaction that holds the positions is idle while the log is mended, for as long as that takes.
SET idle_in_transaction_session_timeout = 0;

-- name: hold
-- Nobody moves or takes these positions before this transaction ends: projectors wait, and are refused afterwards.
SELECT consumer, log_id, log_partition FROM storyline.positions
WHERE consumer = 'live' OR consumer LIKE 'rebuild:%%'
ORDER BY consumer, log_id, log_partition FOR UPDATE;

-- name: live
-- Where the live tables stand on this log.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'live' AND log_id = %(log_id)s;

-- name: begun
-- From where a repair that was cut off wanted each partition to be read again.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'repair' AND log_id = %(log_id)s;

-- name: begin
-- Remember from where each partition has to be read again, before anything is changed: rows that were put back look
-- as if nothing had ever been wrong with them.
INSERT INTO storyline.positions (consumer, log_id, log_partition, next_offset)
SELECT 'repair', %(log_id)s, floor.log_partition, floor.next_offset
FROM unnest(%(partitions)s::integer[], %(floors)s::bigint[]) AS floor (log_partition, next_offset)
ON CONFLICT (consumer, log_id, log_partition)
DO UPDATE SET next_offset = least(positions.next_offset, excluded.next_offset), moved_at = now();

-- name: partitions
-- In which partitions are there rows, and up to where?
SELECT log_partition, max(log_offset), count(*) FROM timeline.events GROUP BY log_partition ORDER BY log_partition;

-- name: page_below
-- Rows of a partition from the newest down.
SELECT name, log_offset, sha256(record), octet_length(record) FROM timeline.events
WHERE log_partition = %(partition)s AND (log_offset, name) < (%(offset)s, %(name)s)
ORDER BY log_offset DESC, name DESC LIMIT %(limit)s;

-- name: page_above
-- Rows of a partition from the oldest up.
SELECT name, log_offset, sha256(record), octet_length(record) FROM timeline.events
WHERE log_partition = %(partition)s AND (log_offset, name) > (%(offset)s, %(name)s) AND log_offset <= %(last)s
ORDER BY log_offset, name LIMIT %(limit)s;

-- name: records
-- The records of these rows, byte for byte.
SELECT name, record FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);

-- name: in_hole
-- The rows that stood in a stretch of offsets.
SELECT log_offset, record FROM timeline.events
WHERE log_partition = %(partition)s AND log_offset >= %(first)s AND log_offset < %(end)s
ORDER BY log_offset;

-- name: moved
-- Rows stand where their records were put.
UPDATE timeline.events AS e SET log_partition = place.log_partition, log_offset = place.log_offset
FROM unnest(%(names)s::uuid[], %(old)s::bigint[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS place (name, old_offset, log_partition, log_offset)
WHERE e.name = place.name AND e.log_partition = %(partition)s AND e.log_offset = place.old_offset;

-- name: letters
-- Dead letters of this log that wait, and whose record stood at or behind these offsets.
SELECT count(*) FROM storyline.dead_letters AS letter
JOIN unnest(%(partitions)s::integer[], %(floors)s::bigint[]) AS floor (log_partition, next_offset)
    ON letter.origin_partition = floor.log_partition AND letter.origin_offset >= floor.next_offset
WHERE letter.origin = ANY (%(log_ids)s) AND letter.status = 'parked';

-- name: start_again
-- Everything from here on is read again, under a higher epoch; `anchor` is the record before it.
INSERT INTO storyline.positions (consumer, log_id, log_partition, next_offset, anchor_offset, anchor)
SELECT 'live', %(log_id)s, floor.log_partition, floor.next_offset, floor.anchor_offset, floor.anchor
FROM unnest(%(partitions)s::integer[], %(floors)s::bigint[], %(anchor_offsets)s::bigint[], %(anchors)s::bytea[])
    AS floor (log_partition, next_offset, anchor_offset, anchor)
ON CONFLICT (consumer, log_id, log_partition) DO UPDATE
SET next_offset = excluded.next_offset, anchor_offset = excluded.anchor_offset, anchor = excluded.anchor,
    moved_at = now();

-- name: fence
-- Whoever moved these positions has to take them again.
UPDATE storyline.positions SET epoch = epoch + 1 WHERE consumer = 'live' AND log_id = %(log_id)s;

-- name: forget_rebuilds
-- A rebuild that was under way read the log as it was: it begins anew.
DELETE FROM storyline.positions WHERE consumer LIKE 'rebuild:%%';

-- name: forget_other_logs
-- The live tables are of this log now.
DELETE FROM storyline.positions WHERE consumer = 'live' AND log_id <> %(log_id)s;

-- name: ended
-- The repair has ended.
DELETE FROM storyline.positions WHERE consumer = 'repair';
