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
INSERT INTO contacts AS c (evidence, type, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, type, channel, direction, touchpoints, first_at, last_at FROM staged_contacts
ORDER BY evidence, type, channel, direction
ON CONFLICT (evidence, type, channel, direction) DO UPDATE
SET touchpoints = c.touchpoints + excluded.touchpoints, first_at = least(c.first_at, excluded.first_at),
    last_at = greatest(c.last_at, excluded.last_at);

-- name: forget_trades
-- What these events said; gives their orders, and when they happened.
DELETE FROM trades WHERE name = ANY (%(names)s::uuid[]) RETURNING order_key, happened_at;

-- name: lock_orders
-- Orders of nobody that is known: whoever brings some goes alone from here, since no customer is held for them.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: orders_moved
-- The orders of these customers that several trades tell of.
SELECT t.order_key FROM trades AS t JOIN evidences AS e ON e.evidence = t.evidence
WHERE e.customer = ANY (%(customers)s::uuid[]) AND t.ref IS NOT NULL
GROUP BY t.order_key HAVING min(t.source) <> max(t.source);

-- name: count_trades
-- Of these orders, per customer, what that source tells counts which told of it first, and so with its refunds. Gives when
-- that happened which counts now, or does no more.
WITH several AS (
    SELECT order_key FROM trades WHERE order_key = ANY (%(orders)s::uuid[])
    GROUP BY order_key HAVING min(source) <> max(source) OR NOT bool_and(counts)
),
told AS (
    SELECT t.name, t.source = first_value(t.source) OVER (
        PARTITION BY t.order_key, e.customer, t.refund ORDER BY t.happened_at, t.name
    ) AS counts
    FROM trades AS t JOIN several USING (order_key) LEFT JOIN evidences AS e ON e.evidence = t.evidence
)
UPDATE trades SET counts = told.counts FROM told
WHERE trades.name = told.name AND trades.counts <> told.counts
RETURNING trades.happened_at;

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
INSERT INTO contacts (evidence, type, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, type, coalesce(channel, ''), coalesce(direction, ''), count(*), min(happened_at), max(happened_at)
FROM events
WHERE evidence = ANY (%(evidences)s::uuid[]) AND touch
    AND NOT EXISTS (SELECT FROM corrected WHERE corrected.name = events.name AND corrected.retracted)
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4;
