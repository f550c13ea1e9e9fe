-- Which products make trouble, and which are asked about before they are bought?

-- name: complaints
-- What speaks against each product in the period: tickets about it, bad reviews (half of the best or less), counted
-- refunds of it, and texts of customers in a bad mood that mention it. One event counts once, however it speaks; a text
-- within a ticket counts as the ticket.
WITH voiced AS (
    SELECT product, item AS name, 'ticket' AS how, evidence, opened_at AS at FROM work.tickets
    WHERE product IS NOT NULL AND opened_at >= %(start)s AND opened_at < %(end)s
    UNION ALL
    SELECT product, name, 'review', evidence, happened_at FROM figures.scores
    WHERE measure = 'review' AND product IS NOT NULL AND 2 * score <= coalesce(best, 5)
        AND happened_at >= %(start)s AND happened_at < %(end)s
    UNION ALL
    SELECT DISTINCT l.product, t.name, 'refund', t.evidence, t.happened_at
    FROM customers.trades AS t JOIN figures.lines AS l ON l.name = t.name
    WHERE t.refund AND t.counts AND l.product IS NOT NULL
        AND t.happened_at >= %(start)s AND t.happened_at < %(end)s
    UNION ALL
    SELECT p.product, p.name, 'mood', p.evidence, p.happened_at
    FROM figures.mentions AS p CROSS JOIN LATERAL (
        SELECT m.sentiment FROM figures.moods AS m WHERE m.target = p.name AND m.sentiment IS NOT NULL
        ORDER BY m.happened_at DESC, m.name DESC LIMIT 1
    ) AS mood
    WHERE p.direction = 'in' AND p.type NOT LIKE 'ticket.%%' AND mood.sentiment <= -0.05
        AND p.happened_at >= %(start)s AND p.happened_at < %(end)s
)

-- name: complained
-- The products with most complaints, with how many were sold of them in the period: over its pieces (see
-- projections/figures/pieces.py), by sums of days and months where `levels` says one, else by the events.
WITH piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(begins)s::timestamptz[], %(untils)s::timestamptz[])
        AS p (level, start, until)
),
{voices},
told AS (
    SELECT product, 1 AS complaints, 0 AS tickets, reviews, refunds, moods FROM voices
    UNION ALL
    SELECT product, count(*), count(*), 0, 0, 0 FROM work.ticket_times
    WHERE opened_at >= %(start)s AND opened_at < %(end)s AND product IS NOT NULL
    GROUP BY product
    UNION ALL
    SELECT s.product, s.complaints, 0, s.reviews, s.refunds, s.moods
    FROM piece AS p CROSS JOIN LATERAL (
        SELECT * FROM complaint_sums AS s WHERE s.level = p.level::"char" AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
),
most AS MATERIALIZED (
    SELECT product, sum(complaints)::bigint AS complaints, sum(tickets)::bigint AS tickets,
        sum(reviews)::bigint AS reviews, sum(refunds)::bigint AS refunds, sum(moods)::bigint AS moods
    FROM told WHERE %(product)s::text IS NULL OR product = %(product)s
    GROUP BY product
    ORDER BY complaints DESC, product COLLATE "C"
    LIMIT %(limit)s
)
SELECT most.*, coalesce(sold.units, 0) + coalesce(rest.units, 0)
FROM most
CROSS JOIN LATERAL (
    SELECT sum(s.units) AS units FROM piece AS p CROSS JOIN LATERAL (
        SELECT * FROM sales_sums AS s
        WHERE s.level = p.level::"char" AND s.dimension = 'product' AND s.value = most.product AND s.at >= p.start
            AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
) AS sold
CROSS JOIN LATERAL (
    SELECT sum(l.quantity) AS units FROM piece AS p CROSS JOIN LATERAL (
        SELECT * FROM lines AS l
        WHERE l.product = most.product AND l.happened_at >= p.start AND l.happened_at < p.until AND NOT l.refund
        OFFSET 0
    ) AS l JOIN trades AS t ON t.name = l.name
    WHERE p.level IS NULL AND t.counts
) AS rest
ORDER BY complaints DESC, product COLLATE "C";

-- name: complaining
-- What speaks against one product, the latest first: tickets by their item, else events.
{voiced}
SELECT v.name, v.how, convert_from(e.record, 'UTF8')::jsonb->>'name', v.at, whose.customer
FROM (SELECT name, min(how) AS how, (array_agg(evidence))[1] AS evidence, min(at) AS at FROM voiced
    WHERE product = %(product)s GROUP BY name) AS v
LEFT JOIN timeline.events AS e ON e.name = v.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = v.evidence
WHERE (v.at, v.name) < (%(before_at)s, %(before_name)s)
ORDER BY v.at DESC, v.name DESC
LIMIT %(limit)s;

-- name: questions
-- What customers asked or said of a product in the period who bought it within `days` afterwards, and not before: one
-- row for each touchpoint and product.
WITH told AS MATERIALIZED (
    SELECT p.product, p.name, p.happened_at AS at, p.type, whose.customer
    FROM mentions AS p JOIN evidences AS whose ON whose.evidence = p.evidence
    WHERE p.happened_at >= %(start)s AND p.happened_at < %(end)s AND {asks}
        AND (%(product)s::text IS NULL OR p.product = %(product)s)
),
bought AS ( -- all purchases that may be the first one after, of whoever asked; most of what is asked is never bought
    SELECT hers.customer, l.product, t.happened_at
    FROM trades AS t JOIN lines AS l ON l.name = t.name
    JOIN evidences AS hers ON hers.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND t.happened_at > %(start)s
        AND t.happened_at < %(end)s + make_interval(days => %(days)s)
        AND (%(product)s::text IS NULL OR l.product = %(product)s)
),
after AS MATERIALIZED (
    SELECT told.product, told.name, told.at, told.type, told.customer, min(bought.happened_at) AS first_at
    FROM told JOIN bought ON bought.customer = told.customer AND bought.product = told.product
        AND bought.happened_at > told.at AND bought.happened_at < told.at + make_interval(days => %(days)s)
    GROUP BY told.product, told.name, told.at, told.type, told.customer
),
asked AS (
    SELECT * FROM after
    WHERE NOT EXISTS (
        SELECT FROM evidences AS hers JOIN trades AS t ON t.evidence = hers.evidence
        JOIN lines AS l ON l.name = t.name
        WHERE hers.customer = after.customer AND t.counts AND NOT t.refund AND l.product = after.product
            AND t.happened_at <= after.at
    )
)

-- name: noted
-- The same out of what is noted of each customer, and of stale ones out of what they asked and bought.
WITH {stale}, {raw},
asked AS (
    SELECT * FROM (
        SELECT q.* FROM questions AS q
        WHERE q.at >= %(start)s AND q.at < %(end)s AND NOT EXISTS (SELECT FROM stale WHERE stale.customer = q.customer)
        UNION ALL
        SELECT customer, product, at, first_at FROM made WHERE at >= %(start)s AND at < %(end)s
    ) AS told
    WHERE first_at < at + make_interval(days => %(days)s) AND (%(product)s::text IS NULL OR product = %(product)s)
)

-- name: questioned
-- The products with most questions before the first purchase.
{asked}
SELECT product, count(*), count(DISTINCT customer), percentile_cont(0.5) WITHIN GROUP (
    ORDER BY extract(epoch FROM first_at - at)
)
FROM asked GROUP BY product
ORDER BY count(*) DESC, product COLLATE "C"
LIMIT %(limit)s;

-- name: questioning
-- The touchpoints behind them, the latest first.
{asked}
SELECT asked.name, asked.type, convert_from(e.record, 'UTF8')::jsonb->>'name', asked.at, asked.customer
FROM asked JOIN timeline.events AS e ON e.name = asked.name
WHERE (asked.at, asked.name) < (%(before_at)s, %(before_name)s)
ORDER BY asked.at DESC, asked.name DESC
LIMIT %(limit)s;
