-- What did each customer buy, and what does that come to for all of them? `until`: purchases later than that do not count yet.
-- Parts stand in braces; names of tables are bare, so that they are of the build that stands first in the search path.

-- name: kept
-- How what was bought is summed up, where that is of the people there are.
SELECT zone, currency, frequency, monetary FROM buyers_kept WHERE people = 'evidences'::regclass::oid;

-- name: stale
-- Customers of whom more or other is known than was summed up, by marks of batches; and those who bought after `until`.
stale AS MATERIALIZED (
    SELECT DISTINCT customer FROM (
        SELECT unnest(customers) AS customer FROM {marked}
        UNION ALL
        SELECT e.customer FROM (SELECT DISTINCT unnest(evidences) AS evidence FROM {marked}) AS m
        JOIN evidences AS e USING (evidence)
        UNION ALL
        SELECT e.customer FROM (SELECT DISTINCT unnest(orders) AS order_key FROM {marked}) AS m
        JOIN trades AS t USING (order_key) JOIN evidences AS e USING (evidence)
        UNION ALL
        SELECT e.customer FROM trades AS t JOIN evidences AS e USING (evidence)
        WHERE t.happened_at > %(until)s AND t.counts
    ) AS told
)

-- name: everybody
-- All customers.
stale AS MATERIALIZED (
    SELECT DISTINCT customer FROM evidences
)

-- name: some
-- These customers.
stale AS MATERIALIZED (
    SELECT unnest(%(customers)s::uuid[]) AS customer
)

-- name: nobody
-- Nobody: the parts that end on `calm` go with it.
stale AS (
    SELECT NULL::uuid AS customer WHERE false
)

-- name: marks
-- What batches touched and of how many things that tells, the earliest first, as far as it is not more than so many.
SELECT mark, size FROM (
    SELECT mark, size, sum(size) OVER (ORDER BY mark) - size AS before FROM (
        SELECT mark, cardinality(evidences) + cardinality(customers) + cardinality(orders) + cardinality(voices) AS size
        FROM touched_buyers ORDER BY mark LIMIT 1000
    ) AS first
) AS summed
WHERE before < %(most)s;

-- name: marked
-- Those marks alone.
(SELECT * FROM touched_buyers WHERE mark = ANY (%(marks)s::bigint[]))

-- name: voiced
-- Marks that are also about those who answered a campaign or spoke of a product.
(SELECT customers, evidences || voices AS evidences, orders FROM {marked} AS m)

-- name: customers
-- Whom marks are about.
WITH {stale}
SELECT customer FROM stale;

-- name: forget_marks
-- That was summed up.
DELETE FROM touched_buyers WHERE mark = ANY (%(marks)s::bigint[]);

-- name: raw
-- The counted trades of stale customers, as they are, customer by customer along the indexes. `alone`: no other purchase tells of the order. And where each stands by
-- purchases: `second_at`: when the second order began.
raw AS MATERIALIZED (
    SELECT s.customer, t.happened_at, t.order_key, t.amount, t.currency, t.refund,
        (t.happened_at AT TIME ZONE %(zone)s)::date AS bought_on,
        t.ref IS NULL OR NOT EXISTS (
            SELECT FROM trades AS o
            WHERE o.order_key = t.order_key AND o.name <> t.name AND o.counts AND NOT o.refund
        ) AS alone
    FROM stale AS s
    CROSS JOIN LATERAL (SELECT evidence FROM evidences AS e WHERE e.customer = s.customer OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT * FROM trades AS t WHERE t.evidence = e.evidence AND t.counts OFFSET 0) AS t
),
known AS MATERIALIZED (
    SELECT customer, (min(at) AT TIME ZONE %(zone)s)::date AS first_on,
        coalesce(((array_agg(at ORDER BY at))[2] AT TIME ZONE %(zone)s)::date, 'infinity') AS second_on
    FROM (SELECT customer, order_key, min(happened_at) AS at FROM raw WHERE NOT refund GROUP BY 1, 2) AS of_each
    GROUP BY customer
),
raw_days AS MATERIALIZED (
    SELECT customer, bought_on, currency, count(*) FILTER (WHERE alone) AS orders, sum(amount) AS amount
    FROM raw WHERE NOT refund AND happened_at <= %(until)s
    GROUP BY 1, 2, 3
),
stands AS MATERIALIZED (
    SELECT of_each.*, 11 + 10 * width_bucket(orders::numeric, %(frequency)s::numeric[])
        + width_bucket(revenue, %(monetary)s::numeric[]) AS scores
    FROM (
        SELECT customer, min(happened_at) FILTER (WHERE NOT refund) AS first_at,
            max(happened_at) FILTER (WHERE NOT refund) AS last_at,
            count(DISTINCT order_key) FILTER (WHERE NOT refund) AS orders,
            coalesce(sum(amount) FILTER (WHERE NOT refund AND currency = %(currency)s), 0) AS revenue,
            coalesce(-sum(amount) FILTER (WHERE refund AND currency = %(currency)s), 0) AS refunds
        FROM raw WHERE happened_at <= %(until)s GROUP BY customer
    ) AS of_each
    WHERE last_at IS NOT NULL
)

-- name: changes
-- What has to be added to the sums, since stale customers are in them as they were: what they come to as they are, less that.
days AS MATERIALIZED (
    SELECT 1 AS sign, customer, bought_on, currency, orders, amount, first_on, second_on
    FROM raw_days JOIN known USING (customer)
    UNION ALL
    SELECT -1, b.customer, d.bought_on, d.currency, d.orders, d.amount, b.days[1], b.second_on
    FROM stale AS s
    CROSS JOIN LATERAL (SELECT * FROM buyer_days AS b WHERE b.customer = s.customer OFFSET 0) AS b
    CROSS JOIN LATERAL unnest(b.days, b.currencies, b.counts, b.amounts) AS d (bought_on, currency, orders, amount)
),
changed AS MATERIALIZED ( -- before the month in which a customer's days begin to differ she is the same
    SELECT customer, CASE WHEN bool_or(same) IS NOT TRUE OR min(first) <> max(last) OR min(second) <> max(later)
            THEN '-infinity' ELSE date_trunc('month', (min(bought_on) FILTER (WHERE NOT same))::timestamp)::date
        END AS begins_on
    FROM (
        SELECT customer, bought_on, count(*) = 2 AS same, min(first_on) AS first, max(first_on) AS last,
            min(second_on) AS second, max(second_on) AS later
        FROM days GROUP BY customer, bought_on, currency, orders, amount
    ) AS of_each
    GROUP BY customer
),
differing AS MATERIALIZED (
    SELECT days.* FROM days JOIN changed USING (customer) WHERE bought_on >= begins_on
),
met AS (
    SELECT of_each.* FROM (
        SELECT sign, customer, bought_on, first_on, second_on,
            lag(bought_on, 1, '-infinity') OVER (PARTITION BY sign, customer ORDER BY bought_on) AS before
        FROM (SELECT DISTINCT sign, customer, bought_on, first_on, second_on FROM days) AS of_each
    ) AS of_each
    JOIN changed USING (customer) WHERE bought_on >= begins_on
),
changes AS MATERIALIZED (
    SELECT level, 'a'::"char" AS kind, at, first_on AS since, '-infinity'::date AS second, 0 AS fresh,
        coalesce(currency, '') AS currency, sum(sign)::bigint AS customers, sum(sign * orders)::bigint AS orders,
        sum(sign * amount) AS amount
    FROM (
        SELECT level, sign, customer, at, first_on, currency, sum(orders) AS orders, sum(amount) AS amount
        FROM differing CROSS JOIN LATERAL (
            VALUES ('d'::"char", bought_on), ('m', date_trunc('month', bought_on::timestamp)::date)
        ) AS l (level, at)
        GROUP BY GROUPING SETS ((level, sign, customer, at, first_on, currency), (level, sign, customer, at, first_on))
    ) AS of_each
    WHERE level = 'm' OR currency IS NOT NULL
    GROUP BY level, at, first_on, currency
    UNION ALL
    SELECT level, 'b', at, before, CASE WHEN second_on > last_on THEN second_on ELSE '-infinity' END,
        (date_trunc('month', first_on::timestamp) = date_trunc('month', at::timestamp))::integer
            + CASE WHEN level = 'd' AND date_trunc('week', first_on::timestamp) = date_trunc('week', at::timestamp)
                THEN 2 ELSE 0 END,
        '', sum(sign), 0, 0
    FROM (
        SELECT 'd'::"char" AS level, sign, customer, bought_on AS at, bought_on AS last_on, before, first_on, second_on
        FROM met
        UNION ALL
        SELECT 'm', sign, customer, at, (at + interval '1 month' - interval '1 day')::date, min(before), first_on,
            second_on
        FROM met CROSS JOIN LATERAL (SELECT date_trunc('month', bought_on::timestamp)::date AS at) AS l
        GROUP BY sign, customer, at, first_on, second_on
    ) AS of_each
    GROUP BY 1, 3, 4, 5, 6
)

-- name: moves
-- The same of where they stand.
moves AS (
    SELECT 'd'::"char" AS level, kind, (last_at AT TIME ZONE %(zone)s)::date AS at, '-infinity'::date AS since,
        '-infinity'::date AS second, scores, '' AS currency, sum(sign)::bigint AS customers,
        sum(sign * orders)::bigint AS orders, sum(sign * amount) AS amount
    FROM (
        SELECT 1 AS sign, stands.* FROM stands
        UNION ALL
        SELECT -1, b.* FROM stale AS s
        CROSS JOIN LATERAL (SELECT * FROM buyers AS b WHERE b.customer = s.customer OFFSET 0) AS b
    ) AS s CROSS JOIN LATERAL (VALUES ('c'::"char", revenue), ('d', refunds)) AS v (kind, amount)
    GROUP BY 2, 3, 6
)

-- name: repeats
-- Purchases of orders of which several tell.
repeats AS MATERIALIZED (
    SELECT customer, bought_on, first_on, currency, order_key FROM buyer_repeats AS r
    WHERE NOT EXISTS (SELECT FROM stale WHERE stale.customer = r.customer)
    UNION ALL
    SELECT customer, bought_on, first_on, currency, order_key FROM raw JOIN known USING (customer)
    WHERE NOT refund AND NOT alone AND happened_at <= %(until)s
)

-- name: standing
-- Where each customer stands: as was summed up, or by the trades of those who are stale.
standing AS (
    SELECT * FROM buyers AS b
    WHERE NOT EXISTS (SELECT FROM stale WHERE stale.customer = b.customer)
    UNION ALL
    SELECT * FROM stands
)

-- name: raw_calm
-- No trades, of nobody.
raw AS (
    SELECT WHERE false
),
stands AS (
    SELECT * FROM buyers WHERE false
)

-- name: changes_calm
-- No changes.
changes AS (
    SELECT * FROM buyer_sums WHERE false
)

-- name: moves_calm
-- None of those either.
moves AS (
    SELECT * FROM buyer_sums WHERE false
)

-- name: repeats_calm
-- All that is noted.
repeats AS (
    SELECT customer, bought_on, first_on, currency, order_key FROM buyer_repeats
)

-- name: standing_calm
-- What is noted of each.
standing AS (
    SELECT * FROM buyers
)

-- name: sum_all
-- The sums of everybody, where there are none.
WITH {stale}, {raw}, {changes}, {moves}
INSERT INTO buyer_sums
SELECT * FROM (SELECT * FROM changes UNION ALL SELECT * FROM moves) AS told WHERE customers <> 0
ORDER BY level, kind, at;

-- name: add_up
-- The sums, by what has changed.
WITH {stale}, {raw}, {changes}, {moves}
INSERT INTO buyer_sums AS s
SELECT * FROM (SELECT * FROM changes UNION ALL SELECT * FROM moves) AS told
WHERE customers <> 0 OR orders <> 0 OR amount <> 0
ON CONFLICT (level, kind, at, since, second, fresh, currency) DO UPDATE
SET customers = s.customers + excluded.customers, orders = s.orders + excluded.orders,
    amount = s.amount + excluded.amount;

-- name: forget_empty
-- Sums of nobody any more.
DELETE FROM buyer_sums WHERE customers = 0;

-- name: forget_buyers
-- What was noted of these customers.
DELETE FROM buyers WHERE customer = ANY (%(customers)s::uuid[]);

-- name: forget_days
-- On which days they bought.
DELETE FROM buyer_days WHERE customer = ANY (%(customers)s::uuid[]);

-- name: forget_repeats
-- Which orders of theirs several tell of.
DELETE FROM buyer_repeats WHERE customer = ANY (%(customers)s::uuid[]);

-- name: note_all
-- What they bought, as it is: where they stand, on which days, and orders of which several tell.
WITH {stale}, {raw},
standing AS (
    INSERT INTO buyers SELECT * FROM stands
),
days AS (
    INSERT INTO buyer_days
    SELECT customer, second_on, array_agg(bought_on ORDER BY bought_on, currency),
        array_agg(currency ORDER BY bought_on, currency), array_agg(orders ORDER BY bought_on, currency),
        array_agg(amount ORDER BY bought_on, currency)
    FROM raw_days JOIN known USING (customer)
    GROUP BY customer, second_on
)
INSERT INTO buyer_repeats
SELECT customer, bought_on, first_on, currency, order_key FROM raw JOIN known USING (customer)
WHERE NOT refund AND NOT alone;

-- name: keep
-- How it is summed up from now on.
INSERT INTO buyers_kept
SELECT %(zone)s, %(currency)s, %(frequency)s::numeric[], %(monetary)s::numeric[], 'evidences'::regclass::oid;

-- name: empty
-- Nothing is summed up. All that is marked is summed up by those who make all of it.
WITH stand AS (DELETE FROM buyers), days AS (DELETE FROM buyer_days), repeats AS (DELETE FROM buyer_repeats),
    sums AS (DELETE FROM buyer_sums), kept AS (DELETE FROM buyers_kept), being_made AS (DELETE FROM buyers_filling)
DELETE FROM touched_buyers;

-- name: filling
-- How it is being summed up, where that is of the people there are, and the last customer who was found out about.
SELECT zone, currency, frequency, monetary, customer FROM buyers_filling WHERE people = 'evidences'::regclass::oid;

-- name: begin_filling
-- It is summed up customer by customer, in the order of their ids, of which this is before all.
INSERT INTO buyers_filling
SELECT %(zone)s, %(currency)s, %(frequency)s::numeric[], %(monetary)s::numeric[], 'evidences'::regclass::oid,
    '00000000-0000-0000-0000-000000000000'
RETURNING customer;

-- name: following
-- The next customers.
SELECT DISTINCT customer FROM evidences WHERE customer > %(customer)s ORDER BY customer LIMIT %(most)s;

-- name: fill_to
-- So far it is summed up.
UPDATE buyers_filling SET customer = %(customer)s;

-- name: end_filling
-- It is all summed up.
DELETE FROM buyers_filling;

-- name: analyze
-- What the planner has to know of what was made all at once.
ANALYZE buyers, buyer_days, buyer_repeats, buyer_sums;
