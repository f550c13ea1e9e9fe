-- How do the durable tables reach their newest form?

-- name: lock
-- One process at a time upgrades; the others wait, and then find nothing to do.
SELECT pg_advisory_xact_lock(7053081002);

-- name: install
-- The list of migrations that were applied; safe to run again.
CREATE SCHEMA IF NOT EXISTS storyline;
CREATE TABLE IF NOT EXISTS storyline.migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied
-- What was applied so far.
SELECT number, name, sha256 FROM storyline.migrations ORDER BY number;

-- name: remember
-- Note one migration as applied, in the transaction that applied it.
INSERT INTO storyline.migrations (number, name, sha256) VALUES (%(number)s, %(name)s, %(sha256)s);

-- name: count_applied
-- How many migrations were applied; to_regclass tells a database that was never upgraded.
SELECT to_regclass('storyline.migrations') IS NOT NULL;
