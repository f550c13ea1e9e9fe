-- What does the benchmark of reading ask Postgres? The page itself is the timeline's own query.

-- name: busy
-- Customers with at least a page of events, busiest first.
SELECT owner FROM timeline.events WHERE owner IS NOT NULL
GROUP BY owner HAVING count(*) >= %(least)s ORDER BY count(*) DESC, owner LIMIT %(limit)s;

-- name: settle
-- What autovacuum would have done by then, so that no run pays for it.
VACUUM ANALYZE timeline.events;

-- name: checkpoint
-- No run pays for what another has written.
CHECKPOINT;
