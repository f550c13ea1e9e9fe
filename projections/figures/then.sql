-- What did sales come to, as it was known at a moment that lies behind us? Of the rows alone: those of events that no
-- correction speaks of, as they are, and `remade`, those of the others, by what was said of them by then. Who was who is
-- told by now.

-- name: spoken
-- Trades that corrections speak of, as far as they were there.
SELECT DISTINCT ON (e.name) e.name, e.evidence, e.happened_at, e.recorded_at, e.record
FROM timeline.about AS a JOIN timeline.events AS e ON e.name = a.target
WHERE a.relation IN ('corrects', 'retracts') AND e.type = ANY (%(types)s::text[])
ORDER BY e.name
LIMIT %(most)s;

-- name: said
-- What had corrected these events by then, what took that back, and so on.
WITH RECURSIVE said AS (
    SELECT a.target, a.relation, e.name, e.happened_at
    FROM timeline.about AS a JOIN timeline.events AS e ON e.name = a.name
    WHERE a.target = ANY (%(names)s::uuid[]) AND a.relation IN ('corrects', 'retracts')
        AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
    UNION
    SELECT a.target, a.relation, e.name, e.happened_at
    FROM said JOIN timeline.about AS a ON a.target = said.name JOIN timeline.events AS e ON e.name = a.name
    WHERE a.relation IN ('corrects', 'retracts')
        AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
)
SELECT target, relation, name, happened_at FROM said;

-- name: amendments
-- What put events right.
SELECT name, record FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);

-- name: counted
-- The trades of the period that counted then (`alone`: the only purchase of its order), and their lines.
WITH described AS (
    SELECT DISTINCT ON (ref) ref, fields ->> 'category' AS category
    FROM figures.things WHERE kind = 'product' AND fields ? 'category' AND %(by_line)s
        AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
    ORDER BY ref, happened_at DESC, name DESC
),
remade AS (
    SELECT r.* FROM jsonb_to_recordset(%(remade)s::jsonb) AS r (
        name uuid, evidence uuid, happened_at timestamptz, order_key uuid, ref text, refund boolean, amount numeric,
        currency text, source text, type text, channel text, country text, campaign text, actor text
    )
),
remade_lines AS (
    SELECT r.* FROM jsonb_to_recordset(%(lines)s::jsonb) AS r (
        name uuid, product text, category text, quantity numeric, amount numeric
    )
),
known AS (
    SELECT name, evidence, happened_at, order_key, ref, refund, amount, currency, source, type, channel, country, campaign,
        actor
    FROM customers.trades
    WHERE happened_at >= %(start)s AND happened_at < %(end)s AND happened_at <= %(happened_by)s
        AND recorded_at <= %(recorded_by)s AND name <> ALL (%(spoken)s::uuid[])
    UNION ALL
    SELECT * FROM remade WHERE happened_at >= %(start)s AND happened_at < %(end)s
),
told AS (
    SELECT t.name, t.evidence, t.happened_at, t.order_key, t.refund, t.source
    FROM (SELECT DISTINCT order_key FROM known WHERE ref IS NOT NULL) AS o
    JOIN customers.trades AS t ON t.order_key = o.order_key
    WHERE t.happened_at <= %(happened_by)s AND t.recorded_at <= %(recorded_by)s AND t.name <> ALL (%(spoken)s::uuid[])
    UNION ALL
    SELECT name, evidence, happened_at, order_key, refund, source FROM remade WHERE ref IS NOT NULL
),
first AS (
    SELECT told.name, told.order_key, told.refund, told.source = first_value(told.source) OVER (
        PARTITION BY told.order_key, e.customer, told.refund ORDER BY told.happened_at, told.name
    ) AS counts
    FROM told LEFT JOIN identity.evidences AS e ON e.evidence = told.evidence
),
several AS (
    SELECT order_key FROM first WHERE counts AND NOT refund GROUP BY order_key HAVING count(*) > 1
),
counted AS (
    SELECT known.*, several.order_key IS NULL AS alone
    FROM known LEFT JOIN first ON first.name = known.name LEFT JOIN several ON several.order_key = known.order_key
    WHERE coalesce(first.counts, true)
),
line AS (
    SELECT l.name, l.product, coalesce(l.category, d.category) AS category, l.quantity, l.amount
    FROM (
        SELECT l.name, l.product, l.category, l.quantity, l.amount
        FROM counted JOIN figures.lines AS l ON l.name = counted.name WHERE l.name <> ALL (%(spoken)s::uuid[])
        UNION ALL
        SELECT * FROM remade_lines
    ) AS l
    LEFT JOIN described AS d ON d.ref = l.product
)

-- name: sales
-- By bucket, value of a dimension, currency and era, like the query of the same name in sales.sql.
{counted},
part AS (
    SELECT t.happened_at AS at,
        coalesce(CASE %(by)s WHEN 'channel' THEN t.channel WHEN 'country' THEN t.country WHEN 'campaign' THEN t.campaign
            WHEN 'actor' THEN t.actor WHEN 'type' THEN t.type ELSE i.item END, '') AS value,
        t.currency, t.refund, t.order_key, CASE WHEN %(by_line)s THEN i.amount ELSE t.amount END AS amount, i.units, t.alone
    FROM counted AS t
    LEFT JOIN (
        SELECT name, CASE %(by)s WHEN 'product' THEN product WHEN 'category' THEN category END AS item,
            sum(amount) AS amount, sum(quantity) AS units, true AS has
        FROM line
        WHERE (%(product)s::text IS NULL OR product = %(product)s)
            AND (%(category)s::text IS NULL OR category = %(category)s)
        GROUP BY 1, 2
    ) AS i ON i.name = t.name
    WHERE (i.has OR NOT %(by_line)s)
        AND (%(channel)s::text IS NULL OR t.channel = %(channel)s)
        AND (%(country)s::text IS NULL OR t.country = %(country)s)
        AND (%(campaign)s::text IS NULL OR t.campaign = %(campaign)s)
        AND (%(actors)s::text[] IS NULL OR t.actor = ANY (%(actors)s))
        AND (%(type)s::text IS NULL OR t.type = %(type)s)
)
SELECT CASE %(unit)s::text
        WHEN 'all' THEN NULL::timestamp
        WHEN 'hour' THEN timestamp '2000-01-03' + (date_trunc('hour', l.local) - date_trunc('day', l.local))
        WHEN 'weekday' THEN timestamp '2000-01-03' + (date_trunc('day', l.local) - date_trunc('week', l.local))
        WHEN 'weekhour' THEN timestamp '2000-01-03' + (date_trunc('hour', l.local) - date_trunc('week', l.local))
        ELSE date_trunc(%(unit)s::text, l.local)
    END AS bucket,
    CASE WHEN %(by)s = '' THEN '' ELSE value END AS value,
    currency, width_bucket(at, %(cuts)s::timestamptz[]) AS era, count(*) FILTER (WHERE NOT refund),
    count(*) FILTER (WHERE refund), coalesce(sum(amount) FILTER (WHERE NOT refund), 0),
    coalesce(-sum(amount) FILTER (WHERE refund), 0), coalesce(sum(units) FILTER (WHERE NOT refund), 0),
    count(*) FILTER (WHERE NOT refund AND alone), string_agg(order_key::text, ',') FILTER (WHERE NOT refund AND NOT alone)
FROM part, LATERAL (SELECT part.at AT TIME ZONE %(zone)s AS local) AS l
GROUP BY 1, 2, 3, 4;

-- name: events
-- The trades behind a figure as of then, the latest first, from a place on.
{counted}
SELECT t.name, t.happened_at, t.type, e.customer, t.amount, t.currency, v.record, v.log_partition, v.log_offset
FROM counted AS t
JOIN timeline.events AS v ON v.name = t.name
LEFT JOIN identity.evidences AS e ON e.evidence = t.evidence
WHERE (t.happened_at, t.name) < (%(at)s, %(name)s)
    AND (%(channel)s::text IS NULL OR t.channel = %(channel)s)
    AND (%(country)s::text IS NULL OR t.country = %(country)s)
    AND (%(campaign)s::text IS NULL OR t.campaign = %(campaign)s)
    AND (%(actors)s::text[] IS NULL OR t.actor = ANY (%(actors)s))
    AND (%(type)s::text IS NULL OR t.type = %(type)s)
    AND (%(weekday)s::integer IS NULL OR extract(isodow FROM t.happened_at AT TIME ZONE %(zone)s) = %(weekday)s)
    AND (%(hour)s::integer IS NULL OR extract(hour FROM t.happened_at AT TIME ZONE %(zone)s) = %(hour)s)
    AND (NOT %(by_line)s OR EXISTS (
        SELECT FROM line
        WHERE line.name = t.name AND (%(product)s::text IS NULL OR line.product = %(product)s)
            AND (%(category)s::text IS NULL OR line.category = %(category)s)
    ))
ORDER BY t.happened_at DESC, t.name DESC
LIMIT %(limit)s;
