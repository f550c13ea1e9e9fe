-- How does a batch of the log stand in Postgres before the read models take it? What is new goes straight into the
-- tables; what may be a repeat or a name clash is staged first.

-- name: create
-- One set of staging tables per connection, emptied by every commit.
CREATE TEMP TABLE IF NOT EXISTS staged (
    name uuid NOT NULL,
    evidence uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    future boolean NOT NULL,
    touch boolean NOT NULL,
    digest uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    type text NOT NULL,
    channel text,
    direction text,
    record bytea NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_refs (ref uuid NOT NULL, happened_at timestamptz NOT NULL, name uuid NOT NULL)
ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_about (target uuid NOT NULL, relation text NOT NULL, name uuid NOT NULL)
ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_contacts (
    evidence uuid NOT NULL,
    type text NOT NULL,
    channel text NOT NULL,
    direction text NOT NULL,
    touchpoints bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS;

CREATE TEMP TABLE IF NOT EXISTS staged_trade_sums (
    evidence uuid NOT NULL,
    currency text NOT NULL,
    purchases bigint NOT NULL,
    revenue numeric NOT NULL,
    refunds numeric NOT NULL,
    doubtful boolean NOT NULL
) ON COMMIT DELETE ROWS;

-- name: copy_events
-- Events that may be repeats.
COPY staged FROM STDIN (FORMAT BINARY);

-- name: copy_refs
-- Their refs.
COPY staged_refs FROM STDIN (FORMAT BINARY);

-- name: copy_about
-- What they say of other events.
COPY staged_about FROM STDIN (FORMAT BINARY);

-- name: copy_contacts
-- Sums of contacts over a batch.
COPY staged_contacts FROM STDIN (FORMAT BINARY);
