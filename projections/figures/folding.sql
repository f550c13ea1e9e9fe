-- How are sums made of what happened in some times? `starts` and `ends` are the begins and ends of those; a sum that is
-- made anew is taken away first (forgetting.sql). Rows are found time by time along the index: where the planner knows nothing
-- of a table yet, it would hold all of its rows against all of the times.

-- name: snapshot
-- All that follows is of one moment: what a batch touched that is not committed yet stays touched. The lock comes before
-- the moment does, and keeps another build from being switched in meanwhile.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; LOCK TABLE storyline.read_models IN ACCESS SHARE MODE;

-- name: settings
-- A pass over everything has room to sort, and none of it is worth to be compiled.
SET LOCAL work_mem = '128MB'; SET LOCAL jit = off;

-- name: lock
-- One at a time makes sums of a build; false where somebody does.
SELECT pg_try_advisory_lock(705308117, hashtext(%(build)s));

-- name: unlock
-- Let the next one.
SELECT pg_advisory_unlock(705308117, hashtext(%(build)s));

-- name: touched
-- What batches touched, the earliest first, as far as it is not more than so many quarters.
SELECT mark, quarters FROM (
    SELECT mark, quarters, sum(cardinality(quarters)) OVER (ORDER BY mark) - cardinality(quarters) AS before
    FROM (SELECT mark, quarters FROM touched ORDER BY mark LIMIT 1000) AS first
) AS summed
WHERE before < %(most)s;

-- name: forget_touched
-- That was summed.
DELETE FROM touched WHERE mark = ANY (%(marks)s::bigint[]);

-- name: beside
-- The quarters of other purchases of the orders of these: whether one is the only one of its order changes with them. Found
-- order by order along the index, since the planner would rather read all trades there are.
SELECT DISTINCT date_bin('15 minutes', o.happened_at, '2000-01-01 00:00+00')
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
CROSS JOIN LATERAL (
    SELECT order_key, name FROM trades AS t
    WHERE t.happened_at >= r.start AND t.happened_at < r.until AND t.ref IS NOT NULL
    OFFSET 0
) AS t
CROSS JOIN LATERAL (
    SELECT o.happened_at FROM trades AS o WHERE o.order_key = t.order_key AND o.name <> t.name
    OFFSET 0
) AS o;

-- name: sum_trades
-- Sales by quarter, in all and by what the trade says. Whether a purchase is the only one of its order is asked once, and
-- not for each of those.
INSERT INTO sales_sums
WITH sold AS MATERIALIZED (
    SELECT date_bin('15 minutes', t.happened_at, '2000-01-01 00:00+00') AS at, t.currency, t.refund, t.amount,
        t.order_key, t.channel, t.country, t.campaign, t.actor, t.type, t.evidence, u.units,
        t.ref IS NULL OR NOT EXISTS (
            SELECT FROM trades AS o
            WHERE o.order_key = t.order_key AND o.name <> t.name AND o.counts AND NOT o.refund
        ) AS alone
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM trades AS t WHERE t.happened_at >= r.start AND t.happened_at < r.until AND t.counts OFFSET 0
    ) AS t
    LEFT JOIN LATERAL (SELECT sum(quantity) AS units FROM lines AS l WHERE l.name = t.name) AS u ON true
)
SELECT 'q', d.dimension, at, coalesce(d.value, ''), currency, count(*) FILTER (WHERE NOT refund),
    count(*) FILTER (WHERE refund), coalesce(sum(amount) FILTER (WHERE NOT refund), 0),
    coalesce(-sum(amount) FILTER (WHERE refund), 0), coalesce(sum(units) FILTER (WHERE NOT refund), 0),
    count(*) FILTER (WHERE NOT refund AND alone),
    array_agg(order_key) FILTER (WHERE NOT refund AND NOT alone)
FROM sold
CROSS JOIN LATERAL (VALUES
    ('', ''), ('channel', channel), ('country', country), ('campaign', campaign), ('actor', actor), ('type', type),
    ('nobody', '')
) AS d (dimension, value)
WHERE d.dimension <> 'nobody' OR evidence IS NULL
GROUP BY 2, 3, 4, 5;

-- name: sum_lines
-- Sales by time, and by product or category: that of the line, else by the latest description of its product.
INSERT INTO sales_sums
WITH described AS (
    SELECT DISTINCT ON (ref) ref, fields ->> 'category' AS category
    FROM things WHERE kind = 'product' AND fields ? 'category'
    ORDER BY ref, happened_at DESC, name DESC
),
sold AS (
    SELECT t.name, t.happened_at, t.currency, t.refund, t.order_key, t.ref,
        CASE WHEN %(dimension)s = 'product' THEN l.product ELSE coalesce(l.category, c.category) END AS value,
        sum(l.amount) AS amount, sum(l.quantity) AS quantity
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM trades AS t WHERE t.happened_at >= r.start AND t.happened_at < r.until AND t.counts OFFSET 0
    ) AS t
    JOIN lines AS l ON l.name = t.name
    LEFT JOIN described AS c ON c.ref = l.product AND l.category IS NULL AND %(dimension)s = 'category'
    GROUP BY 1, 2, 3, 4, 5, 6, 7
),
several AS (
    SELECT s.order_key FROM (SELECT DISTINCT order_key FROM sold WHERE ref IS NOT NULL AND NOT refund) AS s
    WHERE EXISTS (
        SELECT FROM trades AS o WHERE o.order_key = s.order_key AND o.counts AND NOT o.refund
        OFFSET 1
    )
)
SELECT %(level)s::"char", %(dimension)s,
    CASE WHEN %(level)s = 'q' THEN date_bin('15 minutes', happened_at, '2000-01-01 00:00+00')
        ELSE date_trunc('day', happened_at, 'UTC') END,
    coalesce(value, ''), currency, count(*) FILTER (WHERE NOT refund), count(*) FILTER (WHERE refund),
    coalesce(sum(amount) FILTER (WHERE NOT refund), 0), coalesce(-sum(amount) FILTER (WHERE refund), 0),
    coalesce(sum(quantity) FILTER (WHERE NOT refund), 0),
    count(*) FILTER (WHERE NOT refund AND several.order_key IS NULL),
    array_agg(sold.order_key) FILTER (WHERE NOT refund AND several.order_key IS NOT NULL)
FROM sold LEFT JOIN several ON several.order_key = sold.order_key
GROUP BY 3, 4, 5;

-- name: sum_sales
-- Longer sums out of shorter ones. The keys of orders that several purchases tell of are put beside the sums and not joined
-- with them: of sums that were made a moment ago the planner knows nothing, and would hold each against each.
INSERT INTO sales_sums
WITH shorter AS (
    SELECT CASE WHEN %(level)s = 'h' THEN date_trunc('hour', s.at, 'UTC')
            WHEN %(level)s = 'd' THEN date_trunc('day', s.at, 'UTC') ELSE date_trunc('month', s.at, 'UTC') END AS longer,
        s.*
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM sales_sums AS s
        WHERE s.level = %(of)s::"char" AND s.dimension = ANY (%(dimensions)s::text[]) AND s.at >= r.start AND s.at < r.until
        OFFSET 0
    ) AS s
),
added AS (
    SELECT dimension, longer, value, currency, purchases, returns, revenue, refunds, units, orders,
        NULL::uuid[] AS several
    FROM shorter
    UNION ALL
    SELECT dimension, longer, value, currency, 0, 0, 0, 0, 0, 0, array_agg(DISTINCT key)
    FROM shorter, unnest(several) AS key GROUP BY 1, 2, 3, 4
)
SELECT %(level)s::"char", dimension, longer, value, currency, sum(purchases), sum(returns), sum(revenue), sum(refunds),
    sum(units), sum(orders), any_value(several)
FROM added
GROUP BY dimension, longer, value, currency;

-- name: sum_contacts
-- Touchpoints by quarter, channel and direction, of the types that are none of the ones that are no touchpoints; type by
-- type, along the index.
INSERT INTO contact_sums
SELECT 'q', date_bin('15 minutes', happened_at, '2000-01-01 00:00+00'), coalesce(channel, ''), coalesce(direction, ''),
    count(*)
FROM (
    SELECT e.happened_at, e.channel, e.direction
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM events AS e
        WHERE e.happened_at >= r.start AND e.happened_at < r.until AND e.touch
            AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s::text[]))
        OFFSET 0
    ) AS e
    WHERE NOT EXISTS (SELECT FROM corrected AS c WHERE c.name = e.name AND c.retracted)
) AS touched
GROUP BY 2, 3, 4;

-- name: types
-- The types of touchpoints that were ever seen, found one after the other along the index.
WITH RECURSIVE found AS (
    (SELECT type FROM events ORDER BY type LIMIT 1)
    UNION ALL
    SELECT (SELECT e.type FROM events AS e WHERE e.type > found.type ORDER BY e.type LIMIT 1)
    FROM found WHERE found.type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL;

-- name: sum_contact_sums
-- Longer sums out of shorter ones.
INSERT INTO contact_sums
SELECT %(level)s::"char", CASE WHEN %(level)s = 'h' THEN date_trunc('hour', s.at, 'UTC')
        WHEN %(level)s = 'd' THEN date_trunc('day', s.at, 'UTC') ELSE date_trunc('month', s.at, 'UTC') END,
    channel, direction, sum(touchpoints)
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
CROSS JOIN LATERAL (
    SELECT * FROM contact_sums AS s WHERE s.level = %(of)s::"char" AND s.at >= r.start AND s.at < r.until
    OFFSET 0
) AS s
GROUP BY 2, 3, 4;

-- name: outdate
-- Sums of these days or months are older than what they are made of.
INSERT INTO stale_sums SELECT %(level)s::"char", unnest(%(starts)s::timestamptz[]) ON CONFLICT DO NOTHING;

-- name: outdated
-- Stale days or months in which nothing waits to be summed, the earliest first, so many.
WITH busy AS (
    SELECT DISTINCT date_trunc(CASE WHEN %(level)s = 'd' THEN 'day' ELSE 'month' END, q, 'UTC') AS at
    FROM touched, unnest(quarters) AS q
    UNION
    SELECT date_trunc('month', at, 'UTC') FROM stale_sums WHERE level = 'd' AND %(level)s = 'm'
)
SELECT at FROM stale_sums WHERE level = %(level)s::"char" AND at NOT IN (SELECT at FROM busy)
ORDER BY at
LIMIT %(most)s;

-- name: renew
-- They are right again.
DELETE FROM stale_sums WHERE level = %(level)s::"char" AND at = ANY (%(starts)s::timestamptz[]);

-- name: empty_sales
-- Nothing is summed.
DELETE FROM sales_sums;

-- name: empty_contacts
-- Of touchpoints, too.
DELETE FROM contact_sums;

-- name: empty_metrics
-- And of metrics. All that is touched is summed by those who make all of it.
DELETE FROM metric_sums; DELETE FROM metric_fills; DELETE FROM stale_sums; DELETE FROM touched;

-- name: analyze_sales
-- What the planner has to know of sums that were made all at once.
ANALYZE sales_sums;

-- name: analyze_contacts
-- Likewise.
ANALYZE contact_sums;

-- name: analyze_metrics
-- Likewise.
ANALYZE metric_sums;
