-- How do facts come into the tables of `customers`? Rows of new events by COPY, contacts as sums; what has to be made
-- anew is taken away first (see projections/settling.py).

-- name: copy_trades
-- Trades of new events.
COPY trades FROM STDIN (FORMAT BINARY);

-- name: copy_consents
-- Consents of new events.
COPY consents FROM STDIN (FORMAT BINARY);

-- name: copy_answers
-- Answers of new events.
COPY answers FROM STDIN (FORMAT BINARY);

-- name: contacts
-- Add the sums of a batch, in the order of their keys, so that two projectors do not deadlock.
INSERT INTO contacts AS c (evidence, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, channel, direction, touchpoints, first_at, last_at FROM staged_contacts
ORDER BY evidence, channel, direction
ON CONFLICT (evidence, channel, direction) DO UPDATE
SET touchpoints = c.touchpoints + excluded.touchpoints, first_at = least(c.first_at, excluded.first_at),
    last_at = greatest(c.last_at, excluded.last_at);

-- name: forget_trades
-- What these events said.
DELETE FROM trades WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_consents
-- What these events said.
DELETE FROM consents WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_answers
-- What these events said.
DELETE FROM answers WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_contacts
-- The sums of these evidences.
DELETE FROM contacts WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: recount_contacts
-- The sums of these evidences, over all events that count.
INSERT INTO contacts (evidence, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, coalesce(channel, ''), coalesce(direction, ''), count(*), min(happened_at), max(happened_at)
FROM events
WHERE evidence = ANY (%(evidences)s::uuid[]) AND touch
    AND NOT EXISTS (SELECT FROM corrected WHERE corrected.name = events.name AND corrected.retracted)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
