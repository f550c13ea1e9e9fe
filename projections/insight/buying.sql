-- Do customers come back? Out of the sums of what they bought (see projections/figures/buyers.sql), whose parts stand in braces;
-- over whole days of the zone that they are of.

-- name: classes
-- How many customers have each three scores, with their orders, revenue and refunds. `cut`: days in which a score of recency
-- ends; of all others it is that of their begin. `starts`, `ends`: moments between which those days lie.
WITH {stale}, {raw},
summed AS (
    SELECT at, fresh AS scores, kind, customers, orders, amount FROM buyer_sums
    WHERE level = 'd' AND kind IN ('c', 'd') AND at <> ALL (%(cut)s::date[])
),
of_days AS (
    SELECT (at::timestamp AT TIME ZONE %(zone)s) AS last_at, scores,
        sum(customers) FILTER (WHERE kind = 'c') AS customers, sum(orders) FILTER (WHERE kind = 'c') AS orders,
        sum(amount) FILTER (WHERE kind = 'c') AS revenue, sum(amount) FILTER (WHERE kind = 'd') AS refunds
    FROM summed GROUP BY at, scores
),
told AS (
    SELECT * FROM of_days
    UNION ALL -- they are in those as they were
    SELECT last_at, scores, -1, -orders, -revenue, -refunds FROM stale JOIN buyers USING (customer)
    WHERE (last_at AT TIME ZONE %(zone)s)::date <> ALL (%(cut)s::date[])
    UNION ALL
    SELECT last_at, scores, 1, orders, revenue, refunds FROM stands
    UNION ALL
    SELECT b.last_at, b.scores, 1, b.orders, b.revenue, b.refunds
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until) CROSS JOIN LATERAL (
        SELECT * FROM buyers AS b WHERE b.last_at >= r.start AND b.last_at < r.until
        OFFSET 0
    ) AS b
    WHERE (b.last_at AT TIME ZONE %(zone)s)::date = ANY (%(cut)s::date[]) AND NOT EXISTS (SELECT FROM stale WHERE stale.customer = b.customer)
)
SELECT 5 - width_bucket(extract(epoch FROM %(now)s - last_at), %(edges_recency)s::numeric[]) AS recency,
    scores / 10, scores %% 10, sum(customers)::bigint, sum(orders)::bigint, sum(revenue), sum(refunds)
FROM told GROUP BY 1, 2, 3
HAVING sum(customers) <> 0;

-- name: cohorts
-- Customers by the month of their first counted purchase, which lies in the period: how many of them bought in each month
-- since, how many purchases they made, and for how much, by currency; with a null currency of all currencies.
WITH {stale}, {raw}, {changes}, {repeats},
cells AS (
    SELECT since, at, currency, customers, orders, amount FROM buyer_sums
    WHERE level = 'm' AND kind = 'a' AND since >= %(first)s AND since < %(last)s
        AND at >= date_trunc('month', %(first)s::date::timestamp)::date
    UNION ALL
    SELECT since, at, currency, customers, orders, amount FROM changes
    WHERE level = 'm' AND kind = 'a' AND since >= %(first)s AND since < %(last)s
),
summed AS (
    SELECT date_trunc('month', since::timestamp)::date AS cohort, at, currency, sum(customers)::bigint AS customers,
        sum(orders)::bigint AS orders, sum(amount) AS amount
    FROM cells GROUP BY 1, 2, 3 HAVING sum(customers) <> 0
),
repeated AS (
    SELECT cohort, at, coalesce(currency, '') AS currency, count(DISTINCT order_key) AS orders
    FROM repeats CROSS JOIN LATERAL (
        SELECT date_trunc('month', first_on::timestamp)::date AS cohort,
            date_trunc('month', bought_on::timestamp)::date AS at
    ) AS l
    WHERE first_on >= %(first)s AND first_on < %(last)s
    GROUP BY GROUPING SETS ((cohort, at, currency), (cohort, at))
)
SELECT to_char(s.cohort, 'YYYY-MM'),
    (12 * (date_part('year', s.at) - date_part('year', s.cohort)) + date_part('month', s.at)
        - date_part('month', s.cohort))::integer,
    nullif(s.currency, ''), s.customers, s.orders + coalesce(r.orders, 0), s.amount
FROM summed AS s LEFT JOIN repeated AS r USING (cohort, at, currency)
ORDER BY s.cohort, s.at, s.currency <> '', s.currency COLLATE "C"
LIMIT %(most)s;

-- name: loyalty
-- Of each group (`key`, which begins on `start`; `edge`: its first day in the period), and of the whole period (null), by the
-- pieces that each is made of: `kind` b: customers, those who are new, those with two orders by the end; a: orders that
-- one purchase alone tells of, of new customers and of others, with what they came to, by currency; r: orders
-- of which several tell, likewise. `bit`: of `fresh`, 0 for days.
WITH {stale}, {raw}, {changes}, {repeats},
piece AS (
    SELECT * FROM unnest(
        %(levels)s::text[], %(ats)s::date[], %(keys)s::text[], %(begins)s::date[], %(edges)s::date[], %(whole)s::boolean[],
        %(each)s::boolean[]
    ) AS p (level, at, key, start, edge, whole, each)
),
met_in AS ( -- piece by piece along the index, whatever the planner thinks of how many there are
    SELECT p.key, p.edge, p.whole, p.each, s.since, s.second, s.fresh, s.customers FROM piece AS p CROSS JOIN LATERAL (
        SELECT since, second, fresh, customers FROM buyer_sums AS s
        WHERE s.level = p.level::"char" AND s.kind = 'b' AND s.at = p.at
        OFFSET 0
    ) AS s
    UNION ALL
    SELECT p.key, p.edge, p.whole, p.each, c.since, c.second, c.fresh, c.customers FROM piece AS p
    JOIN changes AS c ON c.kind = 'b' AND c.level = p.level::"char" AND c.at = p.at
),
bought_in AS (
    SELECT p.key, p.start, p.whole, p.each, s.since, s.currency, s.customers, s.orders, s.amount
    FROM piece AS p CROSS JOIN LATERAL (
        SELECT since, currency, customers, orders, amount FROM buyer_sums AS s
        WHERE s.level = p.level::"char" AND s.kind = 'a' AND s.at = p.at AND s.currency <> ''
        OFFSET 0
    ) AS s
    UNION ALL
    SELECT p.key, p.start, p.whole, p.each, c.since, c.currency, c.customers, c.orders, c.amount FROM piece AS p
    JOIN changes AS c ON c.kind = 'a' AND c.level = p.level::"char" AND c.at = p.at AND c.currency <> ''
),
groups AS (
    SELECT key, min(edge) AS edge, max(start) AS start FROM piece WHERE each GROUP BY key
)
SELECT 'b' AS kind, key, '' AS currency, sum(customers)::bigint AS one,
    coalesce(sum(customers) FILTER (
        WHERE CASE %(bit)s WHEN 0 THEN since = '-infinity' ELSE fresh & %(bit)s <> 0 END
    ), 0)::bigint,
    coalesce(sum(customers) FILTER (WHERE second < %(last)s), 0)::bigint, 0::numeric, 0::numeric
FROM met_in WHERE each AND since < edge
GROUP BY key HAVING sum(customers) <> 0
UNION ALL
SELECT 'b', NULL, '', sum(customers)::bigint, coalesce(sum(customers) FILTER (WHERE since = '-infinity'), 0)::bigint,
    coalesce(sum(customers) FILTER (WHERE second < %(last)s), 0)::bigint, 0, 0
FROM met_in WHERE whole AND since < %(first)s
HAVING sum(customers) <> 0
UNION ALL
SELECT 'a', key, currency, coalesce(sum(orders) FILTER (WHERE since >= start), 0)::bigint,
    coalesce(sum(orders) FILTER (WHERE since < start), 0)::bigint, 0,
    coalesce(sum(amount) FILTER (WHERE since >= start), 0), coalesce(sum(amount) FILTER (WHERE since < start), 0)
FROM bought_in WHERE each
GROUP BY key, currency HAVING sum(customers) <> 0
UNION ALL
SELECT 'a', NULL, currency, coalesce(sum(orders) FILTER (WHERE since >= %(first)s), 0)::bigint,
    coalesce(sum(orders) FILTER (WHERE since < %(first)s), 0)::bigint, 0,
    coalesce(sum(amount) FILTER (WHERE since >= %(first)s), 0),
    coalesce(sum(amount) FILTER (WHERE since < %(first)s), 0)
FROM bought_in WHERE whole
GROUP BY currency HAVING sum(customers) <> 0
UNION ALL
SELECT 'r', g.key, '', count(DISTINCT order_key) FILTER (WHERE first_on >= coalesce(g.start, %(first)s)),
    count(DISTINCT order_key) FILTER (WHERE first_on < coalesce(g.start, %(first)s)), 0, 0, 0
FROM repeats JOIN (
    SELECT key, start, edge, lead(edge, 1, %(last)s) OVER (ORDER BY edge) AS until FROM groups
    UNION ALL
    SELECT NULL, NULL, %(first)s, %(last)s
) AS g ON bought_on >= g.edge AND bought_on < g.until
GROUP BY g.key;

-- name: nobody
-- Purchases of nobody that is known, by group and currency, over pieces (see projections/figures/pieces.py): how many, what they
-- come to, orders that one of them alone tells of, and the keys of others.
WITH piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS p (level, start, until)
),
part AS (
    SELECT t.happened_at AS at, t.currency, 1 AS purchases, t.amount, alone::integer AS orders,
        CASE WHEN NOT alone THEN t.order_key::text END AS several
    FROM piece AS p
    JOIN trades AS t ON t.happened_at >= p.start AND t.happened_at < p.until
    CROSS JOIN LATERAL (
        SELECT t.ref IS NULL OR NOT EXISTS (
            SELECT FROM trades AS o
            WHERE o.order_key = t.order_key AND o.name <> t.name AND o.counts AND NOT o.refund
        ) AS alone
    ) AS a
    WHERE p.level IS NULL AND t.counts AND NOT t.refund AND t.evidence IS NULL
    UNION ALL
    SELECT s.at, s.currency, s.purchases, s.revenue, s.orders, array_to_string(s.several, ',')
    FROM piece AS p CROSS JOIN LATERAL (
        SELECT * FROM sales_sums AS s
        WHERE s.level = p.level::"char" AND s.dimension = 'nobody' AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
)
SELECT to_char(date_trunc(%(by)s, at AT TIME ZONE %(zone)s), %(label)s), currency, sum(purchases)::bigint, sum(amount),
    sum(orders)::bigint, string_agg(several, ',')
FROM part GROUP BY 1, 2
HAVING sum(purchases) > 0;
