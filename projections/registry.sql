-- Which builds of the read models are there?

-- name: lock
-- One process at a time makes or switches read models.
SELECT pg_advisory_xact_lock(7053081002);

-- name: built
-- The build of a read model that serves.
SELECT version, sql_hash FROM storyline.read_models WHERE name = %(name)s;

-- name: builds
-- What is noted of these builds, and whether the tables are there: a backup may have kept the note alone.
SELECT asked.name, built.version, built.sql_hash, to_regnamespace(asked.name) IS NOT NULL
FROM unnest(%(names)s::text[]) AS asked (name) LEFT JOIN storyline.read_models AS built USING (name);

-- name: has_schema
-- Are the tables of a build there?
SELECT to_regnamespace(%(name)s) IS NOT NULL;

-- name: stood
-- The build that is kept for rollback: its version, its SQL, when it was switched out and where it stood, by log.
SELECT version, sql_hash, switched_at, stood FROM storyline.read_models WHERE name = %(name)s || '_previous';

-- name: start_over
-- The rows are gone, so live reads the log from its beginning; whoever works on it is fenced.
UPDATE storyline.positions SET next_offset = 0, epoch = epoch + 1, anchor_offset = NULL, anchor = NULL
WHERE consumer = 'live';

-- name: note
-- Write down which build serves.
INSERT INTO storyline.read_models (name, version, sql_hash) VALUES (%(name)s, %(version)s, %(sql_hash)s)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, sql_hash = excluded.sql_hash, built_at = now();

-- name: note_previous
-- Write down what is kept for rollback, and where live stands: later it is brought on from there.
INSERT INTO storyline.read_models (name, version, sql_hash, built_at, switched_at, stood)
SELECT name || '_previous', version, sql_hash, built_at, now(), (
    SELECT jsonb_object_agg(log_id, its)
    FROM (
        SELECT log_id, jsonb_object_agg(log_partition, next_offset) AS its
        FROM storyline.positions WHERE consumer = 'live' GROUP BY log_id
    ) AS by_log
)
FROM storyline.read_models WHERE name = %(name)s
ON CONFLICT (name) DO UPDATE
SET version = excluded.version, sql_hash = excluded.sql_hash, built_at = excluded.built_at,
    switched_at = excluded.switched_at, stood = excluded.stood;

-- name: try_rebuild_lock
-- One rebuild of a read model at a time, for as long as this session lives.
SELECT pg_try_advisory_lock(705308103, hashtext(%(name)s));

-- name: unnote
-- A build that was switched in, or dropped.
DELETE FROM storyline.read_models WHERE name = %(name)s;

-- name: begin_snapshot
-- One moment for several queries.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: end_snapshot
-- Let the moment go.
ROLLBACK;

-- name: search_path
-- Put the schemas of one build first for the rest of the transaction. Extensions live in public. The braces are filled
-- with quoted names, never a value.
SET LOCAL search_path TO {}, {}, {}, {}, {}, {}, {}, public, pg_temp;

-- name: search_path_of
-- The same for one schema whose tables are made.
SET LOCAL search_path TO {}, public, pg_temp;

-- name: shut_out
-- Whoever works on several tables of a build, and takes this table for it, is done, and waits.
LOCK TABLE storyline.read_models IN ACCESS EXCLUSIVE MODE;

-- name: create_schema
-- The schema of a build.
CREATE SCHEMA {};

-- name: drop_schema
-- A build that is not wanted any more.
DROP SCHEMA IF EXISTS {} CASCADE;

-- name: rename_schema
-- Switch a build in, or out.
ALTER SCHEMA {} RENAME TO {};

-- name: carry
-- What no event fills is taken over by a new build. The braces are filled with quoted names.
INSERT INTO {} SELECT * FROM {};

-- name: extensions
-- What the tables stand on: likeness of names.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
