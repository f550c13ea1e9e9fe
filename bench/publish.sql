-- What does the benchmark of publishing ask Postgres?

-- name: visible
-- How far the live projector has committed.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'live';
