-- What would other rules make of who is who? The evidences and rulings of `identity` are resolved anew into tables of
-- the same names in the schema that stands first in the search path; `identity.…` are the live ones. Nodes are numbered
-- in their order, so that who hangs together with whom can be worked out in an array of numbers.

-- name: snapshot
-- One moment for all that is read.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- name: work_mem
-- Sorting and joining whole tables; for this transaction only.
SET LOCAL work_mem = '256MB';

-- name: identity_lock
-- Nobody resolves meanwhile.
SELECT pg_advisory_xact_lock(7053081010);

-- name: wake_segments
-- Rules of segments are asked again of everybody.
UPDATE storyline.segment_state SET generation = generation + 1, facing = 'identity';

-- name: scratch
-- Put the scratch tables first for the rest of the transaction.
SET LOCAL search_path TO pg_temp;

-- name: live_rules
-- The rules that the live tables were resolved by.
SELECT rules FROM identity.rules;

-- name: count
-- How many nodes and evidences there are.
SELECT (SELECT count(*) FROM identity.nodes), (SELECT count(*) FROM identity.evidences);

-- name: readable
-- Every identifier that can be read, to find those that other rules block.
SELECT DISTINCT node, kind, namespace, value FROM directory.identifiers;

-- name: number
-- Number the nodes in the order of their ids. What is shared is decided by `share`.
CREATE TEMP TABLE numbered ON COMMIT DROP AS
SELECT
    (row_number() OVER (ORDER BY node) - 1)::integer AS n, node, kind, namespace, priority, first_at,
    node = ANY (%(ignored)s::uuid[]) AS shared
FROM identity.nodes;

-- name: index_numbered
-- Found by node; analysed, since a plan that does not know its size would loop.
CREATE UNIQUE INDEX ON pg_temp.numbered (node);

-- name: analyze_numbered
-- See above.
ANALYZE pg_temp.numbered;

-- name: share
-- Share what stood beside more identifiers of a stronger kind than the rules allow. That is rule 2 of
-- domain/identity.py, in SQL because it needs all evidences of a node at once; each resolution checks it.
UPDATE pg_temp.numbered SET shared = true
FROM (
    SELECT w.n
    FROM identity.evidences AS e
    JOIN identity.members AS mw ON mw.evidence = e.evidence
    JOIN pg_temp.numbered AS w ON w.node = mw.node
    JOIN identity.members AS ms ON ms.evidence = e.evidence
    JOIN pg_temp.numbered AS s ON s.node = ms.node
    JOIN unnest(%(kinds)s::text[], %(limits)s::integer[]) AS bound (kind, most) ON bound.kind = s.kind
    WHERE e.first_at IS NOT NULL AND s.priority < w.priority AND s.node <> ALL (%(ignored)s::uuid[])
    GROUP BY w.n, s.kind, bound.most
    HAVING count(DISTINCT s.n) > bound.most
) AS many
WHERE numbered.n = many.n;

-- name: linked
-- What hangs together: the numbers of the nodes that stand in one evidence and are not shared.
SELECT array_agg(n.n)
FROM identity.evidences AS e
JOIN identity.members AS m ON m.evidence = e.evidence
JOIN pg_temp.numbered AS n ON n.node = m.node
WHERE e.first_at IS NOT NULL AND NOT n.shared
GROUP BY e.evidence
HAVING count(*) > 1;

-- name: merged
-- What stewards made hang together, in the same form.
SELECT array_agg(n.n)
FROM identity.rulings AS r
CROSS JOIN LATERAL unnest(r.nodes) AS named (node)
JOIN pg_temp.numbered AS n ON n.node = named.node
WHERE r.counts AND r.merges AND NOT n.shared
GROUP BY r.name
HAVING count(*) > 1;

-- name: create_placed
-- The least number of each node's component; its own for a shared one.
CREATE TEMP TABLE placed (n integer NOT NULL, root integer NOT NULL) ON COMMIT DROP;

-- name: copy_placed
-- Filled from an array.
COPY pg_temp.placed (n, root) FROM STDIN (FORMAT BINARY);

-- name: analyze_placed
-- Its size is known by now.
ANALYZE pg_temp.placed;

-- name: group
-- Each evidence to the component of its first node that is not shared: where it is at home.
CREATE TEMP TABLE grouped ON COMMIT DROP AS
SELECT DISTINCT ON (m.evidence) p.root, m.evidence
FROM identity.members AS m
JOIN pg_temp.numbered AS n ON n.node = m.node
JOIN pg_temp.placed AS p ON p.n = n.n
ORDER BY m.evidence, n.shared, n.priority, n.first_at NULLS LAST, n.node;

-- name: index_grouped
-- Found by evidence.
CREATE UNIQUE INDEX ON pg_temp.grouped (evidence);

-- name: analyze_grouped
-- Its size is known by now.
ANALYZE pg_temp.grouped;

-- name: nodes_by_component
-- Every component's nodes, and those of other components that stand in its evidences (`inside` false), by root.
SELECT p.root, true AS inside, n.node, n.kind, n.namespace, n.priority, n.first_at, n.shared
FROM pg_temp.numbered AS n JOIN pg_temp.placed AS p ON p.n = n.n
UNION ALL
(
    SELECT DISTINCT g.root, false, n.node, n.kind, n.namespace, n.priority, n.first_at, n.shared
    FROM pg_temp.grouped AS g
    JOIN identity.members AS m ON m.evidence = g.evidence
    JOIN pg_temp.numbered AS n ON n.node = m.node
    JOIN pg_temp.placed AS p ON p.n = n.n
    WHERE p.root <> g.root
)
ORDER BY root;

-- name: evidences_by_component
-- Every component's evidences, by root.
SELECT g.root, e.evidence, e.nodes, e.first_at
FROM pg_temp.grouped AS g JOIN identity.evidences AS e ON e.evidence = g.evidence
ORDER BY g.root;

-- name: rulings
-- Rulings that count.
SELECT name, at, merges, nodes, sides FROM identity.rulings WHERE counts;

-- name: shared_nodes
-- Shared nodes.
SELECT node FROM pg_temp.numbered WHERE shared;

-- name: evidences_of_shared
-- All evidences of one shared node, wherever they are at home.
SELECT e.evidence, e.nodes, e.first_at
FROM identity.members AS m JOIN identity.evidences AS e ON e.evidence = m.evidence
WHERE m.node = %(node)s;

-- name: kinds_of
-- What these nodes are.
SELECT node, kind, namespace, priority, first_at FROM pg_temp.numbered WHERE node = ANY (%(nodes)s::uuid[]);

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

-- name: copy_stars
-- Components that were resolved by a star.
COPY stars (component) FROM STDIN (FORMAT BINARY);

-- name: keep_members
-- What no rule changes is taken over: which identifiers stand in which evidence.
INSERT INTO members (node, evidence) SELECT node, evidence FROM identity.members ORDER BY node, evidence;

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

-- name: behind
-- Evidences that came to the live tables, or got another earliest time, since these were filled; each node written as
-- the token that it stands for (of whatever generation, which nobody asks for here).
SELECT e.evidence, e.first_at, array_agg(
    n.kind || CASE WHEN n.namespace = '' THEN '' ELSE '/' || n.namespace END || '.0.' || replace(n.node::text, '-', '')
    ORDER BY named.place
)
FROM identity.evidences AS e
LEFT JOIN evidences AS mine ON mine.evidence = e.evidence
CROSS JOIN LATERAL unnest(e.nodes) WITH ORDINALITY AS named (node, place)
JOIN identity.nodes AS n ON n.node = named.node
WHERE mine.evidence IS NULL OR mine.first_at IS DISTINCT FROM e.first_at
GROUP BY e.evidence, e.first_at;

-- name: rulings_behind
-- Rulings that came, or were taken back, since these tables were filled; nodes as tokens.
SELECT r.name, r.at, r.merges, r.counts, array_agg(
    n.kind || CASE WHEN n.namespace = '' THEN '' ELSE '/' || n.namespace END || '.0.' || replace(n.node::text, '-', '')
    ORDER BY named.place
), array_agg(named.side ORDER BY named.place)
FROM identity.rulings AS r
LEFT JOIN rulings AS mine ON mine.name = r.name
CROSS JOIN LATERAL unnest(r.nodes, r.sides) WITH ORDINALITY AS named (node, side, place)
JOIN identity.nodes AS n ON n.node = named.node
WHERE mine.name IS NULL OR (mine.at, mine.counts) <> (r.at, r.counts)
GROUP BY r.name, r.at, r.merges, r.counts;

-- name: loose_behind
-- Evidences of which something was taken back since.
INSERT INTO loose (evidence) SELECT evidence FROM identity.loose ON CONFLICT DO NOTHING;

-- name: totals
-- Customers with events, live and by the new rules; links not followed, live and by the new rules; identifiers that
-- would be shared, and that would be shared no more.
SELECT
    (SELECT count(DISTINCT customer) FROM identity.evidences),
    (SELECT count(DISTINCT customer) FROM evidences),
    (SELECT count(*) FROM identity.disputes),
    (SELECT count(*) FROM disputes),
    (SELECT count(*) FROM nodes AS new JOIN identity.nodes AS old USING (node) WHERE new.shared AND NOT old.shared),
    (SELECT count(*) FROM nodes AS new JOIN identity.nodes AS old USING (node) WHERE old.shared AND NOT new.shared);

-- name: merges
-- New customers whose events stand on several customers now: how many there are, and the first of them with those.
WITH found AS (
    SELECT new.customer, array_agg(DISTINCT old.customer) AS before
    FROM evidences AS new JOIN identity.evidences AS old USING (evidence)
    GROUP BY new.customer HAVING count(DISTINCT old.customer) > 1
)
SELECT count(*) OVER (), customer, cardinality(before), before[:%(parts)s]
FROM found ORDER BY customer LIMIT %(samples)s;

-- name: splits
-- Customers whose events would stand on several customers: how many there are, and the first of them with those.
WITH found AS (
    SELECT old.customer, array_agg(DISTINCT new.customer) AS after
    FROM evidences AS new JOIN identity.evidences AS old USING (evidence)
    GROUP BY old.customer HAVING count(DISTINCT new.customer) > 1
)
SELECT count(*) OVER (), customer, cardinality(after), after[:%(parts)s]
FROM found ORDER BY customer LIMIT %(samples)s;
