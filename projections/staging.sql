-- How does a batch of the log stand in Postgres before the read models take it? Staged once, for all of them.

-- name: create
-- One set of staging tables per connection, emptied by every commit. Rows come sorted by name, so that two projectors
-- insert in the same order, and the index is walked once.
CREATE TEMP TABLE IF NOT EXISTS staged (
    item integer NOT NULL,
    name uuid NOT NULL,
    owner uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    future boolean NOT NULL,
    digest uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    type text NOT NULL,
    channel text,
    direction text,
    record bytea NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_refs (item integer NOT NULL, ref uuid NOT NULL, name uuid NOT NULL)
ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_about (
    item integer NOT NULL, target uuid NOT NULL, relation text NOT NULL, name uuid NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_lookup (item integer NOT NULL, token uuid NOT NULL, owner uuid NOT NULL)
ON COMMIT DELETE ROWS;

-- name: copy_staged
-- The events of a batch.
COPY staged FROM STDIN (FORMAT BINARY);

-- name: copy_refs
-- The refs of a batch's events.
COPY staged_refs FROM STDIN (FORMAT BINARY);

-- name: copy_about
-- What the batch's events say of other events.
COPY staged_about FROM STDIN (FORMAT BINARY);

-- name: copy_lookup
-- Identifiers that the reader has not met since it started, with the event that brought them.
COPY staged_lookup FROM STDIN (FORMAT BINARY);
