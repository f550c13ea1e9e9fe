-- Who does a piece of due work, and what became of it? One row in storyline.due for each piece.

-- name: claim
-- Take what nobody has taken, and what was taken and not done in time; gives what is ours now. In order, so that two who
-- claim the same never wait for each other in a circle.
INSERT INTO storyline.due AS d (job, item, at, claimed_by, claimed_at, again_at)
SELECT %(job)s, asked.item, asked.at, %(member)s, %(now)s, %(again)s
FROM unnest(%(items)s::text[], %(moments)s::timestamptz[]) AS asked (item, at)
ORDER BY asked.item, asked.at
ON CONFLICT (job, item, at) DO UPDATE
SET claimed_by = excluded.claimed_by, claimed_at = excluded.claimed_at, again_at = excluded.again_at,
    tries = d.tries + 1
WHERE d.outcome IS NULL AND d.again_at <= excluded.claimed_at
RETURNING d.item, d.at, d.tries;

-- name: settle
-- Say what became of it, unless it is another's by now: he says it then.
UPDATE storyline.due SET outcome = %(outcome)s, done_at = %(now)s
WHERE job = %(job)s AND item = %(item)s AND at = %(at)s AND claimed_by = %(member)s AND outcome IS NULL;

-- name: settled
-- Is it known what became of it?
SELECT 1 FROM storyline.due
WHERE job = %(job)s AND item = %(item)s AND at = %(at)s AND outcome IS NOT NULL;

-- name: give_back
-- It did not work this time; anybody may try again from `again` on.
UPDATE storyline.due SET claimed_by = NULL, again_at = %(again)s
WHERE job = %(job)s AND item = %(item)s AND at = %(at)s AND claimed_by = %(member)s AND outcome IS NULL;

-- name: forget
-- What was settled long ago, and what was taken long ago and is not due any more.
DELETE FROM storyline.due
WHERE (outcome IS NOT NULL AND done_at < %(before)s) OR (outcome IS NULL AND again_at < %(before)s);

-- name: forget_keys
-- Idempotency keys that nobody repeats any more.
DELETE FROM storyline.idempotency WHERE at < %(before)s;
