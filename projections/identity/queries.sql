-- What can be asked of identity? Whose a node is, what a component is made of, and what stewards ruled. All of them
-- are read in one transaction where an answer is put together of several.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: places
-- Where these nodes are: component (null for a shared one) and customer.
SELECT node, component, customer FROM identity.nodes WHERE node = ANY (%(nodes)s::uuid[]);

-- name: size
-- How large some components are: nodes, evidences; counted no further than `most` + 1.
SELECT
    (SELECT count(*) FROM (
        SELECT FROM identity.nodes WHERE component = ANY (%(components)s::uuid[]) LIMIT %(most)s + 1
    ) AS counted),
    (SELECT count(*) FROM (
        SELECT FROM identity.evidences WHERE component = ANY (%(components)s::uuid[]) LIMIT %(most)s + 1
    ) AS counted);

-- name: component_nodes
-- The nodes of components.
SELECT node, kind, namespace, priority, first_at, shared, component, customer
FROM identity.nodes WHERE component = ANY (%(components)s::uuid[]);

-- name: component_evidences
-- The evidences of components.
SELECT evidence, nodes, first_at, customer FROM identity.evidences WHERE component = ANY (%(components)s::uuid[]);

-- name: customer_nodes
-- A customer's nodes in their order, as far as `most` + 1.
SELECT node, kind, namespace, priority, first_at, shared, component, customer
FROM identity.nodes WHERE customer = ANY (%(customers)s::uuid[])
ORDER BY priority, first_at NULLS LAST, node
LIMIT %(most)s + 1;

-- name: customer_evidences
-- The evidences that are at home in a customer, oldest first, as far as `most` + 1.
SELECT evidence, nodes, first_at, customer
FROM identity.evidences WHERE customer = ANY (%(customers)s::uuid[])
ORDER BY first_at NULLS LAST, evidence
LIMIT %(most)s + 1;

-- name: nodes
-- Nodes by id: those that were met inside an evidence without being of its component.
SELECT node, kind, namespace, priority, first_at, shared, component, customer
FROM identity.nodes WHERE node = ANY (%(nodes)s::uuid[]);

-- name: rulings_of
-- Rulings that name any of these nodes, newest first.
SELECT name, at, merges, counts, nodes, sides FROM identity.rulings
WHERE nodes && %(nodes)s::uuid[]
ORDER BY at DESC, name DESC
LIMIT %(most)s;

-- name: rulings_before
-- All rulings before a place, newest first.
SELECT name, at, merges, counts, nodes, sides FROM identity.rulings
WHERE (at, name) < (%(at)s, %(name)s)
ORDER BY at DESC, name DESC
LIMIT %(most)s;

-- name: ruling
-- One ruling by the hash of its event's name.
SELECT name, at, merges, counts, nodes, sides FROM identity.rulings WHERE name = %(name)s;

-- name: starred
-- Is any of these components too large to be resolved link by link?
SELECT EXISTS (SELECT FROM identity.stars WHERE component = ANY (%(components)s::uuid[]));

-- name: disputes_of
-- Links of these nodes that were not followed.
SELECT a, b, reason, first_at FROM identity.disputes
WHERE a = ANY (%(nodes)s::uuid[]) OR b = ANY (%(nodes)s::uuid[])
ORDER BY first_at, a, b
LIMIT %(most)s;

-- name: rules
-- The rules that the tables were resolved by.
SELECT rules FROM identity.rules;

-- name: spelled
-- What can be read of these nodes: kind, namespace and value, from the directory.
SELECT DISTINCT ON (node) node, kind, namespace, value
FROM directory.identifiers
WHERE node = ANY (%(nodes)s::uuid[])
    AND NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = identifiers.node)
ORDER BY node, evidence;

-- name: first_events
-- The earliest event of each of these evidences that counts, and its record: as `who`, or else as a party.
SELECT asked.evidence, found.name, found.happened_at, found.record
FROM unnest(%(evidences)s::uuid[], %(since)s::timestamptz[]) AS asked (evidence, since)
CROSS JOIN LATERAL (
    (
        SELECT e.name, e.happened_at, e.record, 0 AS place
        FROM timeline.events AS e LEFT JOIN timeline.corrected AS c ON c.name = e.name
        WHERE e.evidence = asked.evidence AND e.happened_at >= asked.since AND c.retracted IS NOT TRUE
            AND e.type <> ALL (%(rulings)s::text[])
        ORDER BY e.happened_at, e.name LIMIT 1
    )
    UNION ALL
    (
        SELECT e.name, e.happened_at, e.record, 1
        FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
        LEFT JOIN timeline.corrected AS c ON c.name = e.name
        WHERE p.evidence = asked.evidence AND p.happened_at >= asked.since AND c.retracted IS NOT TRUE
            AND e.type <> ALL (%(rulings)s::text[])
        ORDER BY p.happened_at, p.name LIMIT 1
    )
    ORDER BY happened_at, place, name LIMIT 1
) AS found;

-- name: records
-- Events by name, with their records.
SELECT name, happened_at, recorded_at, record FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);

-- name: people_behind
-- How many customers have an event that names this node, counted over at most `most` of its evidences.
SELECT asked.node, found.people, found.evidences
FROM unnest(%(nodes)s::uuid[]) AS asked (node)
CROSS JOIN LATERAL (
    SELECT count(DISTINCT customer) AS people, count(*) AS evidences
    FROM (
        SELECT e.customer
        FROM identity.members AS m JOIN identity.evidences AS e ON e.evidence = m.evidence
        WHERE m.node = asked.node AND e.first_at IS NOT NULL
        LIMIT %(most)s
    ) AS looked_at
) AS found;

-- name: events_of
-- How many events each of these evidences has.
SELECT evidence, count(*) FROM timeline.events WHERE evidence = ANY (%(evidences)s::uuid[]) GROUP BY evidence;

-- name: trades_of
-- What was bought and given back under these evidences, as far as `most`.
SELECT evidence, name, happened_at, order_key, refund, amount, currency, source
FROM customers.trades WHERE evidence = ANY (%(evidences)s::uuid[])
LIMIT %(most)s;
