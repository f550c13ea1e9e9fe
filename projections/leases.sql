-- Who works on which partitions? All of it under one lock per consumer, so that two never settle at once.

-- name: try_lock_session
-- Held for as long as this session lives: whoever gets it instead of us knows that we are gone.
SELECT pg_try_advisory_lock(%(session_key)s);

-- name: seen
-- We are here. Also brings back a seat that somebody took away while we were frozen.
INSERT INTO storyline.seats (member, consumer, session_key, host, process, units, lease)
VALUES (%(member)s, %(consumer)s, %(session_key)s, %(host)s, %(process)s, %(units)s, %(lease)s)
ON CONFLICT (member) DO UPDATE SET seen_at = clock_timestamp();

-- name: sweep
-- Take away the seats of those who are gone: their session ended, or they were not seen for their lease.
DELETE FROM storyline.seats
WHERE consumer = %(consumer)s AND member <> %(member)s
    AND (
        seen_at < clock_timestamp() - make_interval(secs => seats.lease)
        OR pg_try_advisory_xact_lock(session_key)
    )
RETURNING member;

-- name: end_sessions
-- End the sessions of a member that is gone: one that froze within a transaction would hold its rows locked.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = ANY (%(names)s) AND usename = current_user AND pid <> pg_backend_pid();

-- name: lock
-- One settles at a time.
SELECT pg_advisory_xact_lock(70530810, hashtext(%(consumer)s));

-- name: look
-- How many members there are that know what we know, and which one in the row we are; how many partitions we hold, and
-- how many nobody does. As long as one is free, somebody who knows it holds less than his share.
WITH members AS (
    SELECT member, row_number() OVER (ORDER BY joined_at, member) - 1 AS rank
    FROM storyline.seats WHERE consumer = %(consumer)s AND units = %(units)s
),
units AS (
    SELECT p.holder
    FROM storyline.positions AS p
    JOIN unnest(%(log_ids)s::text[], %(partitions)s::integer[]) AS unit (log_id, log_partition)
        ON (p.log_id, p.log_partition) = (unit.log_id, unit.log_partition)
    WHERE p.consumer = %(consumer)s
)
SELECT
    (SELECT count(*) FROM members),
    (SELECT rank FROM members WHERE member = %(member)s),
    (SELECT count(*) FROM units WHERE holder = %(member)s),
    (SELECT count(*) FROM units LEFT JOIN storyline.seats ON seats.member = units.holder WHERE seats.member IS NULL);

-- name: release
-- Give back the last few of what we hold. A row that somebody holds still (a rebuild that switches) is left for the next
-- time, so that none waits for the other in a circle.
UPDATE storyline.positions AS p SET holder = NULL
FROM (
    SELECT log_id, log_partition FROM storyline.positions
    WHERE consumer = %(consumer)s AND holder = %(member)s
    ORDER BY log_id DESC, log_partition DESC LIMIT %(number)s FOR UPDATE SKIP LOCKED
) AS surplus
WHERE p.consumer = %(consumer)s AND (p.log_id, p.log_partition) = (surplus.log_id, surplus.log_partition);

-- name: claim
-- Take partitions that nobody holds, or whose holder is gone, under a higher epoch: so whoever had one is refused. A
-- row that is still locked is left for the next time.
UPDATE storyline.positions AS p SET holder = %(member)s, epoch = p.epoch + 1
FROM (
    SELECT free.log_id, free.log_partition
    FROM storyline.positions AS free
    JOIN unnest(%(log_ids)s::text[], %(partitions)s::integer[]) AS unit (log_id, log_partition)
        ON (free.log_id, free.log_partition) = (unit.log_id, unit.log_partition)
    WHERE free.consumer = %(consumer)s
        AND NOT EXISTS (
            SELECT FROM storyline.seats WHERE seats.consumer = free.consumer AND seats.member = free.holder
        )
    ORDER BY free.log_id, free.log_partition LIMIT %(number)s FOR UPDATE OF free SKIP LOCKED
) AS chosen
WHERE p.consumer = %(consumer)s AND (p.log_id, p.log_partition) = (chosen.log_id, chosen.log_partition);

-- name: raise
-- Hold on to what we have under a higher epoch, after somebody fenced us.
UPDATE storyline.positions AS p SET epoch = p.epoch + 1
FROM (
    SELECT log_id, log_partition FROM storyline.positions
    WHERE consumer = %(consumer)s AND holder = %(member)s ORDER BY log_id, log_partition FOR UPDATE
) AS mine
WHERE p.consumer = %(consumer)s AND (p.log_id, p.log_partition) = (mine.log_id, mine.log_partition);

-- name: held
-- What we hold, and where to go on.
SELECT log_id, log_partition, next_offset, epoch, anchor_offset, anchor
FROM storyline.positions
WHERE consumer = %(consumer)s AND holder = %(member)s
ORDER BY log_id, log_partition;

-- name: leave
-- Give everything back: what a member holds that has no seat is free.
DELETE FROM storyline.seats WHERE member = %(member)s;
