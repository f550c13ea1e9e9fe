-- How do facts come into the tables of `customers`? Rows of new events by COPY, contacts as sums; what has to be made
-- anew is taken away first (see projections/settling.py). Whatever a step of a batch does to trades it notes in
-- `staged_trade_sums`; the last of them adds all of that to `trade_sums` at once.

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

-- name: note_trades
-- What these trades add, which were copied.
INSERT INTO staged_trade_sums (evidence, currency, purchases, revenue, refunds, doubtful)
SELECT evidence, currency, count(*) FILTER (WHERE NOT refund), coalesce(sum(amount) FILTER (WHERE NOT refund), 0),
    coalesce(-sum(amount) FILTER (WHERE refund), 0), false
FROM trades
WHERE name = ANY (%(names)s::uuid[]) AND evidence IS NOT NULL AND counts
GROUP BY evidence, currency;

-- name: forget_trades
-- What these events said; gives their orders, and when they happened.
WITH gone AS (
    DELETE FROM trades WHERE name = ANY (%(names)s::uuid[])
    RETURNING evidence, currency, refund, amount, counts, order_key, happened_at
),
noted AS (
    INSERT INTO staged_trade_sums (evidence, currency, purchases, revenue, refunds, doubtful)
    SELECT evidence, currency, CASE WHEN refund THEN 0 ELSE -1 END, CASE WHEN refund THEN 0 ELSE -amount END,
        CASE WHEN refund THEN amount ELSE 0 END, false
    FROM gone WHERE evidence IS NOT NULL AND counts
)
SELECT order_key, happened_at FROM gone;

-- name: lock_orders
-- Orders of nobody that is known: whoever brings some goes alone from here, since no customer is held for them.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: orders_moved
-- The orders of these customers that several trades tell of; and of each whether several sources do.
SELECT t.order_key, min(t.source) <> max(t.source)
FROM trades AS t JOIN evidences AS e ON e.evidence = t.evidence
WHERE e.customer = ANY (%(customers)s::uuid[]) AND t.ref IS NOT NULL
GROUP BY t.order_key HAVING min(t.source) <> max(t.source) OR count(*) FILTER (WHERE NOT t.refund) > 1;

-- name: count_trades
-- Of these orders, per customer, what that source tells counts which told of it first, and so with its refunds. Gives when
-- that happened which counts now, or does no more. Notes what that adds to sums, and which sums are doubtful from now on.
-- `asked`: it is to be found out which count; `shared`: several purchases tell of the order.
WITH told AS MATERIALIZED (
    SELECT name, evidence, happened_at, order_key, refund, currency, source, counts,
        min(source) OVER its <> max(source) OVER its OR NOT bool_and(counts) OVER its AS asked,
        count(*) FILTER (WHERE NOT refund) OVER its > 1 AS shared
    FROM trades WHERE order_key = ANY (%(orders)s::uuid[])
    WINDOW its AS (PARTITION BY order_key)
),
doubted AS (
    INSERT INTO staged_trade_sums (evidence, currency, purchases, revenue, refunds, doubtful)
    SELECT DISTINCT told.evidence, told.currency, 0, 0, 0, true
    FROM told
    WHERE told.shared AND NOT told.refund AND told.evidence IS NOT NULL AND NOT EXISTS (
        SELECT FROM trade_sums AS known
        WHERE known.evidence = told.evidence AND known.currency = told.currency AND known.doubtful
    )
),
found AS (
    SELECT told.name, told.source = first_value(told.source) OVER (
        PARTITION BY told.order_key, e.customer, told.refund ORDER BY told.happened_at, told.name
    ) AS counts
    FROM told LEFT JOIN evidences AS e ON e.evidence = told.evidence
    WHERE told.asked
),
changed AS (
    UPDATE trades SET counts = found.counts FROM found
    WHERE trades.name = found.name AND trades.counts <> found.counts
    RETURNING trades.evidence, trades.currency, trades.refund, trades.amount, trades.counts, trades.happened_at
),
noted AS (
    INSERT INTO staged_trade_sums (evidence, currency, purchases, revenue, refunds, doubtful)
    SELECT evidence, currency, CASE WHEN refund THEN 0 WHEN counts THEN 1 ELSE -1 END,
        CASE WHEN refund THEN 0 WHEN counts THEN amount ELSE -amount END,
        CASE WHEN NOT refund THEN 0 WHEN counts THEN -amount ELSE amount END, false
    FROM changed WHERE evidence IS NOT NULL
)
SELECT happened_at FROM changed;

-- name: sum_trades
-- Add what was noted, in the order of the keys and in one statement, so that two projectors do not deadlock.
WITH told AS (DELETE FROM staged_trade_sums RETURNING evidence, currency, purchases, revenue, refunds, doubtful)
INSERT INTO trade_sums AS s (evidence, currency, purchases, revenue, refunds, doubtful)
SELECT evidence, currency, sum(purchases), sum(revenue), sum(refunds), bool_or(doubtful)
FROM told
GROUP BY evidence, currency
ORDER BY evidence, currency
ON CONFLICT (evidence, currency) DO UPDATE
SET purchases = s.purchases + excluded.purchases, revenue = s.revenue + excluded.revenue,
    refunds = s.refunds + excluded.refunds, doubtful = s.doubtful OR excluded.doubtful;

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
