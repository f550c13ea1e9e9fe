-- What is known of the rebuild that is under way, and how are its parts shared out?

-- name: known
-- The rebuild that is under way, or was cut off.
SELECT models, source, log_id, step, stood, later FROM storyline.rebuilds;

-- name: begin
-- Another one begins.
INSERT INTO storyline.rebuilds (models, source, log_id, stood, later)
VALUES (%(models)s, %(source)s, %(log_id)s, %(stood)s, %(later)s);

-- name: mark
-- From here on its tables are unlogged.
INSERT INTO storyline.rebuild_marks (begun_at) VALUES (now());

-- name: unmark
-- Its tables would survive a crash.
DELETE FROM storyline.rebuild_marks;

-- name: marked
-- Is the mark still there?
SELECT EXISTS (SELECT FROM storyline.rebuild_marks);

-- name: resume
-- Somebody works on it from now on.
UPDATE storyline.rebuilds SET run_at = now(), run_share = %(share)s;

-- name: reached
-- Its tables hold all that live holds up to here.
UPDATE storyline.rebuilds SET step = 'near', stood = %(stood)s;

-- name: forget
-- It is done, or given up.
DELETE FROM storyline.rebuilds;

-- name: forget_parts
-- And its parts.
DELETE FROM storyline.rebuild_parts;

-- name: add_part
-- A part of it.
INSERT INTO storyline.rebuild_parts (part, stage, total, weight)
VALUES (%(part)s, %(stage)s, %(total)s, %(weight)s);

-- name: take_part
-- A part that nobody works on, rather the one that was worked on before, else the one that takes longest. The rebuild is
-- held, so that it cannot be given up meanwhile.
SELECT p.part, p.reached, p.total, p.state
FROM storyline.rebuild_parts AS p JOIN storyline.rebuilds AS r ON r.begun_at = %(begun_at)s
WHERE p.stage = %(stage)s AND p.reached < p.total
ORDER BY p.part <> %(before)s, p.weight DESC, p.part
LIMIT 1
FOR UPDATE OF p SKIP LOCKED FOR SHARE OF r;

-- name: move_part
-- So far it has come.
UPDATE storyline.rebuild_parts SET reached = %(reached)s, state = %(state)s, moved_at = clock_timestamp()
WHERE part = %(part)s;

-- name: left
-- How many parts of a stage are not done, and whether this is still the same rebuild.
SELECT
    (SELECT count(*) FROM storyline.rebuild_parts WHERE stage = %(stage)s AND reached < total),
    EXISTS (SELECT FROM storyline.rebuilds WHERE begun_at = %(begun_at)s);

-- name: begun_at
-- Which rebuild this is.
SELECT begun_at FROM storyline.rebuilds;

-- name: progress
-- How much of it is done, of all its weight.
SELECT coalesce(sum(weight * reached / greatest(total, 1)), 0)::float8, coalesce(sum(weight), 0)::float8
FROM storyline.rebuild_parts;

-- name: unapplied
-- What could not be applied of what was read out of the log.
SELECT state FROM storyline.rebuild_parts WHERE part LIKE 'log:%' AND state <> '' ORDER BY part;

-- name: show
-- How it stands: what it makes, the share that is done, for how long nothing moved, and how long it still takes at the
-- pace of the last who worked on it.
WITH part_share AS (
    SELECT sum(weight * reached / greatest(total, 1)) / nullif(sum(weight), 0) AS share, max(moved_at) AS moved_at
    FROM storyline.rebuild_parts
),
shown AS (
    SELECT r.models, r.source, r.step, r.run_at, r.run_share,
        least(1, CASE WHEN r.step = 'near' THEN 1 ELSE coalesce(p.share, 0) END)::float8 AS share,
        greatest(p.moved_at, r.run_at) AS moved_at
    FROM storyline.rebuilds AS r, part_share AS p
)
SELECT models, source, step, share, extract(epoch FROM clock_timestamp() - moved_at)::float8,
    CASE WHEN share > run_share
        THEN (1 - share) * extract(epoch FROM moved_at - run_at)::float8 / (share - run_share) END
FROM shown;

-- name: at_work
-- Does some session hold the lock of rebuilds?
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = 705308103
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
);

-- name: tables
-- The tables of a build.
SELECT c.relname::text FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relkind = 'r' ORDER BY c.relname;

-- name: indexes
-- The indexes of a build: table, name, statement; for the one of a constraint the constraint's name and what it is.
SELECT t.relname::text, i.relname::text, pg_get_indexdef(x.indexrelid), c.conname::text, pg_get_constraintdef(c.oid)
FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_class AS t ON t.oid = x.indrelid
LEFT JOIN pg_constraint AS c ON c.conindid = x.indexrelid AND c.conrelid = x.indrelid
WHERE t.relnamespace = to_regnamespace(%(schema)s) AND t.relkind = 'r'
ORDER BY t.relname, i.relname;

-- name: is_there
-- Was this index made already?
SELECT to_regclass(%(name)s) IS NOT NULL;

-- name: drop_index
-- An index that is made later. The braces are filled with quoted names.
DROP INDEX {};

-- name: drop_constraint
-- A key that is made later.
ALTER TABLE {} DROP CONSTRAINT {};

-- name: add_constraint
-- Its key; the last braces are filled with what Postgres said that it is.
ALTER TABLE {} ADD CONSTRAINT {} {};

-- name: set_unlogged
-- While a table is filled a crash may cost the work of it.
ALTER TABLE {} SET UNLOGGED;

-- name: set_logged
-- From here on it may not.
ALTER TABLE {} SET LOGGED;

-- name: analyze
-- The planner is to know the table.
ANALYZE {};

-- name: reltuples
-- About how many rows a table has.
SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%(table)s);

-- name: export_snapshot
-- Let another session see this moment.
SELECT pg_export_snapshot();

-- name: import_snapshot
-- See the moment of another session. The braces are filled with its quoted id.
SET TRANSACTION SNAPSHOT {};

-- name: repeatable
-- One moment for the whole transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- name: hold_erasures
-- No erasure empties a directory meanwhile; for this session, and taken before the moment is.
SELECT pg_advisory_lock_shared(7053081011);

-- name: let_erasures
-- It may again.
SELECT pg_advisory_unlock_shared(7053081011);

-- name: now
-- This moment.
SELECT clock_timestamp();

-- name: look_anew
-- Who is at work is asked once a transaction, unless it is said otherwise.
SELECT pg_stat_clear_snapshot();

-- name: older_snapshots
-- Does somebody still see a moment before this one? Who waits for a lock waits for us, and looks anew when it is had.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND xact_start < %(moment)s
        AND pid <> ALL (%(ours)s) AND wait_event_type IS DISTINCT FROM 'Lock' AND backend_type = 'client backend'
);

-- name: forget_positions
-- How far it came on whatever log.
DELETE FROM storyline.positions WHERE consumer = %(consumer)s;

-- name: begin_moment
-- A moment that others are shown.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: place
-- Stand here.
UPDATE storyline.positions SET next_offset = %(offset)s
WHERE consumer = %(consumer)s AND log_id = %(log_id)s AND log_partition = %(partition)s;
