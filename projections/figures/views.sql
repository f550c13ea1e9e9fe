-- What do BI tools read? Views of the schema `analytics`, over the tables that serve: ids of customers, nothing personal. Each
-- query makes one view; names of tables stand with their schema, so that no view stands on another by mistake.

-- name: sales
-- Purchases and refunds that count.
CREATE VIEW sales AS
SELECT t.name AS event, e.customer, t.happened_at, t.recorded_at, t.order_key, t.ref AS order_ref, t.refund, t.amount,
    t.currency, t.source, t.type, t.channel, t.country, t.campaign,
    CASE WHEN t.actor LIKE 'user:%' THEN substr(t.actor, 6) END AS rep
FROM customers.trades AS t LEFT JOIN identity.evidences AS e ON e.evidence = t.evidence
WHERE t.counts;
COMMENT ON VIEW sales IS
    'Purchases and refunds, a row each; what a second source told of the same order is left out. amount: in major units, negative when given back. Never add up amounts of different currencies.';

-- name: order_lines
-- Their lines.
CREATE VIEW order_lines AS
SELECT t.name AS event, l.place, e.customer, t.happened_at, t.order_key, l.product,
    coalesce(l.category, d.category) AS category, l.quantity, l.amount, l.currency, l.refund
FROM customers.trades AS t
JOIN figures.lines AS l ON l.name = t.name
LEFT JOIN identity.evidences AS e ON e.evidence = t.evidence
LEFT JOIN LATERAL (
    SELECT fields ->> 'category' AS category FROM figures.things AS th
    WHERE th.kind = 'product' AND th.ref = l.product AND th.fields ? 'category'
    ORDER BY th.happened_at DESC, th.name DESC LIMIT 1
) AS d ON true
WHERE t.counts;
COMMENT ON VIEW order_lines IS
    'Lines of the purchases and refunds of sales. category: of the line, else by the latest description of its product. Negative when given back; amount is null where the event does not say.';

-- name: orders
-- Orders by currency.
CREATE VIEW orders AS
SELECT t.order_key, e.customer, t.currency, min(t.ref) AS order_ref,
    min(t.happened_at) FILTER (WHERE NOT t.refund) AS ordered_at, count(*) FILTER (WHERE NOT t.refund) AS purchases,
    coalesce(sum(t.amount) FILTER (WHERE NOT t.refund), 0) AS revenue,
    coalesce(-sum(t.amount) FILTER (WHERE t.refund), 0) AS refunds
FROM customers.trades AS t LEFT JOIN identity.evidences AS e ON e.evidence = t.evidence
WHERE t.counts
GROUP BY 1, 2, 3;
COMMENT ON VIEW orders IS
    'Orders, a row for each customer and currency; revenue less refunds is what is left. ordered_at: null where only a refund is known.';

-- name: customers_value
-- What customers brought.
CREATE VIEW customers_value AS
SELECT e.customer, t.currency, count(DISTINCT t.order_key) FILTER (WHERE NOT t.refund) AS orders,
    coalesce(sum(t.amount) FILTER (WHERE NOT t.refund), 0) AS revenue,
    coalesce(-sum(t.amount) FILTER (WHERE t.refund), 0) AS refunds,
    min(t.happened_at) FILTER (WHERE NOT t.refund) AS first_purchase_at,
    max(t.happened_at) FILTER (WHERE NOT t.refund) AS last_purchase_at
FROM customers.trades AS t JOIN identity.evidences AS e ON e.evidence = t.evidence
WHERE t.counts
GROUP BY 1, 2;
COMMENT ON VIEW customers_value IS 'What each customer brought, by currency.';

-- name: customers
-- Customers and their touchpoints.
CREATE VIEW customers AS
SELECT e.customer, sum(c.touchpoints)::bigint AS touchpoints, min(c.first_at) AS first_at, max(c.last_at) AS last_at
FROM customers.contacts AS c JOIN identity.evidences AS e ON e.evidence = c.evidence
GROUP BY 1;
COMMENT ON VIEW customers IS 'Customers by their present ids, with how many touchpoints there were, the first and the last.';

-- name: contacts_daily
-- Touchpoints by day.
CREATE VIEW contacts_daily AS
WITH busy AS (
    SELECT at FROM figures.stale_sums WHERE level = 'd'
    UNION
    SELECT date_trunc('day', q, 'UTC') FROM figures.touched, unnest(quarters) AS q
)
SELECT (s.at AT TIME ZONE 'UTC')::date AS day, nullif(s.channel, '') AS channel, nullif(s.direction, '') AS direction,
    s.touchpoints
FROM figures.contact_sums AS s
WHERE s.level = 'd' AND s.at NOT IN (SELECT at FROM busy)
UNION ALL
SELECT (busy.at AT TIME ZONE 'UTC')::date, v.channel, v.direction, count(*)
FROM busy
CROSS JOIN (SELECT DISTINCT type FROM customers.contacts) AS k
JOIN timeline.events AS v ON v.type = k.type AND v.happened_at >= busy.at AND v.happened_at < busy.at + interval '1 day'
WHERE v.touch AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = v.name AND c.retracted)
    AND v.evidence IS NOT NULL
GROUP BY 1, 2, 3;
COMMENT ON VIEW contacts_daily IS 'Touchpoints by day (UTC), channel and direction.';

-- name: touchpoints
-- Touchpoints.
CREATE VIEW touchpoints AS
SELECT v.name AS event, e.customer, v.happened_at, v.recorded_at, v.type, v.channel, v.direction
FROM timeline.events AS v LEFT JOIN identity.evidences AS e ON e.evidence = v.evidence
WHERE v.touch AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = v.name AND c.retracted);
COMMENT ON VIEW touchpoints IS 'Touchpoints, a row each. Ask for a type, or for a time of one, where there are many.';

-- name: tickets
-- Tickets.
CREATE VIEW tickets AS
SELECT t.item AS ticket, t.ref, t.native, t.source, e.customer, t.status, t.state, t.state_since, t.priority, t.queue,
    t.category, t.product, t.channel, t.service_level, t.assignee, t.team, t.level, t.opened_at, t.responded_at,
    t.resolved_at, t.closed_at, t.reopened, t.respond_by, t.resolve_by, t.clock_s, t.reason
FROM work.tickets AS t LEFT JOIN identity.evidences AS e ON e.evidence = t.evidence;
COMMENT ON VIEW tickets IS 'Tickets as they are now. clock_s: business seconds that the clock of the resolution has run.';

-- name: deals
-- Deals.
CREATE VIEW deals AS
SELECT d.item AS deal, d.ref, d.native, d.source, e.customer, d.status, d.pipeline, d.stage, d.stage_since, d.amount,
    d.currency, d.probability, d.assignee, d.team, d.products, d.expected_close, d.origin, d.reason, d.created_at,
    d.closed_at
FROM work.deals AS d LEFT JOIN identity.evidences AS e ON e.evidence = d.evidence;
COMMENT ON VIEW deals IS 'Deals as they are now.';

-- name: leads
-- Leads.
CREATE VIEW leads AS
SELECT l.item AS lead, l.ref, l.native, l.source, e.customer, l.status, l.origin, l.campaign, l.product, l.country,
    l.industry, l.assignee, l.team, l.deal, l.reason, l.captured_at, l.closed_at
FROM work.leads AS l LEFT JOIN identity.evidences AS e ON e.evidence = l.evidence;
COMMENT ON VIEW leads IS 'Leads as they are now.';

-- name: scores
-- Scores that customers gave.
CREATE VIEW scores AS
SELECT s.name AS event, e.customer, s.happened_at, s.measure, s.score, s.best, s.code, s.product, s.channel, s.actor
FROM figures.scores AS s LEFT JOIN identity.evidences AS e ON e.evidence = s.evidence;
COMMENT ON VIEW scores IS 'Answers of surveys (measure csat, nps, ces or other) and reviews. best: the best that could be given, if known.';

-- name: moods
-- Sentiment of what customers wrote.
CREATE VIEW moods AS
SELECT m.name AS event, m.target AS touchpoint, e.customer, v.happened_at, v.type, v.channel, m.language, m.sentiment,
    m.topics, m.method
FROM figures.moods AS m
JOIN timeline.events AS v ON v.name = m.target
LEFT JOIN identity.evidences AS e ON e.evidence = v.evidence
WHERE NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = v.name AND c.retracted);
COMMENT ON VIEW moods IS 'What was derived from the text of touchpoints: sentiment from -1 (bad) to 1 (good).';

-- name: mentions
-- Products that touchpoints speak of.
CREATE VIEW mentions AS
SELECT m.name AS event, e.customer, m.product, m.happened_at, m.type, m.channel, m.direction, m.category
FROM figures.mentions AS m LEFT JOIN identity.evidences AS e ON e.evidence = m.evidence;
COMMENT ON VIEW mentions IS 'Products that touchpoints speak of; those of orders are in order_lines.';

-- name: products
-- Products by their latest descriptions.
CREATE VIEW products AS
SELECT DISTINCT ref AS product,
    (SELECT t.fields ->> 'category' FROM figures.things AS t WHERE t.kind = 'product' AND t.ref = p.ref AND t.fields ? 'category'
        ORDER BY t.happened_at DESC, t.name DESC LIMIT 1) AS category,
    (SELECT (t.fields ->> 'price')::numeric FROM figures.things AS t WHERE t.kind = 'product' AND t.ref = p.ref AND t.fields ? 'price'
        ORDER BY t.happened_at DESC, t.name DESC LIMIT 1) AS price,
    (SELECT (t.fields ->> 'cost')::numeric FROM figures.things AS t WHERE t.kind = 'product' AND t.ref = p.ref AND t.fields ? 'cost'
        ORDER BY t.happened_at DESC, t.name DESC LIMIT 1) AS cost
FROM figures.things AS p WHERE p.kind = 'product';
COMMENT ON VIEW products IS 'Products by what was said of each last.';

-- name: segments_members
-- Who is in which segment.
CREATE VIEW segments_members AS
SELECT m.segment, m.customer
FROM storyline.segments AS s JOIN segments.memberships AS m ON m.segment = s.code AND m.version = s.serving
WHERE s.state = 'active'
UNION
SELECT s.code, n.customer
FROM storyline.segments AS s
JOIN storyline.segment_lists AS l ON l.segment = s.code
JOIN identity.nodes AS n ON n.node = l.node
WHERE s.state = 'active' AND s.kind <> 'dynamic';
COMMENT ON VIEW segments_members IS 'Who is in which active segment now, by the rule that serves or by its list.';

-- name: metrics
-- What the deployment's own metrics come to.
CREATE VIEW metrics AS
SELECT m.metric, m.at AS quarter, m.dimensions, m.events, m.total, m.least, m.most, m.told
FROM figures.metric_sums AS m
JOIN figures.metric_fills AS f ON f.metric = m.metric AND f.version = m.version AND f.next_at >= f.until
WHERE m.version = (
    SELECT o.version FROM storyline.metrics AS o
    JOIN figures.metric_fills AS g ON g.metric = o.metric AND g.version = o.version AND g.next_at >= g.until
    WHERE o.metric = m.metric ORDER BY o.since DESC, o.version LIMIT 1
);
COMMENT ON VIEW metrics IS
    'Metrics of the configuration by quarter of an hour (UTC), as they were last summed; seconds behind. dimensions: in the order of the definition. An average is total by told.';
