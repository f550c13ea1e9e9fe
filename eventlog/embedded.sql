-- Which questions does the embedded log ask its database?

-- name: install_lock
-- Two processes that install at once do it one after the other. The number is ours, drawn once.
SELECT pg_advisory_xact_lock(7316650264918236021);

-- name: install_partitions
-- The number of partitions is fixed when the log is made.
INSERT INTO log.partitions (partition)
SELECT generate_series(0, %(partitions)s::int - 1)
WHERE NOT EXISTS (SELECT FROM log.partitions);

-- name: exists
-- Whether the log's tables have been made, in their newest form.
SELECT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('log.identity') AND attname = 'successor'
);

-- name: session
-- No wait without an end; and reads by the index alone, so that a table that nobody analysed yet tempts the
-- planner into nothing else.
SET statement_timeout = '30s';
SET lock_timeout = '15s';
SET idle_in_transaction_session_timeout = '60s';
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET jit = off;

-- name: identity
-- Who the log is.
SELECT log_id::text FROM log.identity;

-- name: successor
-- The log that took this one's place, or null while this one is open.
SELECT successor FROM log.identity;

-- name: hold_all
-- Waits for the appends under way, and keeps others out until the transaction ends.
SELECT FROM log.partitions ORDER BY partition FOR UPDATE;

-- name: close_partitions
-- Take no more records, or take them again.
UPDATE log.partitions SET closed = %(successor)s::text IS NOT NULL;

-- name: name_successor
-- Who takes this log's place; null: nobody.
UPDATE log.identity SET successor = %(successor)s;

-- name: ends
-- Where each partition ends, as committed.
SELECT partition, next_offset FROM log.partitions ORDER BY partition;

-- name: begin_append
-- Acknowledged is durable, whatever the server's default is.
BEGIN;
SET LOCAL synchronous_commit = on;

-- name: lock_partitions
-- In sorted order, so that two writers never wait for each other in a circle.
SELECT partition, next_offset, closed
FROM log.partitions
WHERE partition = ANY (%(partitions)s::smallint[])
ORDER BY partition
FOR UPDATE;

-- name: advance_partitions
-- The new ends; visible together with the records, when the transaction commits.
UPDATE log.partitions AS p
SET next_offset = w.next_offset
FROM unnest(%(partitions)s::smallint[], %(next_offsets)s::bigint[]) AS w (partition, next_offset)
WHERE p.partition = w.partition;

-- name: copy_records
-- The fastest way in.
COPY log.records (partition, "offset", key, value) FROM STDIN (FORMAT binary);

-- name: read_partition
-- A stretch of one partition, cut off where it has more bytes than asked for (but at least one record).
SELECT partition, "offset", key, value
FROM (
    SELECT partition, "offset", key, value,
           sum(octet_length(value)) OVER (ORDER BY "offset") - octet_length(value) AS bytes_before
    FROM log.records
    WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(end)s
) AS stretch
WHERE bytes_before < %(max_bytes)s
ORDER BY "offset";

-- name: holes
-- Stretches of offsets before the ends that hold no record, because somebody deleted them.
SELECT partition, "offset" + 1, following
FROM (
    SELECT partition, "offset", lead("offset") OVER (PARTITION BY partition ORDER BY "offset") AS following
    FROM (
        SELECT partition, "offset" FROM log.records
        UNION ALL SELECT partition, -1 FROM log.partitions
        UNION ALL SELECT partition, next_offset FROM log.partitions
    ) AS marks
) AS edges
WHERE following > "offset" + 1
ORDER BY partition, "offset";

-- name: put_back
-- Records into their old places, before the ends alone.
INSERT INTO log.records (partition, "offset", key, value)
SELECT lost.partition, lost."offset", lost.key, lost.value
FROM unnest(%(partition)s::smallint[], %(offset)s::bigint[], %(key)s::bytea[], %(value)s::bytea[])
    AS lost (partition, "offset", key, value)
JOIN log.partitions AS p ON p.partition = lost.partition AND lost."offset" < p.next_offset
ON CONFLICT DO NOTHING;
