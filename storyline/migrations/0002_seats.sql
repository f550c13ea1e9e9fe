-- Several projectors, or inboxes, share the partitions of one log.

-- Who works for a consumer now. A member is gone when its session is (the advisory lock on `session_key` is free), or
-- when it has not been seen for as long as a lease lasts (it is frozen, or its machine is out of reach).
CREATE TABLE storyline.seats (
    member uuid PRIMARY KEY,
    consumer text NOT NULL,
    session_key bigint NOT NULL,
    host text NOT NULL,
    process integer NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- `holder`: the member that works on a partition. `anchor`: hash of the last record that was applied in it, and where
-- that stood; a log that holds another record there, or none, is not the one that the rows were made of.
ALTER TABLE storyline.positions
    ADD COLUMN holder uuid,
    ADD COLUMN anchor_offset bigint,
    ADD COLUMN anchor bytea;
