-- What does a rule see of one customer? All of one answer is read in one snapshot; every read is bounded.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: customer
-- Whose a node is, with the evidences that are at home there and all nodes; no row for what is no node.
SELECT n.customer, ARRAY (
    SELECT e.evidence FROM identity.evidences AS e WHERE e.customer = n.customer ORDER BY e.evidence
), ARRAY (SELECT hers.node FROM identity.nodes AS hers WHERE hers.customer = n.customer)
FROM identity.nodes AS n WHERE n.node = %(node)s;

-- name: events
-- The events that a rule may ask for and that count, the oldest first, each with the record that put it right.
SELECT e.name, e.happened_at, e.type, e.touch, e.record, better.record
FROM timeline.events AS e
LEFT JOIN timeline.corrected AS c ON c.name = e.name
LEFT JOIN timeline.events AS better ON better.name = c.amended_by
WHERE e.evidence = ANY (%(evidences)s::uuid[]) AND e.happened_at <= %(until)s AND c.retracted IS NOT TRUE
    AND (e.type = ANY (%(types)s::text[]) OR (%(touches)s AND e.touch))
    AND e.type <> ALL (%(system)s::text[])
ORDER BY e.happened_at, e.name
LIMIT %(most)s;

-- name: trades
-- What was bought and given back.
SELECT name, happened_at, order_key, refund, amount, currency, source, country
FROM customers.trades WHERE evidence = ANY (%(evidences)s::uuid[]) AND happened_at <= %(until)s
ORDER BY happened_at, name LIMIT %(most)s;

-- name: words
-- What was said about consent, the newest first.
SELECT name, evidence, happened_at, purpose, channel, granted, type
FROM customers.consents WHERE evidence = ANY (%(evidences)s::uuid[]) AND happened_at <= %(until)s
ORDER BY happened_at DESC, name DESC LIMIT %(most)s;

-- name: claims
-- What events claim of the customer, the newest first.
SELECT name, place, evidence, happened_at, source, fields
FROM directory.claims WHERE evidence = ANY (%(evidences)s::uuid[]) AND happened_at <= %(until)s
ORDER BY happened_at DESC, name DESC, place DESC LIMIT %(most)s;

-- name: identifiers
-- Identifiers that link, by their nodes; the value is null where nothing readable is left of it.
SELECT n.kind, n.namespace, found.value, n.first_at
FROM identity.nodes AS n
LEFT JOIN LATERAL (SELECT i.value FROM directory.identifiers AS i WHERE i.node = n.node LIMIT 1) AS found
    ON NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = n.node)
WHERE n.node = ANY (%(nodes)s::uuid[]) AND NOT n.shared AND n.first_at <= %(until)s
ORDER BY n.priority, n.first_at, n.node
LIMIT %(most)s;

-- name: deals
-- Deals, by whom they are about.
SELECT item, ref, status, assignee, team, reason, source, native, changed_at, closed_at, pipeline, stage, stage_since,
    amount, currency, probability, products, expected_close, next_step_on, origin, created_at, created_at AS begun
FROM work.deals WHERE evidence = ANY (%(evidences)s::uuid[]) AND created_at <= %(until)s LIMIT %(most)s;

-- name: tickets
-- Tickets, by whom they are about.
SELECT item, ref, status, assignee, team, reason, source, native, changed_at, closed_at, state, state_since, priority,
    queue, category, product, channel, service_level, level, opened_at, responded_at, resolved_at, reopened, respond_by,
    resolve_by, due, opened_at AS begun
FROM work.tickets WHERE evidence = ANY (%(evidences)s::uuid[]) AND opened_at <= %(until)s LIMIT %(most)s;

-- name: tasks
-- Tasks, by whom they are about.
SELECT item, ref, status, assignee, team, reason, source, native, changed_at, closed_at, kind, priority, due, remind_at,
    created_at, created_at AS begun
FROM work.tasks WHERE evidence = ANY (%(evidences)s::uuid[]) AND created_at <= %(until)s LIMIT %(most)s;

-- name: leads
-- Leads, by whom they are about.
SELECT item, ref, status, assignee, team, reason, source, native, changed_at, closed_at, origin, campaign, product,
    country, industry, captured_at, captured_at AS begun
FROM work.leads WHERE evidence = ANY (%(evidences)s::uuid[]) AND captured_at <= %(until)s LIMIT %(most)s;

-- name: described
-- Descriptions of organisations that name the customer and count.
SELECT DISTINCT e.name, e.record
FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
LEFT JOIN timeline.corrected AS c ON c.name = e.name
WHERE p.evidence = ANY (%(evidences)s::uuid[]) AND e.happened_at <= %(until)s
    AND e.type = 'organisation.described' AND c.retracted IS NOT TRUE
LIMIT %(most)s;

-- name: latest
-- Of each of these organisations the latest description that counts, with the record that put it right.
SELECT DISTINCT ON (r.ref) e.name, e.record, better.record
FROM timeline.refs AS r JOIN timeline.events AS e ON e.name = r.name
LEFT JOIN timeline.corrected AS c ON c.name = e.name
LEFT JOIN timeline.events AS better ON better.name = c.amended_by
WHERE r.ref = ANY (%(refs)s::uuid[]) AND r.happened_at <= %(until)s
    AND e.type = 'organisation.described' AND c.retracted IS NOT TRUE
ORDER BY r.ref, r.happened_at DESC, r.name DESC;

-- name: categories
-- Of each of these products the category that was last said of it.
SELECT DISTINCT ON (ref) ref, fields->>'category'
FROM figures.things
WHERE kind = 'product' AND ref = ANY (%(products)s::text[]) AND happened_at <= %(until)s AND fields ? 'category'
ORDER BY ref, happened_at DESC, name DESC;

-- name: lists
-- Lists that the customer is on, since when.
SELECT l.segment, min(l.added_at)
FROM storyline.segment_lists AS l JOIN storyline.segments AS s ON s.code = l.segment
WHERE s.state = 'active' AND l.added_at <= %(until)s
    AND l.node = ANY (%(nodes)s::uuid[])
GROUP BY l.segment;

-- name: rows
-- Events as the timeline shows them, by their names.
SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record, whose.customer
FROM timeline.events LEFT JOIN identity.evidences AS whose USING (evidence)
WHERE name = ANY (%(names)s::uuid[])
ORDER BY happened_at, name;
