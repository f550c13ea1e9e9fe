-- What can be asked about one customer? All of one answer is read in one snapshot, by the evidences that are at home
-- in her. Every read is bounded, but for sums, which touch each row once.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: customer
-- Whose a node is, and the evidences that are at home there; no row for what is no node.
SELECT n.customer, ARRAY (
    SELECT e.evidence FROM identity.evidences AS e WHERE e.customer = n.customer ORDER BY e.evidence
)
FROM identity.nodes AS n WHERE n.node = %(node)s;

-- name: contacts
-- Touchpoints by channel and direction, summed over evidences; the last three columns are those of all of them.
SELECT channel, direction, sum(touchpoints)::bigint, min(first_at), max(last_at),
    (sum(sum(touchpoints)) OVER ())::bigint, min(min(first_at)) OVER (), max(max(last_at)) OVER ()
FROM customers.contacts WHERE evidence = ANY (%(evidences)s::uuid[])
GROUP BY channel, direction
ORDER BY channel COLLATE "C", direction COLLATE "C"
LIMIT %(most)s;

-- name: sums
-- Orders, revenue and refunds by currency, and with a null currency the orders of all. Of what two sources tell of
-- one order the purchases of that source count which told of it first, and so with its refunds: `domain/facts.py`.
SELECT currency,
    count(DISTINCT order_key) FILTER (WHERE NOT refund),
    coalesce(sum(amount) FILTER (WHERE NOT refund), 0),
    coalesce(-sum(amount) FILTER (WHERE refund), 0)
FROM (
    SELECT currency, order_key, refund, amount, source,
        first_value(source) OVER (PARTITION BY order_key, refund ORDER BY happened_at, name) AS told_first
    FROM customers.trades WHERE evidence = ANY (%(evidences)s::uuid[])
) AS told
WHERE source = told_first
GROUP BY GROUPING SETS ((currency), ())
ORDER BY currency COLLATE "C" NULLS LAST;

-- name: touches
-- The latest touchpoints that came from her: evidence by evidence along the index, so that no long story is sorted.
SELECT found.channel, found.happened_at
FROM unnest(%(evidences)s::uuid[]) AS hers (evidence)
CROSS JOIN LATERAL (
    SELECT e.channel, e.happened_at, e.name
    FROM timeline.events AS e
    WHERE e.evidence = hers.evidence AND e.touch AND e.direction = 'in'
        AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted)
    ORDER BY e.happened_at DESC, e.name DESC
    LIMIT %(most)s
) AS found
ORDER BY found.happened_at DESC, found.name DESC
LIMIT %(most)s;

-- name: answer
-- The last campaign that she answered.
SELECT campaign, happened_at, name FROM customers.answers
WHERE evidence = ANY (%(evidences)s::uuid[])
ORDER BY happened_at DESC, name DESC
LIMIT 1;

-- name: last_words
-- Of each evidence, purpose and channel the last grant and the last withdrawal, which say it all. Withdrawals first:
-- should there be more than are read, then no grant is believed.
SELECT name, evidence, happened_at, purpose, channel, granted, type
FROM (
    SELECT DISTINCT ON (evidence, purpose, channel, granted)
        name, evidence, happened_at, purpose, channel, granted, type
    FROM customers.consents WHERE evidence = ANY (%(evidences)s::uuid[])
    ORDER BY evidence, purpose, channel, granted, happened_at DESC, name DESC
) AS last
ORDER BY granted, happened_at DESC, name DESC
LIMIT %(most)s;

-- name: words
-- Everything that was ever said about consent before a place, newest first.
SELECT name, evidence, happened_at, purpose, channel, granted, type
FROM customers.consents
WHERE evidence = ANY (%(evidences)s::uuid[]) AND (happened_at, name) < (%(at)s, %(name)s)
ORDER BY happened_at DESC, name DESC
LIMIT %(most)s;

-- name: links
-- What makes these evidences one customer, oldest first: each with its first time and those of its nodes that link,
-- and the latest such time of all.
SELECT e.evidence, ARRAY (
        SELECT n.node FROM identity.nodes AS n
        WHERE n.node = ANY (e.nodes) AND n.customer = %(customer)s AND NOT n.shared
        ORDER BY n.node
    ), e.first_at, max(e.first_at) OVER ()
FROM identity.evidences AS e
WHERE e.evidence = ANY (%(evidences)s::uuid[])
ORDER BY e.first_at NULLS LAST, e.evidence
LIMIT %(most)s;

-- name: merges
-- Stewards' merges of her nodes: when, and which of its nodes are hers.
SELECT r.at, ARRAY (
    SELECT n.node FROM identity.nodes AS n
    WHERE n.node = ANY (r.nodes) AND n.customer = %(customer)s AND NOT n.shared
    ORDER BY n.node
)
FROM identity.rulings AS r
WHERE r.merges AND r.counts
    AND r.nodes && ARRAY (SELECT node FROM identity.nodes WHERE customer = %(customer)s)
ORDER BY r.at, r.name
LIMIT %(most)s;

-- name: claims
-- What events claim of her, newest first.
SELECT name, place, evidence, happened_at, source, fields
FROM directory.claims WHERE evidence = ANY (%(evidences)s::uuid[])
ORDER BY happened_at DESC, name DESC, place DESC
LIMIT %(most)s;

-- name: identifiers
-- Her identifiers in their order; the value is null where nothing readable is left of it.
SELECT n.node, n.kind, n.namespace, found.value, n.shared, n.first_at
FROM identity.nodes AS n
LEFT JOIN LATERAL (SELECT i.value FROM directory.identifiers AS i WHERE i.node = n.node LIMIT 1) AS found
    ON NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = n.node)
WHERE n.customer = %(customer)s
ORDER BY n.priority, n.first_at NULLS LAST, n.node
LIMIT %(most)s;

-- name: disputes
-- Links of her identifiers that were not followed: hers, the other one, and whose that is.
SELECT mine.node, mine.kind, mine.namespace, my.value, other.node, other.kind, other.namespace, its.value,
    other.customer, d.reason, d.first_at
FROM identity.nodes AS mine
CROSS JOIN LATERAL (
    SELECT b AS node, reason, first_at FROM identity.disputes WHERE a = mine.node
    UNION ALL
    SELECT a, reason, first_at FROM identity.disputes WHERE b = mine.node
) AS d
JOIN identity.nodes AS other ON other.node = d.node
LEFT JOIN LATERAL (SELECT i.value FROM directory.identifiers AS i WHERE i.node = mine.node LIMIT 1) AS my
    ON NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = mine.node)
LEFT JOIN LATERAL (SELECT i.value FROM directory.identifiers AS i WHERE i.node = other.node LIMIT 1) AS its
    ON NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = other.node)
WHERE mine.customer = %(customer)s
ORDER BY d.first_at, mine.node, other.node
LIMIT %(most)s;

-- name: erased
-- Was what is personal of her destroyed?
SELECT EXISTS (SELECT FROM storyline.erased WHERE evidence = ANY (%(evidences)s::uuid[]));
