-- How good are the customers, do they come back, and why do they leave? Per customer over all counted purchases, which
-- are those that `domain/facts.py` counts.

-- name: standing
-- Where each customer stands, out of the trades until the moment.
standing AS (
    SELECT whose.customer, min(t.happened_at) FILTER (WHERE NOT t.refund) AS first_at,
        max(t.happened_at) FILTER (WHERE NOT t.refund) AS last_at,
        count(DISTINCT t.order_key) FILTER (WHERE NOT t.refund) AS orders,
        coalesce(sum(t.amount) FILTER (WHERE NOT t.refund AND t.currency = %(currency)s), 0) AS revenue,
        coalesce(-sum(t.amount) FILTER (WHERE t.refund AND t.currency = %(currency)s), 0) AS refunds
    FROM customers.trades AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
    WHERE t.counts AND t.happened_at <= %(now)s AND t.recorded_at <= %(recorded_by)s
        AND (%(customer)s::uuid IS NULL OR whose.customer = (
            SELECT n.customer FROM identity.nodes AS n WHERE n.node = %(customer)s
        ))
    GROUP BY whose.customer
)

-- name: standing_kept
-- The same out of what is noted of each, and of the trades of those of whom that is not up to date.
{stale}, {raw}, {standing}

-- name: scored
-- Each customer who bought until the moment, with the scores of domain/rfm.py. `edges_…`: between the scores, ascending.
WITH {where_they_stand},
scored AS (
    SELECT customer, first_at, last_at, orders, revenue, refunds,
        5 - width_bucket(extract(epoch FROM %(now)s - last_at), %(edges_recency)s::numeric[]) AS recency,
        1 + width_bucket(orders::numeric, %(edges_frequency)s::numeric[]) AS frequency,
        1 + width_bucket(revenue, %(edges_monetary)s::numeric[]) AS monetary
    FROM standing WHERE last_at IS NOT NULL
)

-- name: classes
-- How many customers have each three scores, with their orders, revenue and refunds.
{scored}
SELECT recency, frequency, monetary, count(*), sum(orders)::bigint, sum(revenue), sum(refunds)
FROM scored GROUP BY 1, 2, 3;

-- name: members
-- The customers with one of these triples of scores, who bought last first.
{scored}
SELECT scored.* FROM scored
JOIN unnest(%(rs)s::integer[], %(fs)s::integer[], %(ms)s::integer[]) AS one (recency, frequency, monetary)
    USING (recency, frequency, monetary)
WHERE (last_at, customer) < (%(before_at)s, %(before_name)s)
ORDER BY last_at DESC, customer DESC
LIMIT %(limit)s;

-- name: loyal
-- The most loyal customers: the best by all three scores together, of equal ones those who bought more often, and for
-- more.
{scored}
SELECT scored.* FROM scored
ORDER BY recency + frequency + monetary DESC, orders DESC, revenue DESC, customer
LIMIT %(limit)s;

-- name: one
-- The scores of one customer.
{scored}
SELECT scored.* FROM scored;

-- name: several
-- Keys of orders of which more than one trade tells, read off their index: all others are distinct without being compared.
several AS MATERIALIZED (
    SELECT order_key FROM customers.trades GROUP BY order_key HAVING count(*) > 1
)

-- name: cohorts
-- Customers by the month of their first counted purchase, which lies in the period: how many of them bought in each month
-- since, how many purchases they made, and for how much, by currency; with a null currency of all currencies.
WITH {several},
ever AS MATERIALIZED (
    SELECT whose.customer, t.happened_at, t.order_key, t.amount, t.currency
    FROM customers.trades AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND t.recorded_at <= %(recorded_by)s
),
chosen AS (
    SELECT customer, first_at AT TIME ZONE %(zone)s AS local FROM (
        SELECT customer, min(happened_at) AS first_at FROM ever GROUP BY customer
    ) AS firsts
    WHERE first_at >= %(start)s AND first_at < %(end)s
),
bought AS (
    SELECT e.customer, (12 * date_part('year', c.local) + date_part('month', c.local))::integer - 1 AS cohort,
        (12 * date_part('year', l.local) + date_part('month', l.local))::integer - 1 AS month, e.order_key, e.amount,
        e.currency, several.order_key IS NULL AS alone
    FROM chosen AS c JOIN ever AS e ON e.customer = c.customer AND e.happened_at <= %(now)s
    LEFT JOIN several ON several.order_key = e.order_key
    CROSS JOIN LATERAL (SELECT e.happened_at AT TIME ZONE %(zone)s AS local) AS l
),
buyers AS ( -- each customer of a group once
    SELECT cohort, month, currency, whole, count(*) AS customers, sum(orders)::bigint AS orders, sum(amount) AS amount
    FROM (
        SELECT cohort, month, currency, grouping(currency) = 1 AS whole, sum(amount) AS amount,
            count(*) FILTER (WHERE alone) AS orders
        FROM bought GROUP BY GROUPING SETS ((cohort, month, currency, customer), (cohort, month, customer))
    ) AS of_each
    GROUP BY cohort, month, currency, whole
),
repeated AS (
    SELECT cohort, month, currency, grouping(currency) = 1 AS whole, count(DISTINCT order_key) AS orders
    FROM bought WHERE NOT alone GROUP BY GROUPING SETS ((cohort, month, currency), (cohort, month))
)
SELECT to_char(make_date(b.cohort / 12, b.cohort %% 12 + 1, 1), 'YYYY-MM'), b.month - b.cohort, b.currency, b.customers,
    b.orders + coalesce(r.orders, 0), b.amount
FROM buyers AS b LEFT JOIN repeated AS r ON r.cohort = b.cohort AND r.month = b.month AND r.whole = b.whole
    AND r.currency IS NOT DISTINCT FROM b.currency
ORDER BY b.cohort, b.month, b.whole DESC, b.currency COLLATE "C"
LIMIT %(most)s;

-- name: bought
-- The counted purchases of the period by time, with what their customers had bought until its end. `fresh`: the first
-- purchase lies in the period; `fresh_there`: in the group. `again`: of more than one order.
WITH {several},
ever AS MATERIALIZED (
    SELECT whose.customer, t.happened_at AS at, t.order_key, t.amount, t.currency, several.order_key IS NULL AS alone
    FROM customers.trades AS t LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence
    LEFT JOIN several ON several.order_key = t.order_key
    WHERE t.counts AND NOT t.refund AND t.happened_at < %(end)s AND t.recorded_at <= %(recorded_by)s
),
known AS (
    SELECT customer, at >= %(start)s AS fresh, again, {group} AS first_key FROM (
        SELECT customer, min(at) AS at, count(*) FILTER (WHERE alone) + bool_or(NOT alone)::integer > 1
                OR coalesce(min(order_key::text COLLATE "C") FILTER (WHERE NOT alone)
                    <> max(order_key::text COLLATE "C") FILTER (WHERE NOT alone), false) AS again
        FROM ever WHERE customer IS NOT NULL GROUP BY customer
    ) AS of_each
),
keyed AS MATERIALIZED (
    SELECT p.customer, p.order_key, p.amount, p.currency, p.key, p.alone, known.fresh,
        known.first_key = p.key AS fresh_there, known.again
    FROM (
        SELECT customer, order_key, amount, currency, alone, {group} AS key FROM ever WHERE at >= %(start)s
    ) AS p LEFT JOIN known USING (customer)
),
buyers AS ( -- each customer of a group once
    SELECT key, whole, count(*) AS customers, count(*) FILTER (WHERE fresh) AS fresh,
        count(*) FILTER (WHERE again) AS again
    FROM (
        SELECT key, grouping(key) = 1 AS whole, bool_or(again) AS again,
            CASE WHEN grouping(key) = 1 THEN bool_or(fresh) ELSE bool_or(fresh_there) END AS fresh
        FROM keyed WHERE customer IS NOT NULL
        GROUP BY GROUPING SETS ((key, customer), (customer))
    ) AS of_each
    GROUP BY key, whole
),
repeated AS ( -- each order of a group once of which several tell, of new customers, of others, of nobody that is known
    SELECT key, whole, count(*) FILTER (WHERE fresh) AS fresh, count(*) FILTER (WHERE NOT fresh) AS back,
        count(*) FILTER (WHERE fresh IS NULL) AS unknown
    FROM (
        SELECT key, grouping(key) = 1 AS whole, CASE WHEN grouping(key) = 1 THEN fresh ELSE fresh_there END AS fresh
        FROM keyed WHERE NOT alone
        GROUP BY GROUPING SETS ((key, fresh_there, order_key), (fresh, order_key))
    ) AS of_each
    GROUP BY key, whole
),
orders AS (
    SELECT s.key, s.whole, s.fresh + coalesce(r.fresh, 0) AS fresh, s.back + coalesce(r.back, 0) AS back,
        s.unknown + coalesce(r.unknown, 0) AS unknown
    FROM (
        SELECT key, grouping(key) = 1 AS whole,
            CASE WHEN grouping(key) = 1 THEN count(*) FILTER (WHERE alone AND fresh)
                ELSE count(*) FILTER (WHERE alone AND fresh_there) END AS fresh,
            CASE WHEN grouping(key) = 1 THEN count(*) FILTER (WHERE alone AND NOT fresh)
                ELSE count(*) FILTER (WHERE alone AND NOT fresh_there) END AS back,
            count(*) FILTER (WHERE alone AND customer IS NULL) AS unknown
        FROM keyed GROUP BY GROUPING SETS ((key), ())
    ) AS s LEFT JOIN repeated AS r ON r.whole = s.whole AND (s.whole OR r.key = s.key)
    WHERE NOT s.whole OR EXISTS (SELECT FROM keyed)
),
sums AS (
    SELECT key, currency, grouping(key) = 1 AS whole,
        CASE WHEN grouping(key) = 1 THEN sum(amount) FILTER (WHERE fresh)
            ELSE sum(amount) FILTER (WHERE fresh_there) END AS fresh,
        CASE WHEN grouping(key) = 1 THEN sum(amount) FILTER (WHERE NOT fresh)
            ELSE sum(amount) FILTER (WHERE NOT fresh_there) END AS back,
        sum(amount) FILTER (WHERE customer IS NULL) AS unknown
    FROM keyed
    GROUP BY GROUPING SETS ((key, currency), (currency))
)

-- name: loyalty
-- Customers who bought for the first time, and those who came back; how many of them ordered twice or more until the end
-- of the period; and purchases of nobody that is known. `key` null: of the whole period, which comes first. After these,
-- with a currency, the revenue of new and returning customers, and of nobody that is known.
{bought},
told AS (
    SELECT o.key, NULL AS currency, coalesce(b.customers, 0) AS customers, coalesce(b.fresh, 0) AS fresh,
        coalesce(b.again, 0) AS again, o.fresh AS fresh_orders, o.back, o.unknown, NULL::numeric AS fresh_revenue,
        NULL::numeric AS back_revenue, NULL::numeric AS unknown_revenue
    FROM (SELECT * FROM orders ORDER BY key NULLS FIRST LIMIT %(most)s) AS o
    LEFT JOIN buyers AS b ON b.whole = o.whole AND (o.whole OR b.key = o.key)
    UNION ALL
    SELECT key, currency, NULL, NULL, NULL, NULL, NULL, NULL, coalesce(fresh, 0), coalesce(back, 0),
        coalesce(unknown, 0)
    FROM (SELECT * FROM sums ORDER BY key NULLS FIRST, currency COLLATE "C" LIMIT %(most)s) AS revenue
)
SELECT {label}, currency, customers, fresh, again, fresh_orders, back, unknown, fresh_revenue, back_revenue,
    unknown_revenue
FROM told
ORDER BY key NULLS FIRST, currency COLLATE "C" NULLS FIRST;
