-- What does the benchmark of reading ask Postgres? The page itself is the timeline's own query.

-- name: busy
-- Customers with at least a page of events, busiest first.
SELECT customer FROM timeline.events JOIN identity.evidences USING (evidence)
GROUP BY customer HAVING count(*) >= %(least)s ORDER BY count(*) DESC, customer LIMIT %(limit)s;

-- name: settle
-- What autovacuum would have done by then, so that no run pays for it.
VACUUM ANALYZE timeline.events, timeline.about, identity.evidences, identity.nodes;

-- name: checkpoint
-- No run pays for what another has written.
CHECKPOINT;
