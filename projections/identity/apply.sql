-- How do new and older evidences, and rulings, change who is who? Known ones cost one look; for the others the
-- components that they touch are loaded, resolved by domain/identity.py, and what became different is written.

-- name: known
-- Which of these evidences are known, and since when?
SELECT evidence, nodes, first_at FROM evidences WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: lock
-- Whoever changes who is who does so alone, to the end of the transaction.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: rules
-- The rules that these tables are resolved by; no row means the defaults.
SELECT rules FROM rules;

-- name: nodes
-- These nodes as they are.
SELECT node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer
FROM nodes WHERE node = ANY (%(nodes)s::uuid[]);

-- name: nodes_within
-- All nodes of these components.
SELECT node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer
FROM nodes WHERE component = ANY (%(components)s::uuid[]);

-- name: evidences_within
-- All evidences of these components.
SELECT evidence, nodes, first_at, component, customer FROM evidences
WHERE component = ANY (%(components)s::uuid[]);

-- name: evidences
-- These evidences as they are.
SELECT evidence, nodes, first_at, component, customer FROM evidences WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: evidences_with
-- All evidences that one of these nodes is in.
SELECT evidence, nodes, first_at, component, customer FROM evidences
WHERE evidence IN (SELECT evidence FROM members WHERE node = ANY (%(nodes)s::uuid[]));

-- name: stars
-- Which of these components are too large to be resolved link by link?
SELECT component FROM stars WHERE component = ANY (%(components)s::uuid[]);

-- name: disputes_within
-- Links of these components that were not followed.
SELECT a, b, reason, first_at, component FROM disputes WHERE component = ANY (%(components)s::uuid[]);

-- name: rulings_on
-- Rulings that count and that speak of any of these nodes.
SELECT name, at, merges, nodes, sides FROM rulings WHERE counts AND nodes && %(nodes)s::uuid[];

-- name: put_ruling
-- A ruling, and whether it counts. It may happen to have happened at another time than was known.
INSERT INTO rulings (name, at, merges, counts, nodes, sides)
VALUES (%(name)s, %(at)s, %(merges)s, %(counts)s, %(nodes)s::uuid[], %(sides)s::smallint[])
ON CONFLICT (name) DO UPDATE
SET at = excluded.at, counts = excluded.counts, nodes = excluded.nodes, sides = excluded.sides;

-- name: put_nodes
-- New nodes, and those that changed. Gives the customers whose such a node is no more, and whose it is now, also where too
-- many came to have it, or no more: every part of the statement sees the rows as they were before it.
WITH one AS (
    SELECT * FROM unnest(
        %(node)s::uuid[], %(kind)s::text[], %(namespace)s::text[], %(priority)s::smallint[],
        %(first_at)s::timestamptz[], %(shared)s::boolean[], %(strong)s::text[], %(direct)s::uuid[],
        %(direct_at)s::timestamptz[], %(component)s::uuid[], %(customer)s::uuid[]
    ) AS one (node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer)
),
put AS (
    INSERT INTO nodes
        (node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer)
    SELECT node, kind, namespace, priority, first_at, shared, string_to_array(strong, ' '), direct, direct_at,
        component, customer
    FROM one
    ORDER BY node
    ON CONFLICT (node) DO UPDATE
    SET first_at = excluded.first_at, shared = excluded.shared, strong = excluded.strong, direct = excluded.direct,
        direct_at = excluded.direct_at, component = excluded.component, customer = excluded.customer
)
SELECT DISTINCT nodes.customer, one.customer FROM one JOIN nodes USING (node)
WHERE nodes.customer <> one.customer OR nodes.shared <> one.shared;

-- name: put_evidences
-- New evidences, and those that changed. `nodes`: hex, blanks between. Gives the customers that evidences went from, and
-- came to: every part of the statement sees the rows as they were before it.
WITH one AS (
    SELECT * FROM unnest(
        %(evidence)s::uuid[], %(nodes)s::text[], %(first_at)s::timestamptz[], %(component)s::uuid[],
        %(customer)s::uuid[]
    ) AS one (evidence, nodes, first_at, component, customer)
),
put AS (
    INSERT INTO evidences (evidence, nodes, first_at, component, customer)
    SELECT evidence, string_to_array(nodes, ' ')::uuid[], first_at, component, customer FROM one
    ORDER BY evidence
    ON CONFLICT (evidence) DO UPDATE
    SET first_at = excluded.first_at, component = excluded.component, customer = excluded.customer
)
SELECT DISTINCT evidences.customer, one.customer FROM one JOIN evidences USING (evidence)
WHERE evidences.customer <> one.customer;

-- name: put_members
-- Which evidences the nodes of new ones are in.
INSERT INTO members (node, evidence)
SELECT node, evidence FROM unnest(%(node)s::uuid[], %(evidence)s::uuid[]) AS one (node, evidence)
ORDER BY node, evidence
ON CONFLICT DO NOTHING;

-- name: drop_disputes
-- Disputes that are none any more.
DELETE FROM disputes
USING unnest(%(a)s::uuid[], %(b)s::uuid[]) AS gone (a, b)
WHERE disputes.a = gone.a AND disputes.b = gone.b;

-- name: put_disputes
-- Disputes that are new, or different.
INSERT INTO disputes (a, b, reason, first_at, component)
SELECT a, b, reason, first_at, component
FROM unnest(
    %(a)s::uuid[], %(b)s::uuid[], %(reason)s::text[], %(first_at)s::timestamptz[], %(component)s::uuid[]
) AS one (a, b, reason, first_at, component)
ORDER BY a, b
ON CONFLICT (a, b) DO UPDATE
SET reason = excluded.reason, first_at = excluded.first_at, component = excluded.component;

-- name: drop_stars
-- Components that are looked at anew.
DELETE FROM stars WHERE component = ANY (%(components)s::uuid[]);

-- name: put_stars
-- Components that are too large.
INSERT INTO stars (component) SELECT unnest(%(components)s::uuid[]) ON CONFLICT DO NOTHING;

-- name: relabel_nodes
-- Large components that became one.
UPDATE nodes SET component = %(into)s WHERE component = ANY (%(components)s::uuid[]);

-- name: relabel_evidences
-- And their evidences.
UPDATE evidences SET component = %(into)s WHERE component = ANY (%(components)s::uuid[]);

-- name: plain
-- Those of these components that are one customer as a whole.
SELECT component, customer, priority, first_at, nodes, links, numbers FROM plain
WHERE component = ANY (%(components)s::uuid[]);

-- name: put_plain
-- Components that are one customer as a whole.
INSERT INTO plain (component, customer, priority, first_at, nodes, links, numbers)
SELECT component, customer, priority, first_at, nodes, links, string_to_array(numbers, ' ')
FROM unnest(
    %(component)s::uuid[], %(customer)s::uuid[], %(priority)s::smallint[], %(first_at)s::timestamptz[],
    %(nodes)s::integer[], %(links)s::integer[], %(numbers)s::text[]
) AS one (component, customer, priority, first_at, nodes, links, numbers)
ORDER BY component
ON CONFLICT (component) DO UPDATE
SET customer = excluded.customer, priority = excluded.priority, first_at = excluded.first_at,
    nodes = excluded.nodes, links = excluded.links, numbers = excluded.numbers;

-- name: drop_plain
-- Components of which this is not said any more.
DELETE FROM plain WHERE component = ANY (%(components)s::uuid[]);

-- name: move_nodes
-- All nodes of these components get another label, or another customer.
UPDATE nodes SET component = moved.into_, customer = moved.customer
FROM unnest(%(component)s::uuid[], %(into)s::uuid[], %(customer)s::uuid[]) AS moved (component, into_, customer)
WHERE nodes.component = moved.component;

-- name: move_evidences
-- And so do their evidences. Gives the customers that evidences went from, and came to.
WITH moved AS (
    SELECT * FROM unnest(%(component)s::uuid[], %(into)s::uuid[], %(customer)s::uuid[])
        AS moved (component, into_, customer)
),
put AS (
    UPDATE evidences SET component = moved.into_, customer = moved.customer
    FROM moved WHERE evidences.component = moved.component
)
SELECT DISTINCT evidences.customer, moved.customer FROM moved JOIN evidences USING (component)
WHERE evidences.customer <> moved.customer;
