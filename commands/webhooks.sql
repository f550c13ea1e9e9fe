-- Which webhooks are on their way, and which could not be delivered?

-- name: add
-- Put one on its way; once for each rule, event and action.
INSERT INTO storyline.deliveries (id, rule, event, url, secret, made_at, again_at)
VALUES (%(id)s, %(rule)s, %(event)s, %(url)s, %(secret)s, %(at)s, %(at)s)
ON CONFLICT (id) DO NOTHING;

-- name: next
-- The next one that is to be sent, to an address that is not left alone for now; ours until the transaction ends.
SELECT id, rule, event, url, secret, made_at, tries FROM storyline.deliveries
WHERE state = 'waiting' AND again_at <= %(now)s AND url <> ALL (%(resting)s::text[])
ORDER BY again_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: settle
-- It was delivered, or is parked.
UPDATE storyline.deliveries
SET state = %(state)s, tries = tries + 1, status = %(status)s, why = %(why)s, done_at = %(now)s
WHERE id = %(id)s;

-- name: again
-- It is tried again later.
UPDATE storyline.deliveries SET again_at = %(again)s, tries = tries + 1, status = %(status)s, why = %(why)s
WHERE id = %(id)s;

-- name: list
-- Webhooks of a state, the oldest first, from a place on.
SELECT id, rule, event, url, state, tries, made_at, again_at, status, why, done_at FROM storyline.deliveries
WHERE state = %(state)s AND (made_at, id) > (%(at)s, %(id)s)
ORDER BY made_at, id LIMIT %(limit)s;

-- name: retry
-- Send one again that was parked or discarded, from the first try on.
UPDATE storyline.deliveries SET state = 'waiting', tries = 0, again_at = %(now)s, done_at = NULL
WHERE id = %(id)s AND state IN ('parked', 'discarded')
RETURNING id, rule, event, url, state, tries, made_at, again_at, status, why, done_at;

-- name: discard
-- Give one up.
UPDATE storyline.deliveries SET state = 'discarded', done_at = %(now)s
WHERE id = %(id)s AND state IN ('waiting', 'parked')
RETURNING id, rule, event, url, state, tries, made_at, again_at, status, why, done_at;

-- name: one
-- One webhook.
SELECT id, rule, event, url, state, tries, made_at, again_at, status, why, done_at FROM storyline.deliveries
WHERE id = %(id)s;

-- name: counts
-- How many wait and how many are parked, and since when the first of them.
SELECT state, count(*), min(made_at) FROM storyline.deliveries WHERE state IN ('waiting', 'parked') GROUP BY state;

-- name: forget
-- What was delivered or discarded long ago.
DELETE FROM storyline.deliveries WHERE state IN ('delivered', 'discarded') AND done_at < %(before)s;
