-- How far has a consumer come, and who may move it?

-- name: begin
-- A row for each partition that this consumer has never read.
INSERT INTO storyline.positions (consumer, log_id, log_partition)
SELECT %(consumer)s, unit.log_id, unit.log_partition
FROM unnest(%(log_ids)s::text[], %(partitions)s::integer[]) AS unit (log_id, log_partition)
ON CONFLICT DO NOTHING;

-- name: take
-- Take partitions: a higher epoch refuses whoever had them before. Gives where to go on.
UPDATE storyline.positions AS p SET epoch = p.epoch + 1
FROM (
    SELECT consumer, log_id, log_partition FROM storyline.positions
    WHERE consumer = %(consumer)s AND log_id = %(log_id)s AND log_partition = ANY (%(partitions)s::integer[])
    ORDER BY log_partition FOR UPDATE
) AS mine
WHERE (p.consumer, p.log_id, p.log_partition) = (mine.consumer, mine.log_id, mine.log_partition)
RETURNING p.log_partition, p.next_offset, p.epoch, p.anchor_offset, p.anchor;

-- name: move
-- Compare and set: moves only those whose offset and epoch are as expected. The caller counts the rows. They are locked
-- in order, so that nobody who holds all of them (a rebuild that switches) can deadlock with it.
UPDATE storyline.positions AS p
SET next_offset = step.next_offset, anchor_offset = coalesce(step.anchor_offset, p.anchor_offset),
    anchor = coalesce(step.anchor, p.anchor), moved_at = now()
FROM (
    SELECT log_partition FROM storyline.positions
    WHERE consumer = %(consumer)s AND log_id = %(log_id)s AND log_partition = ANY (%(partitions)s::integer[])
    ORDER BY log_partition FOR UPDATE
) AS held
JOIN unnest(
    %(partitions)s::integer[], %(start)s::bigint[], %(end)s::bigint[], %(epochs)s::bigint[],
    %(anchor_offsets)s::bigint[], %(anchors)s::bytea[]
) AS step (log_partition, start_offset, next_offset, epoch, anchor_offset, anchor) USING (log_partition)
WHERE p.consumer = %(consumer)s AND p.log_id = %(log_id)s AND p.log_partition = held.log_partition
    AND p.next_offset = step.start_offset AND p.epoch = step.epoch;

-- name: read
-- Where a consumer stands.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = %(consumer)s AND log_id = %(log_id)s;

-- name: hold
-- Hold a consumer still: nobody moves its positions before this transaction ends.
SELECT log_partition, next_offset FROM storyline.positions
WHERE consumer = %(consumer)s AND log_id = %(log_id)s
ORDER BY log_partition FOR UPDATE;

-- name: fence
-- Refuse whoever moves this consumer now; it has to take its partitions again.
UPDATE storyline.positions SET epoch = epoch + 1 WHERE consumer = %(consumer)s AND log_id = %(log_id)s;

-- name: forget
-- A consumer that has done its work.
DELETE FROM storyline.positions WHERE consumer = %(consumer)s AND log_id = %(log_id)s;
