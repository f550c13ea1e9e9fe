-- What would other rules make of who is who? The evidences and rulings of `identity` are resolved anew (`filling.sql`) into
-- tables of the same names in the schema that stands first in the search path; `identity.…` are the live ones.

-- name: snapshot
-- One moment for all that is read.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

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

-- name: readable
-- Every identifier that can be read, to find those that other rules block.
SELECT DISTINCT node, kind, namespace, value FROM directory.identifiers;

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
