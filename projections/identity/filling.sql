-- How are the tables of identity filled as a whole? Out of what was said: evidences and their identifiers, either the live
-- ones (`of_live`) or those that a rebuild copied out of the timeline (`of_a_build`). Nodes are numbered in their order,
-- so that who hangs together with whom can be worked out in an array of numbers. All names are found by the search path.

-- name: of_live
-- What the live tables say.
CREATE TEMP VIEW said_evidences AS SELECT evidence, nodes, first_at FROM identity.evidences;
CREATE TEMP VIEW said_members AS SELECT node, evidence FROM identity.members;
CREATE TEMP VIEW said_nodes AS
SELECT node, kind, namespace, priority, first_at, NULL::bigint AS beside FROM identity.nodes;

-- name: of_a_build
-- What any number of workers copy, each the evidences of some ranges. `beside`: how many others stand in the evidence.
CREATE UNLOGGED TABLE said_evidences (evidence uuid NOT NULL, nodes uuid[] NOT NULL, first_at timestamptz);
CREATE UNLOGGED TABLE said_members (
    node uuid NOT NULL,
    evidence uuid NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    priority smallint NOT NULL,
    first_at timestamptz,
    beside integer NOT NULL
);
CREATE VIEW said_nodes AS
SELECT node, min(kind) AS kind, min(namespace) AS namespace, min(priority) AS priority, min(first_at) AS first_at,
    sum(beside) AS beside
FROM said_members GROUP BY node;

-- name: copy_said_evidences
-- Evidences as they were read.
COPY said_evidences (evidence, nodes, first_at) FROM STDIN (FORMAT BINARY);

-- name: copy_said_members
-- The identifiers in them.
COPY said_members (node, evidence, kind, namespace, priority, first_at, beside) FROM STDIN (FORMAT BINARY);

-- name: forget_of_live
-- It is done.
DROP VIEW said_nodes, said_members, said_evidences;

-- name: forget_of_a_build
-- It is done.
DROP VIEW said_nodes;
DROP TABLE said_members, said_evidences;

-- name: work_mem
-- Sorting and joining whole tables; for this transaction only.
SET LOCAL work_mem = '256MB';

-- name: create_scratch
-- Nodes by number, and the least number of each node's component (its own for a shared one); then both, and evidences, by
-- the component that they are at home in. `mixed`: it holds what does not link, or is of another component. The braces
-- are filled with TEMP or UNLOGGED.
CREATE {kind} TABLE numbered (
    n integer NOT NULL,
    node uuid NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    priority smallint NOT NULL,
    first_at timestamptz,
    beside bigint,
    shared boolean NOT NULL
);
CREATE {kind} TABLE rooted (n integer NOT NULL, root integer NOT NULL);
CREATE {kind} TABLE placed (
    root integer NOT NULL,
    n integer NOT NULL,
    node uuid NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    priority smallint NOT NULL,
    first_at timestamptz,
    shared boolean NOT NULL
);
CREATE {kind} TABLE grouped (
    root integer NOT NULL,
    evidence uuid NOT NULL,
    nodes uuid[] NOT NULL,
    first_at timestamptz,
    mixed boolean NOT NULL
);

-- name: drop_scratch
-- It is done.
DROP TABLE placed, grouped;

-- name: drop_strange
-- So is a stretch.
DROP TABLE strange;

-- name: analyze_said
-- The planner is to know what was copied.
ANALYZE said_members, said_evidences;

-- name: number
-- Number the nodes in the order of their ids. What is shared is decided by `share`.
INSERT INTO numbered (n, node, kind, namespace, priority, first_at, beside, shared)
SELECT (row_number() OVER (ORDER BY node) - 1)::integer, node, kind, namespace, priority, first_at, beside,
    node = ANY (%(ignored)s::uuid[])
FROM said_nodes;

-- name: analyze_numbered
-- A plan that does not know its size would loop.
ANALYZE numbered;

-- name: count
-- How many nodes there are.
SELECT count(*) FROM placed;

-- name: share
-- Share what stood beside more identifiers of a stronger kind than the rules allow. That is rule 2 of
-- domain/identity.py, in SQL because it needs all evidences of a node at once; each resolution checks it. Who stood beside
-- fewer in all is not looked at.
UPDATE numbered SET shared = true
FROM (
    SELECT w.n
    FROM said_evidences AS e
    JOIN said_members AS mw ON mw.evidence = e.evidence
    JOIN numbered AS w ON w.node = mw.node
    JOIN said_members AS ms ON ms.evidence = e.evidence
    JOIN numbered AS s ON s.node = ms.node
    JOIN unnest(%(kinds)s::text[], %(limits)s::integer[]) AS bound (kind, most) ON bound.kind = s.kind
    WHERE coalesce(w.beside > %(least)s, true) AND e.first_at IS NOT NULL AND s.priority < w.priority AND s.node <> ALL (%(ignored)s::uuid[])
    GROUP BY w.n, s.kind, bound.most
    HAVING count(DISTINCT s.n) > bound.most
) AS many
WHERE numbered.n = many.n;

-- name: linked
-- What hangs together: the numbers of the nodes that stand in one evidence and are not shared.
SELECT array_agg(n.n)
FROM said_evidences AS e
JOIN said_members AS m ON m.evidence = e.evidence
JOIN numbered AS n ON n.node = m.node
WHERE e.first_at IS NOT NULL AND NOT n.shared
GROUP BY e.evidence
HAVING count(*) > 1;

-- name: merged
-- What stewards made hang together, in the same form.
SELECT array_agg(n.n)
FROM rulings AS r
CROSS JOIN LATERAL unnest(r.nodes) AS named (node)
JOIN numbered AS n ON n.node = named.node
WHERE r.counts AND r.merges AND NOT n.shared
GROUP BY r.name
HAVING count(*) > 1;

-- name: copy_rooted
-- Filled from an array.
COPY rooted (n, root) FROM STDIN (FORMAT BINARY);

-- name: place
-- Nodes by component; found by root where components are shared out, and by node.
ANALYZE rooted;
INSERT INTO placed (root, n, node, kind, namespace, priority, first_at, shared)
SELECT r.root, n.n, n.node, n.kind, n.namespace, n.priority, n.first_at, n.shared
FROM rooted AS r JOIN numbered AS n ON n.n = r.n
ORDER BY r.root, n.n;
CREATE INDEX ON placed (root);
CREATE INDEX ON placed (node);
ANALYZE placed;
DROP TABLE numbered, rooted;

-- name: group
-- Evidences by the component of their first node that is not shared: where they are at home.
INSERT INTO grouped (root, evidence, nodes, first_at, mixed)
SELECT found.root, e.evidence, e.nodes, e.first_at, found.mixed OR e.first_at IS NULL
FROM (
    SELECT m.evidence, (array_agg(p.root ORDER BY p.shared, p.priority, p.first_at NULLS LAST, p.node))[1] AS root,
        bool_or(p.shared) OR min(p.root) <> max(p.root) AS mixed
    FROM said_members AS m JOIN placed AS p ON p.node = m.node
    GROUP BY m.evidence
) AS found
JOIN said_evidences AS e ON e.evidence = found.evidence
ORDER BY found.root;
CREATE INDEX ON grouped (root);
ANALYZE grouped;

-- name: strange
-- Components of this stretch that are resolved link by link: somebody ruled on them, they have more numbers than one
-- customer may have, or are too large, or something in their evidences does not link, or is at home elsewhere.
CREATE TEMP TABLE strange ON COMMIT DROP AS
SELECT p.root
FROM rulings AS r CROSS JOIN LATERAL unnest(r.nodes) AS named (node) JOIN placed AS p ON p.node = named.node
WHERE r.counts AND p.root >= %(first)s AND p.root < %(after)s
UNION
SELECT root FROM grouped WHERE root >= %(first)s AND root < %(after)s
GROUP BY root HAVING bool_or(mixed) OR sum(cardinality(nodes) * (cardinality(nodes) - 1) / 2) > %(most_links)s
UNION
SELECT root FROM placed WHERE root >= %(first)s AND root < %(after)s
GROUP BY root HAVING bool_or(shared) OR count(*) > %(most_nodes)s
UNION
SELECT p.root
FROM placed AS p JOIN unnest(%(limited)s::text[], %(limits)s::integer[]) AS bound (kind, most) ON bound.kind = p.kind
WHERE p.root >= %(first)s AND p.root < %(after)s
GROUP BY p.root, p.kind, p.namespace, bound.most
HAVING count(*) > bound.most;

-- name: index_strange
-- Found by root; and its size is known.
CREATE UNIQUE INDEX ON strange (root);
ANALYZE strange;

-- name: ordinary
-- All other components of this stretch are one customer each, named by its first node, as domain/identity.py would find:
-- what is kept of their nodes, evidences, and of each as a whole.
WITH mine AS MATERIALIZED (
    SELECT root, n, node, kind, namespace, priority, first_at FROM placed
    WHERE root >= %(first)s AND root < %(after)s AND root NOT IN (SELECT strange.root FROM strange)
),
customers AS MATERIALIZED (
    SELECT DISTINCT ON (mine.root) mine.root, first_value(mine.node) OVER (PARTITION BY mine.root ORDER BY mine.n) AS label,
        mine.node, mine.priority, mine.first_at
    FROM mine
    ORDER BY mine.root, mine.priority, mine.first_at, mine.node
),
said AS MATERIALIZED (
    SELECT root, evidence, nodes, first_at FROM grouped
    WHERE root >= %(first)s AND root < %(after)s AND root NOT IN (SELECT strange.root FROM strange)
),
beside AS MATERIALIZED (
    SELECT said.evidence, said.first_at, mine.node, mine.kind, mine.priority
    FROM said CROSS JOIN LATERAL unnest(said.nodes) AS named (node) JOIN mine ON mine.node = named.node
    WHERE cardinality(said.nodes) > 1
),
stronger AS (
    SELECT DISTINCT weak.node, strong.priority, strong.node AS other
    FROM beside AS weak JOIN beside AS strong ON strong.evidence = weak.evidence AND strong.priority < weak.priority
    WHERE strong.kind = ANY (%(strong)s::text[])
),
strong AS (
    SELECT node, array_agg(format('%%s:%%s', priority, replace(other::text, '-', '')) ORDER BY priority, other) AS told
    FROM stronger GROUP BY node
),
numbers AS (
    SELECT DISTINCT ON (evidence) evidence, first_at, node FROM beside
    WHERE kind = ANY (%(limited)s::text[]) ORDER BY evidence, node
),
direct AS (
    SELECT DISTINCT ON (beside.node) beside.node, numbers.node AS direct, numbers.first_at AS direct_at
    FROM beside JOIN numbers ON numbers.evidence = beside.evidence
    WHERE beside.kind <> ALL (%(limited)s::text[])
    ORDER BY beside.node, numbers.first_at, numbers.node
),
put_nodes AS (
    INSERT INTO nodes (
        node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer
    )
    SELECT mine.node, mine.kind, mine.namespace, mine.priority, mine.first_at, false,
        coalesce(strong.told[:%(most_strong)s], '{}'), direct.direct, direct.direct_at, customers.label, customers.node
    FROM mine
    JOIN customers ON customers.root = mine.root
    LEFT JOIN strong ON strong.node = mine.node
    LEFT JOIN direct ON direct.node = mine.node
),
put_evidences AS (
    INSERT INTO evidences (evidence, nodes, first_at, component, customer)
    SELECT said.evidence, said.nodes, said.first_at, customers.label, customers.node
    FROM said JOIN customers ON customers.root = said.root
),
held AS (
    SELECT root, count(*) AS nodes,
        coalesce(array_agg(kind || '/' || namespace ORDER BY kind || '/' || namespace COLLATE "C")
            FILTER (WHERE kind = ANY (%(limited)s::text[])), '{}') AS numbers
    FROM mine GROUP BY root
),
linked AS (
    SELECT root, sum(cardinality(nodes) * (cardinality(nodes) - 1) / 2) AS links FROM said GROUP BY root
),
put_plain AS (
    INSERT INTO plain (component, customer, priority, first_at, nodes, links, numbers)
    SELECT customers.label, customers.node, customers.priority, customers.first_at, held.nodes, linked.links, held.numbers
    FROM customers JOIN held ON held.root = customers.root JOIN linked ON linked.root = customers.root
)
SELECT count(*) FROM mine;

-- name: nodes_by_component
-- Nodes of each strange component, and those of other components that stand in its evidences (`inside` false), by root.
SELECT p.root, true AS inside, p.node, p.kind, p.namespace, p.priority, p.first_at, p.shared
FROM strange JOIN placed AS p ON p.root = strange.root
UNION ALL
(
    SELECT DISTINCT g.root, false, p.node, p.kind, p.namespace, p.priority, p.first_at, p.shared
    FROM strange
    JOIN grouped AS g ON g.root = strange.root
    CROSS JOIN LATERAL unnest(g.nodes) AS named (node)
    JOIN placed AS p ON p.node = named.node
    WHERE g.mixed AND p.root <> g.root
)
ORDER BY root;

-- name: evidences_by_component
-- Evidences of these components, by root.
SELECT g.root, g.evidence, g.nodes, g.first_at
FROM strange JOIN grouped AS g ON g.root = strange.root
ORDER BY g.root;

-- name: rulings
-- Rulings that count.
SELECT name, at, merges, nodes, sides FROM rulings WHERE counts;

-- name: evidences_of_shared
-- All evidences of each shared node, wherever they are at home.
SELECT p.node, e.evidence, e.nodes, e.first_at
FROM placed AS p
JOIN said_members AS m ON m.node = p.node
JOIN said_evidences AS e ON e.evidence = m.evidence
WHERE p.shared
ORDER BY p.node;

-- name: kinds_of
-- What these nodes are.
SELECT node, kind, namespace, priority FROM placed WHERE node = ANY (%(nodes)s::uuid[]);

-- name: copy_nodes
-- Resolved nodes.
COPY nodes (
    node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer
) FROM STDIN (FORMAT BINARY);

-- name: copy_evidences
-- Resolved evidences.
COPY evidences (evidence, nodes, first_at, component, customer) FROM STDIN (FORMAT BINARY);

-- name: copy_disputes
-- Links that were not followed.
COPY disputes (a, b, reason, first_at, component) FROM STDIN (FORMAT BINARY);

-- name: copy_plain
-- Components that are one customer as a whole.
COPY plain (component, customer, priority, first_at, nodes, links, numbers) FROM STDIN (FORMAT BINARY);

-- name: put_stars
-- Components that were resolved by a star.
INSERT INTO stars (component) SELECT unnest(%(components)s::uuid[]);

-- name: keep_members
-- What no rule changes is taken over: which identifiers stand in which evidence.
INSERT INTO members (node, evidence) SELECT node, evidence FROM said_members ORDER BY node, evidence;

-- name: keep_loose
-- … evidences of which something was taken back …
INSERT INTO loose (evidence) SELECT evidence FROM identity.loose;

-- name: keep_rulings
-- … and what stewards ruled.
INSERT INTO rulings (name, at, merges, counts, nodes, sides)
SELECT name, at, merges, counts, nodes, sides FROM identity.rulings;

-- name: no_rules
-- Those that a new build took over from live.
DELETE FROM rules;

-- name: put_rules
-- The rules that these tables were resolved by.
INSERT INTO rules (rules) VALUES (%(rules)s);

-- name: analyze
-- Comparing joins whole tables.
ANALYZE nodes, evidences, disputes;
