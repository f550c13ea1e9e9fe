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

-- name: page
-- A page of dead letters, oldest first, after the one that the page before ended with.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why
FROM storyline.dead_letters
WHERE (%(status)s::text IS NULL OR status = %(status)s) AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (%(after)s::uuid IS NULL
        OR (parked_at, id) > (SELECT parked_at, id FROM storyline.dead_letters WHERE id = %(after)s))
ORDER BY parked_at, id
LIMIT %(limit)s;

-- name: counts
-- How many are parked, by consumer and reason, and since when the oldest waits.
SELECT consumer, reason, count(*), min(parked_at) FROM storyline.dead_letters
WHERE status = 'parked' GROUP BY consumer, reason ORDER BY consumer, reason;

-- name: read
-- One dead letter with its sealed part.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why, key_id, sealed
FROM storyline.dead_letters WHERE id = %(id)s;

-- name: hold
-- The same, held until the transaction ends, so that two do not redrive it at once.
SELECT id, consumer, reason, detail, origin, origin_partition, origin_offset, source, type, parked_at, status,
    status_at, status_why, key_id, sealed
FROM storyline.dead_letters WHERE id = %(id)s FOR UPDATE;

-- name: settle
-- What became of a dead letter: redriven or discarded.
UPDATE storyline.dead_letters SET status = %(status)s, status_at = %(now)s, status_why = %(why)s WHERE id = %(id)s;

-- name: stay
-- It was tried again and stays, with the reason of now; sealed anew, because the seal is bound to the reason.
UPDATE storyline.dead_letters
SET reason = %(reason)s, detail = %(detail)s, sealed = %(sealed)s, status_at = %(now)s, status_why = %(why)s
WHERE id = %(id)s;
