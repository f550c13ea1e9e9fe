-- How good are the customers, do they come back, and why do they leave? Per customer over all counted purchases, which
-- are those that `domain/facts.py` counts.

-- name: scored
-- Each customer who bought until the moment, with the scores of domain/rfm.py. `edges_…`: between the scores, ascending.
WITH standing AS (
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
),
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

-- name: cohorts
-- Customers by the month of their first counted purchase, which lies in the period: how many of them bought in each month
-- since, how many purchases they made, and for how much, by currency; with a null currency of all currencies.
WITH firsts AS (
    SELECT whose.customer, min(t.happened_at) AS first_at
    FROM customers.trades AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND t.recorded_at <= %(recorded_by)s
    GROUP BY whose.customer
),
chosen AS (
    SELECT customer, date_trunc('month', first_at AT TIME ZONE %(zone)s) AS cohort FROM firsts
    WHERE first_at >= %(start)s AND first_at < %(end)s
),
bought AS (
    SELECT c.customer, c.cohort, t.order_key, t.amount, t.currency, extract(year FROM age) * 12 + extract(month FROM age)
        AS since
    FROM chosen AS c JOIN identity.evidences AS hers ON hers.customer = c.customer
    JOIN customers.trades AS t ON t.evidence = hers.evidence
    CROSS JOIN LATERAL age(date_trunc('month', t.happened_at AT TIME ZONE %(zone)s), c.cohort) AS age
    WHERE t.counts AND NOT t.refund AND t.happened_at <= %(now)s AND t.recorded_at <= %(recorded_by)s
)
SELECT to_char(cohort, 'YYYY-MM'), since::integer, currency, count(DISTINCT customer), count(DISTINCT order_key),
    sum(amount)
FROM bought
GROUP BY GROUPING SETS ((cohort, since, currency), (cohort, since))
ORDER BY cohort, since, currency COLLATE "C" NULLS FIRST
LIMIT %(most)s;

-- name: bought
-- The counted purchases of the period, with when the same customer bought first, and how many orders there were until the
-- end of the period. `fresh`: the first purchase lies in the group, or of `key` null in the period.
WITH purchases AS (
    SELECT t.happened_at AS at, t.order_key, t.amount, t.currency, whose.customer
    FROM customers.trades AS t LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND t.happened_at >= %(start)s AND t.happened_at < %(end)s
        AND t.recorded_at <= %(recorded_by)s
),
known AS (
    SELECT those.customer, min(t.happened_at) AS first_at, count(DISTINCT t.order_key) AS orders
    FROM (SELECT DISTINCT customer FROM purchases WHERE customer IS NOT NULL) AS those
    JOIN identity.evidences AS hers ON hers.customer = those.customer
    JOIN customers.trades AS t ON t.evidence = hers.evidence
    WHERE t.counts AND NOT t.refund AND t.happened_at < %(end)s AND t.recorded_at <= %(recorded_by)s
    GROUP BY those.customer
),
firsts AS (
    SELECT customer, first_at, orders, {first_key} AS first_key FROM (
        SELECT known.*, first_at AS at FROM known
    ) AS timed
),
keyed AS (
    SELECT purchases.*, firsts.first_at, firsts.orders, firsts.first_key, {key} AS key
    FROM purchases LEFT JOIN firsts USING (customer)
),
told AS (
    SELECT customer, order_key, amount, currency, orders, key, first_key = key AS fresh FROM keyed
    UNION ALL
    SELECT customer, order_key, amount, currency, orders, NULL, first_at >= %(start)s FROM keyed
)

-- name: returning
-- Customers who bought for the first time, and those who came back; how many of them ordered twice or more until the end
-- of the period; and purchases of nobody that is known. `key` null: of the whole period.
{bought}
SELECT key, count(DISTINCT customer), count(DISTINCT customer) FILTER (WHERE fresh),
    count(DISTINCT customer) FILTER (WHERE orders > 1), count(DISTINCT order_key) FILTER (WHERE fresh),
    count(DISTINCT order_key) FILTER (WHERE NOT fresh), count(DISTINCT order_key) FILTER (WHERE customer IS NULL)
FROM told GROUP BY key
ORDER BY key COLLATE "C" NULLS FIRST
LIMIT %(most)s;

-- name: returned
-- The revenue of new and returning customers, and of nobody that is known, by currency.
{bought}
SELECT key, currency, coalesce(sum(amount) FILTER (WHERE fresh), 0),
    coalesce(sum(amount) FILTER (WHERE NOT fresh), 0), coalesce(sum(amount) FILTER (WHERE customer IS NULL), 0)
FROM told GROUP BY key, currency
ORDER BY key COLLATE "C" NULLS FIRST, currency COLLATE "C"
LIMIT %(most)s;
