-- What do the read models say as of this moment, as tables for an analyst? Public columns alone; whose a row is says
-- `customer`, the id as of now.

-- name: customers
-- Customers with the sums of their touchpoints.
SELECT encode(uuid_send(its.customer), 'hex') AS customer, sum(c.touchpoints)::bigint AS touchpoints,
    min(c.first_at) AS first_at, max(c.last_at) AS last_at, count(DISTINCT its.evidence) AS evidences
FROM customers.contacts AS c JOIN identity.evidences AS its USING (evidence)
GROUP BY its.customer
ORDER BY its.customer;

-- name: trades
-- What was bought and given back; of what several sources tell of one order only rows with `counts` count.
SELECT encode(uuid_send(t.name), 'hex') AS event, encode(uuid_send(its.customer), 'hex') AS customer, t.happened_at,
    t.recorded_at, t.ref, t.refund, t.amount, t.currency, t.source, t.type, t.channel, t.country, t.actor, t.campaign,
    t.counts
FROM customers.trades AS t LEFT JOIN identity.evidences AS its USING (evidence)
ORDER BY t.happened_at, t.name;

-- name: tickets
-- Tickets as they stand.
SELECT encode(uuid_send(t.item), 'hex') AS ticket, t.ref, t.native, t.source,
    encode(uuid_send(its.customer), 'hex') AS customer, t.status, t.state, t.state_since, t.priority, t.queue,
    t.category, t.product, t.channel, t.service_level, t.assignee, t.team, t.level, t.opened_at, t.changed_at,
    t.responded_at, t.resolved_at, t.closed_at, t.reopened, t.respond_by, t.resolve_by, t.clock_s, t.folded_into,
    t.follows, t.reason
FROM work.tickets AS t LEFT JOIN identity.evidences AS its USING (evidence)
ORDER BY t.opened_at, t.item;

-- name: deals
-- Deals as they stand.
SELECT encode(uuid_send(d.item), 'hex') AS deal, d.ref, d.native, d.source,
    encode(uuid_send(its.customer), 'hex') AS customer, d.status, d.pipeline, d.stage, d.stage_since, d.amount,
    d.currency, d.probability, d.assignee, d.team, d.products, d.expected_close, d.origin, d.reason, d.created_at,
    d.changed_at, d.closed_at
FROM work.deals AS d LEFT JOIN identity.evidences AS its USING (evidence)
ORDER BY d.created_at, d.item;

-- name: segments
-- Who is in which segment that is not archived.
SELECT m.segment, m.version, encode(uuid_send(m.customer), 'hex') AS customer
FROM segments.memberships AS m
JOIN storyline.segments AS s ON s.code = m.segment AND m.version = coalesce(s.serving, 0)
WHERE s.state = 'active'
ORDER BY m.segment, m.customer;
