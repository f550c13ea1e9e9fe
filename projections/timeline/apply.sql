-- How does a staged batch become rows of the timeline? `events` first. If it took fewer rows than were staged, some
-- were repeats or name clashes, and the `sift` queries rule on them before the rest is applied.

-- name: events
-- Each event once. What a ruling has refused stays out, so that a rebuild rules as live did.
INSERT INTO events AS t (
    name, owner, happened_at, recorded_at, future, digest, log_partition, log_offset, type, channel, direction, record
)
SELECT
    name, owner, happened_at, recorded_at, future, digest, log_partition, log_offset, type, channel, direction, record
FROM staged
WHERE NOT EXISTS (
    SELECT FROM storyline.rulings WHERE rulings.name = staged.name AND rulings.digest <> staged.digest
)
ON CONFLICT (name) DO NOTHING;

-- name: refs
-- Refs of the batch. `happened_at` is the event's own, so that a repeat that was recorded earlier moves both.
INSERT INTO refs (ref, happened_at, name)
SELECT staged_refs.ref, events.happened_at, events.name
FROM staged_refs JOIN events ON events.name = staged_refs.name
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: about
-- What events of the batch say of others.
INSERT INTO about (target, relation, name)
SELECT target, relation, name FROM staged_about
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: lookup
-- Identifiers that lead to a customer.
INSERT INTO lookup (token, owner)
SELECT DISTINCT token, owner FROM staged_lookup
ORDER BY 1, 2
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
SELECT item, log_partition, log_offset, type, record FROM lost ORDER BY item;

-- name: sift_stage
-- What clashed has no part in anything else.
DELETE FROM staged WHERE item = ANY (%(items)s::integer[]);

-- name: sift_refs
-- Refs of events that clashed.
DELETE FROM staged_refs WHERE item = ANY (%(items)s::integer[]);

-- name: sift_about
-- Relations of events that clashed.
DELETE FROM staged_about WHERE item = ANY (%(items)s::integer[]);

-- name: sift_lookup
-- Identifiers of events that clashed.
DELETE FROM staged_lookup WHERE item = ANY (%(items)s::integer[]);

-- name: sift_moved_refs
-- A repeat that was recorded earlier may have happened at another moment: take its refs away, `refs` puts them back.
DELETE FROM refs
USING staged_refs, events, staged
WHERE refs.ref = staged_refs.ref AND refs.name = staged_refs.name
    AND events.name = refs.name AND refs.happened_at = events.happened_at
    AND staged.name = events.name
    AND (staged.recorded_at, staged.record) < (events.recorded_at, events.record)
    AND staged.happened_at <> events.happened_at;

-- name: sift_repeats
-- Of several records with the same name and content the one recorded first is kept (ties: the lesser bytes), in
-- whatever order they are delivered.
UPDATE events
SET owner = first.owner, happened_at = first.happened_at, recorded_at = first.recorded_at, future = first.future,
    log_partition = first.log_partition, log_offset = first.log_offset, record = first.record
FROM (SELECT DISTINCT ON (name) * FROM staged ORDER BY name, recorded_at, record) AS first
WHERE events.name = first.name AND events.digest = first.digest
    AND (first.recorded_at, first.record) < (events.recorded_at, events.record);
