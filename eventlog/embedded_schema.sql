-- Which tables are the embedded log? May be run again at any time; makes only what is missing.

CREATE SCHEMA IF NOT EXISTS log;

-- Who this log is, for ever. One row.
CREATE TABLE IF NOT EXISTS log.identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    log_id   uuid    NOT NULL DEFAULT gen_random_uuid()
);

-- Where each partition ends. A writer holds the rows of its partitions until it commits, which is what makes
-- offsets free of gaps and lets no reader see a later offset before an earlier one.
CREATE TABLE IF NOT EXISTS log.partitions (
    partition   smallint PRIMARY KEY,
    next_offset bigint   NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000); -- room for updates in place: it is all updates

-- The records, byte for byte. EXTERNAL: sealed bytes do not compress, so do not try.
CREATE TABLE IF NOT EXISTS log.records (
    partition smallint NOT NULL,
    "offset"  bigint   NOT NULL,
    key       bytea    NOT NULL,
    value     bytea    STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (partition, "offset")
);

INSERT INTO log.identity DEFAULT VALUES ON CONFLICT DO NOTHING;

-- A log that is moved to another takes no more records: `closed` is read under the lock that every append holds, so
-- that whoever still has the old address is refused. `successor` is the log that took its place.
ALTER TABLE log.partitions ADD COLUMN IF NOT EXISTS closed boolean NOT NULL DEFAULT false;
ALTER TABLE log.identity ADD COLUMN IF NOT EXISTS successor text;
