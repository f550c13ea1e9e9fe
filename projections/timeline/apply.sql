-- How does a batch become rows of the timeline? Names that were never seen go straight into the tables by COPY. The
-- few that are known, or that a ruling speaks of, are staged and told apart: repeats, name clashes.

-- name: known
-- Which of these names are taken, or ruled on?
SELECT name FROM events WHERE name = ANY (%(names)s::uuid[])
UNION
SELECT name FROM storyline.rulings WHERE name = ANY (%(names)s::uuid[]);

-- name: copy_events
-- Events whose names are new. Two projectors that bring the same new name at once: the second waits, is refused by
-- the unique name, and tries again, when it is known.
COPY events (
    name, evidence, happened_at, recorded_at, future, touch, digest, log_partition, log_offset, type, channel,
    direction, record
) FROM STDIN (FORMAT BINARY);

-- name: copy_refs
-- Refs of new events.
COPY refs (ref, happened_at, name) FROM STDIN (FORMAT BINARY);

-- name: copy_about
-- What new events say of others.
COPY about (target, relation, name) FROM STDIN (FORMAT BINARY);

-- name: staged_events
-- Staged events that are new after all: their ruling is known, and the one that it keeps was not here yet. Gives them.
INSERT INTO events (
    name, evidence, happened_at, recorded_at, future, touch, digest, log_partition, log_offset, type, channel,
    direction, record
)
SELECT
    name, evidence, happened_at, recorded_at, future, touch, digest, log_partition, log_offset, type, channel,
    direction, record
FROM staged
WHERE NOT EXISTS (
    SELECT FROM storyline.rulings WHERE rulings.name = staged.name AND rulings.digest <> staged.digest
)
ORDER BY name, recorded_at
ON CONFLICT (name) DO NOTHING
RETURNING name;

-- name: staged_refs
-- Refs of staged events. `happened_at` is the one that the event has now, so that both move together.
INSERT INTO refs (ref, happened_at, name)
SELECT staged_refs.ref, events.happened_at, events.name
FROM staged_refs JOIN events ON events.name = staged_refs.name
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: staged_about
-- What staged events say of others.
INSERT INTO about (target, relation, name)
SELECT target, relation, name FROM staged_about
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: sift_clashes
-- Staged events whose name is taken by other content: the first one accepted stays. Gives what has to be parked.
WITH lost AS (
    SELECT staged.*, coalesce(rulings.digest, events.digest) AS kept
    FROM staged
    LEFT JOIN events ON events.name = staged.name
    LEFT JOIN storyline.rulings ON rulings.name = staged.name
    WHERE coalesce(rulings.digest, events.digest) <> staged.digest
),
ruled AS (
    INSERT INTO storyline.rulings (name, digest)
    SELECT DISTINCT name, kept FROM lost ORDER BY name
    ON CONFLICT (name) DO NOTHING
)
SELECT name, log_partition, log_offset, type, record FROM lost ORDER BY log_partition, log_offset;

-- name: sift_events
-- What clashed has no part in anything else.
DELETE FROM staged USING unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS lost (log_partition, log_offset)
WHERE staged.log_partition = lost.log_partition AND staged.log_offset = lost.log_offset;

-- name: sift_moved_refs
-- A repeat that was recorded earlier may have happened at another moment: take its refs away, `refs` puts them back.
DELETE FROM refs
USING staged_refs, events, staged
WHERE refs.ref = staged_refs.ref AND refs.name = staged_refs.name
    AND events.name = refs.name AND refs.happened_at = events.happened_at
    AND staged.name = events.name
    AND (staged.recorded_at, staged.record) < (events.recorded_at, events.record)
    AND staged.happened_at <> events.happened_at;

-- name: earlier_repeats
-- Staged events that were recorded before the one that is kept so far: what follows from that has to be made anew.
SELECT DISTINCT events.name, events.evidence
FROM staged JOIN events ON events.name = staged.name AND events.digest = staged.digest
WHERE (staged.recorded_at, staged.record) < (events.recorded_at, events.record);

-- name: sift_repeats
-- Of several records with the same name and content the one recorded first is kept (ties: the lesser bytes), in
-- whatever order they are delivered.
UPDATE events
SET evidence = first.evidence, happened_at = first.happened_at, recorded_at = first.recorded_at,
    future = first.future, log_partition = first.log_partition, log_offset = first.log_offset, record = first.record
FROM (SELECT DISTINCT ON (name) * FROM staged ORDER BY name, recorded_at, record) AS first
WHERE events.name = first.name AND events.digest = first.digest
    AND (first.recorded_at, first.record) < (events.recorded_at, events.record);

-- name: copy_parties
-- Parties of new events.
COPY parties (evidence, happened_at, name, role) FROM STDIN (FORMAT BINARY);
