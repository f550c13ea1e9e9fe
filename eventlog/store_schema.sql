-- The event store's schema. Its tables `events` and `snapshots` are those of the eventsourcing library, which makes
-- them; `state` is in both what is sealed: a record of the log, or a sealed snapshot.
CREATE SCHEMA IF NOT EXISTS eventstore;

-- Events of a restored store that `storyline relay repair` took out, because the log holds other ones in their place.
-- Each is a record, sealed as it was.
CREATE TABLE IF NOT EXISTS eventstore.set_aside (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
