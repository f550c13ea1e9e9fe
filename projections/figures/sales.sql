-- What do sales come to? Over the pieces of a period (see pieces.py): of sums where `levels` says one, else of the rows. Only
-- trades count of which no other source told before. `unit`: what time is grouped by; hours of the day and days of the
-- week stand in the week of 3 January 2000, a Monday.

-- name: snapshot
-- What is asked now is of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: room
-- Thousands of groups are put together in memory.
SET LOCAL work_mem = '32MB';

-- name: teams
-- The first team of each colleague who has one.
SELECT code, teams[1] FROM storyline.people WHERE cardinality(teams) > 0;

-- name: stale
-- Which sums of a period are older than the rows? (level, begin), those that start before its end.
SELECT DISTINCT 'q', q FROM figures.touched, unnest(quarters) AS q
WHERE q > %(start)s::timestamptz - interval '15 minutes' AND q < %(end)s
UNION ALL
SELECT level::text, at FROM figures.stale_sums WHERE at > %(start)s::timestamptz - interval '32 days' AND at < %(end)s;

-- name: sales
-- By bucket, value of a dimension, currency and era (which rates hold): purchases, returns, revenue, refunds, units, orders
-- of one purchase, and the keys of the others.
WITH described AS (
    SELECT DISTINCT ON (ref) ref, fields ->> 'category' AS category
    FROM figures.things WHERE kind = 'product' AND fields ? 'category' AND %(by_line)s
    ORDER BY ref, happened_at DESC, name DESC
),
piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS p (level, start, until)
),
sold AS (
    SELECT t.happened_at AS at,
        CASE %(by)s WHEN 'channel' THEN t.channel WHEN 'country' THEN t.country WHEN 'campaign' THEN t.campaign
            WHEN 'actor' THEN t.actor WHEN 'type' THEN t.type ELSE i.item END AS value,
        t.currency, t.refund, t.order_key, CASE WHEN %(by_line)s THEN i.amount ELSE t.amount END AS amount, i.units,
        t.ref IS NULL OR NOT EXISTS (
            SELECT FROM customers.trades AS o WHERE o.order_key = t.order_key AND o.name <> t.name AND o.counts AND NOT o.refund
        ) AS alone
    FROM piece AS p
    JOIN customers.trades AS t ON t.happened_at >= p.start AND t.happened_at < p.until AND t.counts
    LEFT JOIN LATERAL (
        SELECT CASE %(by)s WHEN 'product' THEN l.product WHEN 'category' THEN coalesce(l.category, c.category) END AS item,
            sum(l.amount) AS amount, sum(l.quantity) AS units, true AS has
        FROM figures.lines AS l LEFT JOIN described AS c ON %(by_line)s AND c.ref = l.product AND l.category IS NULL
        WHERE l.name = t.name AND (%(product)s::text IS NULL OR l.product = %(product)s)
            AND (%(category)s::text IS NULL OR coalesce(l.category, c.category) = %(category)s)
        GROUP BY 1
    ) AS i ON true
    WHERE p.level IS NULL AND (i.has OR NOT %(by_line)s)
        AND (%(product)s::text IS NULL OR t.name = ANY (ARRAY(
            SELECT name FROM figures.lines
            WHERE product = %(product)s AND happened_at >= %(start)s AND happened_at < %(end)s
        )))
        AND (%(channel)s::text IS NULL OR t.channel = %(channel)s)
        AND (%(country)s::text IS NULL OR t.country = %(country)s)
        AND (%(campaign)s::text IS NULL OR t.campaign = %(campaign)s)
        AND (%(actors)s::text[] IS NULL OR t.actor = ANY (%(actors)s))
        AND (%(type)s::text IS NULL OR t.type = %(type)s)
),
part AS (
    SELECT at, coalesce(value, '') AS value, currency, (NOT refund)::integer AS purchases, refund::integer AS returns,
        CASE WHEN NOT refund THEN amount END AS revenue, CASE WHEN refund THEN -amount END AS refunds,
        CASE WHEN NOT refund THEN units END AS units, (NOT refund AND alone)::integer AS orders,
        CASE WHEN NOT refund AND NOT alone THEN order_key::text END AS several
    FROM sold
    UNION ALL
    SELECT s.at, s.value, s.currency, s.purchases, s.returns, s.revenue, s.refunds, s.units, s.orders,
        array_to_string(s.several, ',')
    FROM piece AS p
    CROSS JOIN LATERAL ( -- piece by piece along the index, whatever the planner thinks of how many there are
        SELECT * FROM figures.sales_sums AS s
        WHERE s.level = p.level::"char" AND s.dimension = %(dimension)s AND s.at >= p.start AND s.at < p.until
            AND (%(values)s::text[] IS NULL OR s.value = ANY (%(values)s))
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
)
SELECT CASE %(unit)s::text
        WHEN 'all' THEN NULL::timestamp
        WHEN 'hour' THEN timestamp '2000-01-03' + (date_trunc('hour', l.local) - date_trunc('day', l.local))
        WHEN 'weekday' THEN timestamp '2000-01-03' + (date_trunc('day', l.local) - date_trunc('week', l.local))
        WHEN 'weekhour' THEN timestamp '2000-01-03' + (date_trunc('hour', l.local) - date_trunc('week', l.local))
        ELSE date_trunc(%(unit)s::text, l.local)
    END AS bucket,
    CASE WHEN %(by)s = '' THEN '' ELSE value END AS value,
    currency, width_bucket(at, %(cuts)s::timestamptz[]) AS era, sum(purchases)::bigint, sum(returns)::bigint,
    coalesce(sum(revenue), 0), coalesce(sum(refunds), 0), coalesce(sum(units), 0), sum(orders)::bigint,
    string_agg(several, ',')
FROM part, LATERAL (SELECT part.at AT TIME ZONE %(zone)s AS local) AS l
GROUP BY 1, 2, 3, 4;

-- name: events
-- The trades behind a figure, the latest first, from a place on; only of one day of the week or hour of the day, if asked.
WITH described AS (
    SELECT DISTINCT ON (ref) ref, fields ->> 'category' AS category
    FROM figures.things WHERE kind = 'product' AND fields ? 'category' AND %(by_line)s
    ORDER BY ref, happened_at DESC, name DESC
)
SELECT t.name, t.happened_at, t.type, e.customer, t.amount, t.currency, v.record, v.log_partition, v.log_offset
FROM customers.trades AS t
JOIN timeline.events AS v ON v.name = t.name
LEFT JOIN identity.evidences AS e ON e.evidence = t.evidence
WHERE t.happened_at >= %(start)s AND t.happened_at < %(end)s AND (t.happened_at, t.name) < (%(at)s, %(name)s) AND t.counts
    AND (%(channel)s::text IS NULL OR t.channel = %(channel)s)
    AND (%(country)s::text IS NULL OR t.country = %(country)s)
    AND (%(campaign)s::text IS NULL OR t.campaign = %(campaign)s)
    AND (%(actors)s::text[] IS NULL OR t.actor = ANY (%(actors)s))
    AND (%(type)s::text IS NULL OR t.type = %(type)s)
    AND (%(weekday)s::integer IS NULL OR extract(isodow FROM t.happened_at AT TIME ZONE %(zone)s) = %(weekday)s)
    AND (%(hour)s::integer IS NULL OR extract(hour FROM t.happened_at AT TIME ZONE %(zone)s) = %(hour)s)
    AND (NOT %(by_line)s OR EXISTS (
        SELECT FROM figures.lines AS l LEFT JOIN described AS c ON c.ref = l.product AND l.category IS NULL
        WHERE l.name = t.name AND (%(product)s::text IS NULL OR l.product = %(product)s)
            AND (%(category)s::text IS NULL OR coalesce(l.category, c.category) = %(category)s)
    ))
ORDER BY t.happened_at DESC, t.name DESC
LIMIT %(limit)s;
