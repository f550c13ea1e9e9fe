-- Which log moves, or moved, to which?

-- name: at_work
-- Whether some session holds the lock of a move.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) + objid::bigint = 7053081006
);

-- name: known
-- Whether the table is there: a process of this release may meet a database that was not upgraded yet.
SELECT to_regclass('storyline.log_moves') IS NOT NULL;

-- name: from
-- The move away from a log.
SELECT from_log_id, to_log_id, closed_at, switched_at, finished_at FROM storyline.log_moves
WHERE from_log_id = %(log_id)s;

-- name: to
-- The move that fills, or filled, a log.
SELECT from_log_id, to_log_id, closed_at, switched_at, finished_at FROM storyline.log_moves
WHERE to_log_id = %(log_id)s;

-- name: begin
-- A move begins, or goes on.
INSERT INTO storyline.log_moves (from_log_id, to_log_id) VALUES (%(from)s, %(to)s) ON CONFLICT DO NOTHING;

-- name: closed
-- From here on the old log takes nothing more; the first of several tries counts.
UPDATE storyline.log_moves SET closed_at = coalesce(closed_at, clock_timestamp()) WHERE from_log_id = %(from)s;

-- name: opened
-- The old log takes records again.
UPDATE storyline.log_moves SET closed_at = NULL WHERE from_log_id = %(from)s AND switched_at IS NULL;

-- name: switched
-- The new log is the one that counts. Gives for how many seconds the old one has been closed.
UPDATE storyline.log_moves SET switched_at = clock_timestamp() WHERE from_log_id = %(from)s
RETURNING extract(epoch FROM clock_timestamp() - closed_at)::float8;

-- name: finished
-- Nothing is left to do.
UPDATE storyline.log_moves SET finished_at = now() WHERE from_log_id = %(from)s;

-- name: forget
-- A move that was given up.
DELETE FROM storyline.log_moves WHERE from_log_id = %(from)s;

-- name: try_lock
-- One move at a time, for as long as this session lives.
SELECT pg_try_advisory_lock(7053081006);

-- name: adopt_clear
-- Nobody has gone anywhere on the new log yet, but who knows.
DELETE FROM storyline.positions WHERE consumer = 'live' AND log_id = %(to)s;

-- name: adopt
-- Where the new tables stand is from now on where live stands.
UPDATE storyline.positions SET consumer = 'live', epoch = epoch + 1
WHERE consumer = 'move' AND log_id = %(to)s;

-- name: letters
-- Where the dead letters of the old log came from.
SELECT origin_partition, origin_offset FROM storyline.dead_letters WHERE origin = %(from)s;

-- name: settle
-- A record that waits as a dead letter of the old log was parked once more when the new one was read. The old letter
-- stays, with its id, its history and its content; the new one counts as settled, and keeps a rebuild from parking it
-- a third time.
WITH again AS (
    UPDATE storyline.dead_letters AS new
    SET status = 'discarded', sealed = NULL, status_at = now(), status_by = 'log move',
        status_why = format('It is dead letter %%s of the log before this one.', old.id)
    FROM unnest(%(old_partitions)s::integer[], %(old_offsets)s::bigint[],
            %(new_partitions)s::integer[], %(new_offsets)s::bigint[])
        AS place (old_partition, old_offset, new_partition, new_offset)
    JOIN storyline.dead_letters AS old
        ON old.origin = %(from)s AND old.origin_partition = place.old_partition
            AND old.origin_offset = place.old_offset
    WHERE new.origin = %(to)s AND new.origin_partition = place.new_partition
        AND new.origin_offset = place.new_offset AND new.status = 'parked'
    RETURNING new.id, new.status_at, new.status_by, new.status_why
)
INSERT INTO storyline.dead_letter_history (letter_id, did, at, by, why)
SELECT id, 'discarded', status_at, status_by, status_why FROM again;

-- name: forget_letters
-- A move that was given up leaves no dead letters of its log.
DELETE FROM storyline.dead_letters WHERE origin = %(to)s;
