-- How is it seen from Postgres what several projectors do, and how are they started at one moment?

-- name: at_ends
-- Nothing to do for a consumer: so its projectors can take their shares in peace.
UPDATE storyline.positions SET next_offset = ends.next_offset, anchor_offset = NULL, anchor = NULL
FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS ends (log_partition, next_offset)
WHERE consumer = 'live' AND positions.log_partition = ends.log_partition;

-- name: back
-- All back to the start of the measured part, under a higher epoch: with the next record each is refused, takes its
-- partitions again, and goes on from here.
UPDATE storyline.positions
SET next_offset = starts.next_offset, epoch = epoch + 1, anchor_offset = NULL, anchor = NULL
FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS starts (log_partition, next_offset)
WHERE consumer = 'live' AND positions.log_partition = starts.log_partition;

-- name: shares
-- How many partitions each holder has.
SELECT count(*) FROM storyline.positions WHERE consumer = 'live' AND holder IS NOT NULL GROUP BY holder;

-- name: standing
-- Where they stand.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'live';

-- name: server
-- The process that all others of the server are children of is the parent of this one.
SELECT pg_backend_pid();

-- name: activity
-- What the projectors' sessions do now. No wait means that it computes, or waits for a core.
SELECT pid, state, wait_event_type, wait_event FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'storyline %%';

-- name: written
-- How far the write-ahead log is; the difference of two is in bytes.
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn;

-- name: counters
-- Full page images of the server, deadlocks and rolled back transactions of this database so far. A session tells them
-- when it ends at the latest.
SELECT (SELECT wal_fpi FROM pg_stat_wal), deadlocks, xact_rollback
FROM pg_stat_database WHERE datname = current_database();

-- name: sizes
-- Bytes of each table and index of the read models.
SELECT c.relname, CASE WHEN c.relkind = 'i' THEN pg_relation_size(c.oid) ELSE pg_table_size(c.oid) END
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('timeline', 'identity', 'customers', 'directory', 'work') AND c.relkind IN ('r', 'i')
ORDER BY c.relname;
