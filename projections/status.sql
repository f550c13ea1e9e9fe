-- How is Storyline, by what Postgres knows?

-- name: members
-- Who works now, which partitions it holds, and for how long it has not been seen.
SELECT seats.consumer, seats.member, seats.host, seats.process,
    extract(epoch FROM clock_timestamp() - seats.seen_at)::float8 AS unseen,
    coalesce(array_agg(p.log_partition ORDER BY p.log_id, p.log_partition) FILTER (WHERE p.holder IS NOT NULL), '{}')
FROM storyline.seats
LEFT JOIN storyline.positions AS p ON p.consumer = seats.consumer AND p.holder = seats.member
GROUP BY seats.member
ORDER BY seats.consumer, seats.joined_at, seats.member;

-- name: positions
-- Where every consumer stands, who holds it, and for how long it has not moved.
SELECT p.consumer, p.log_id, p.log_partition, p.next_offset, seats.member,
    extract(epoch FROM clock_timestamp() - p.moved_at)::float8 AS still
FROM storyline.positions AS p
LEFT JOIN storyline.seats ON seats.consumer = p.consumer AND seats.member = p.holder
ORDER BY p.consumer, p.log_id, p.log_partition;

-- name: newest
-- When was the newest visible event of each partition recorded?
SELECT part.log_partition, last.recorded_at
FROM unnest(%(partitions)s::integer[]) AS part (log_partition)
CROSS JOIN LATERAL (
    SELECT recorded_at FROM timeline.events
    WHERE events.log_partition = part.log_partition
    ORDER BY log_partition DESC, log_offset DESC LIMIT 1
) AS last;

-- name: letters
-- How many dead letters wait, by consumer and reason, and for how long the oldest does.
SELECT consumer, reason, count(*), extract(epoch FROM clock_timestamp() - min(parked_at))::float8
FROM storyline.dead_letters WHERE status = 'parked'
GROUP BY consumer, reason ORDER BY consumer, reason;

-- name: read_models
-- Which build of each read model serves.
SELECT name, version, sql_hash FROM storyline.read_models;

-- name: has_inbox
-- Did an inbox ever run here?
SELECT 1 FROM storyline.positions WHERE consumer = 'inbox' LIMIT 1;
