-- How do dead letters come into the table, out of it, and under a reader's eyes?

-- name: park
-- One dead letter; the same trouble met twice is parked once.
INSERT INTO storyline.dead_letters
    (id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, key_id, sealed,
     status_at)
VALUES
    (%(id)s, %(consumer)s, %(reason)s, %(detail)s, %(origin)s, %(partition)s, %(offset)s, %(source)s, %(type)s,
     %(now)s, %(key_id)s, %(sealed)s, %(now)s)
ON CONFLICT (id) DO NOTHING;

-- name: note_key
-- The day that a parking key belongs to.
INSERT INTO storyline.parking_keys (key_id, day) VALUES (%(key_id)s, %(day)s) ON CONFLICT DO NOTHING;

-- name: page
-- A page of dead letters, oldest first, after the one that the page before ended with.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why, status_by, kind
FROM storyline.dead_letters
WHERE (%(status)s::text IS NULL OR status = %(status)s) AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (%(kind)s::uuid IS NULL OR kind = %(kind)s)
    AND (%(after)s::uuid IS NULL
        OR (parked_at, id) > (SELECT parked_at, id FROM storyline.dead_letters WHERE id = %(after)s))
ORDER BY parked_at, id
LIMIT %(limit)s;

-- name: kinds
-- A page of kinds, in the order of their ids: jumps along the index from kind to kind, and counts each up to a bound.
WITH RECURSIVE walk AS (
    (
        SELECT kind FROM storyline.dead_letters
        WHERE status = 'parked' AND kind > %(after)s ORDER BY kind LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT next.kind FROM storyline.dead_letters AS next
        WHERE next.status = 'parked' AND next.kind > walk.kind ORDER BY next.kind LIMIT 1
    )
    FROM walk WHERE walk.kind IS NOT NULL
),
page AS (SELECT kind FROM walk WHERE kind IS NOT NULL LIMIT %(limit)s)
SELECT page.kind, first.consumer, first.reason, first.detail, first.origin, first.type, first.parked_at AS oldest,
    last.parked_at AS newest, counted.number, late.number AS overdue
FROM page
CROSS JOIN LATERAL (
    SELECT * FROM storyline.dead_letters AS letter
    WHERE status = 'parked' AND letter.kind = page.kind ORDER BY letter.kind, parked_at, id LIMIT 1
) AS first
CROSS JOIN LATERAL (
    SELECT parked_at FROM storyline.dead_letters AS letter
    WHERE status = 'parked' AND letter.kind = page.kind ORDER BY letter.kind DESC, parked_at DESC, id DESC LIMIT 1
) AS last
CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM (
        SELECT FROM storyline.dead_letters AS letter
        WHERE status = 'parked' AND letter.kind = page.kind LIMIT %(most)s
    ) AS few
) AS counted
CROSS JOIN LATERAL (
    SELECT count(*) AS number FROM (
        SELECT FROM storyline.dead_letters AS letter
        WHERE status = 'parked' AND letter.kind = page.kind AND parked_at < %(overdue)s LIMIT %(most)s
    ) AS few
) AS late;

-- name: remaining
-- How many of a kind or reason (or of all) wait, counted up to a bound.
SELECT count(*) FROM (
    SELECT FROM storyline.dead_letters
    WHERE status = 'parked' AND (%(kind)s::uuid IS NULL OR kind = %(kind)s)
        AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    LIMIT %(most)s
) AS few;

-- name: read
-- One dead letter with its sealed part.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why, status_by, kind, key_id, sealed
FROM storyline.dead_letters WHERE id = %(id)s;

-- name: hold
-- The same, held until the transaction ends, so that two do not redrive it at once.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why, status_by, kind, key_id, sealed
FROM storyline.dead_letters WHERE id = %(id)s FOR UPDATE;

-- name: take
-- The next parked ones of a walk, held until the transaction ends; those that another one holds are left to it.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why, status_by, kind, key_id, sealed
FROM storyline.dead_letters
WHERE status = 'parked' AND (%(kind)s::uuid IS NULL OR kind = %(kind)s)
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (parked_at, id) > (%(after_at)s, %(after_id)s) AND parked_at <= %(until)s
ORDER BY parked_at, id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: history
-- What was done with a dead letter, oldest first: the latest fifty steps.
SELECT at, did, by, label, why FROM (
    SELECT history.step, history.at, history.did, history.by, api_keys.label, history.why
    FROM storyline.dead_letter_history AS history
    LEFT JOIN storyline.api_keys ON api_keys.key_id = history.by
    WHERE history.letter_id = %(id)s ORDER BY history.step DESC LIMIT 50
) AS latest ORDER BY step;

-- name: note
-- One step of a dead letter's history.
INSERT INTO storyline.dead_letter_history (letter_id, did, at, by, why)
VALUES (%(id)s, %(did)s, %(now)s, %(by)s, %(why)s);

-- name: settle
-- What became of a dead letter: redriven or discarded. Its content goes.
UPDATE storyline.dead_letters
SET status = %(status)s, status_at = %(now)s, status_by = %(by)s, status_why = %(why)s, sealed = NULL
WHERE id = %(id)s;

-- name: stay
-- It was tried again and stays, with the reason of now; sealed anew, because the seal is bound to the reason.
UPDATE storyline.dead_letters
SET reason = %(reason)s, detail = %(detail)s, sealed = %(sealed)s, status_at = %(now)s, status_by = %(by)s,
    status_why = %(why)s
WHERE id = %(id)s;

-- name: ruled_against
-- Which of these names are taken by other content than theirs? The projector has ruled so.
SELECT asked.name FROM unnest(%(names)s::uuid[], %(digests)s::uuid[]) AS asked (name, digest)
JOIN storyline.rulings ON rulings.name = asked.name AND rulings.digest <> asked.digest;

-- name: purge
-- Forget settled ones that were settled before a moment, a batch at a time.
DELETE FROM storyline.dead_letters WHERE id IN (
    SELECT id FROM storyline.dead_letters
    WHERE status <> 'parked' AND status_at < %(before)s LIMIT %(limit)s FOR UPDATE SKIP LOCKED
);

-- name: spent_keys
-- Parking keys of days before a day, of which nothing waits any more.
SELECT key_id FROM storyline.parking_keys
WHERE destroyed_at IS NULL AND day < %(before)s AND NOT EXISTS (
    SELECT FROM storyline.dead_letters
    WHERE status = 'parked' AND parked_at >= day::timestamp AT TIME ZONE 'UTC'
        AND parked_at < (day + 1)::timestamp AT TIME ZONE 'UTC'
);

-- name: keys_destroyed
-- Those keys are gone.
UPDATE storyline.parking_keys SET destroyed_at = %(now)s WHERE key_id = ANY (%(ids)s::uuid[]);
