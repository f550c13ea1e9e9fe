-- Which questions do proposals of duplicates ask? Of the read models they are read only; written are the durable tables
-- and the temporary ones of a run. There keys are hashes and summaries sealed: no temporary file tells anything personal.

-- name: begin
-- Only one run at a time; the lock falls with the connection.
SELECT pg_try_advisory_lock(7053081093);

-- name: end
-- The next run may begin.
SELECT pg_advisory_unlock(7053081093);

-- name: tables
-- What a run needs, and nothing of a run before: what is known of each customer, sealed, and the keys of each.
DROP TABLE IF EXISTS pg_temp.summaries, pg_temp.blocking, pg_temp.blocks, pg_temp.standing, pg_temp.spared, pg_temp.pairs;
CREATE TEMP TABLE summaries (customer uuid NOT NULL, sealed bytea NOT NULL);
CREATE TEMP TABLE blocking (key bigint NOT NULL, customer uuid NOT NULL);

-- name: drop
-- A pool's connection is left as it was.
DROP TABLE IF EXISTS pg_temp.summaries, pg_temp.blocking, pg_temp.blocks, pg_temp.standing, pg_temp.spared, pg_temp.pairs;

-- name: customers
-- The next customers, in the order of their ids.
SELECT DISTINCT customer FROM identity.evidences WHERE customer > %(after)s ORDER BY customer LIMIT %(limit)s;

-- name: known
-- What is known of customers: identifiers (kind, namespace, value) that link, and claims, newest first. Bounded for each,
-- whatever one customer has gathered.
SELECT asked.customer, found.identifiers, told.claims
FROM unnest(%(customers)s::uuid[]) AS asked (customer)
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_array(kind, namespace, value)), '[]') AS identifiers
    FROM (
        SELECT DISTINCT i.kind, i.namespace, i.value
        FROM identity.evidences AS e
        JOIN directory.identifiers AS i ON i.evidence = e.evidence
        JOIN identity.nodes AS n ON n.node = i.node AND NOT n.shared
        LEFT JOIN storyline.erased_nodes AS gone ON gone.node = i.node
        WHERE e.customer = asked.customer AND i.kind IN ('customer_no', 'email', 'phone') AND gone.node IS NULL
        ORDER BY i.kind, i.namespace, i.value
        LIMIT 64
    ) AS first_ones
) AS found
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(fields ORDER BY happened_at DESC, name DESC, place DESC), '[]') AS claims
    FROM (
        SELECT
            c.happened_at,
            c.name,
            c.place,
            (
                SELECT jsonb_object_agg(field, value)
                FROM jsonb_each(c.fields) AS each_field (field, value)
                WHERE field IN ('name', 'given_name', 'family_name', 'birthday', 'address')
            ) AS fields
        FROM identity.evidences AS e
        JOIN directory.claims AS c ON c.evidence = e.evidence
        WHERE e.customer = asked.customer
            AND c.fields ?| ARRAY['name', 'given_name', 'family_name', 'birthday', 'address']
        ORDER BY c.happened_at DESC, c.name DESC, c.place DESC
        LIMIT 16
    ) AS latest
) AS told;

-- name: copy_summaries
-- What is known of customers is gathered once, and read again for each pair.
COPY summaries (customer, sealed) FROM STDIN (FORMAT BINARY);

-- name: copy_keys
-- Keys come in by the thousand.
COPY blocking (key, customer) FROM STDIN (FORMAT BINARY);

-- name: sort_summaries
-- They are looked up by customer.
CREATE UNIQUE INDEX ON summaries (customer);

-- name: summaries
-- What is known of these customers; nothing of one who came into being after the run began.
SELECT customer, sealed FROM summaries WHERE customer = ANY (%(customers)s);

-- name: blocks
-- Who shares a key. Counted first: a block that is too large says nothing, and would be all pairs of many.
CREATE TEMP TABLE blocks AS
SELECT key, count(*) AS customers FROM blocking GROUP BY key HAVING count(*) > 1;

-- name: analyze
-- Temporary tables are unknown to the planner until they are looked at.
ANALYZE summaries, blocking, blocks;

-- name: count_blocks
-- How many blocks there are, and how many of them are too large.
SELECT count(*), count(*) FILTER (WHERE customers > %(largest)s) FROM blocks;

-- name: forget_erased
-- Nothing is left of what was found about a customer who was erased, the words of a steward included.
WITH gone AS (
    SELECT n.node
    FROM storyline.erased AS x
    JOIN identity.evidences AS e ON e.evidence = x.evidence
    JOIN identity.nodes AS n ON n.customer = e.customer
)
DELETE FROM storyline.proposals
WHERE id IN (
    SELECT p.id FROM storyline.proposals AS p JOIN gone ON gone.node = p.a
    UNION
    SELECT p.id FROM storyline.proposals AS p JOIN gone ON gone.node = p.b
);

-- name: close_merged
-- Two that became one customer in another way are no longer a question.
UPDATE storyline.proposals AS p
SET state = 'closed', why = 'one', decided_at = %(now)s
FROM identity.nodes AS x, identity.nodes AS y
WHERE p.state = 'open' AND x.node = p.a AND y.node = p.b AND x.customer = y.customer;

-- name: close_twins
-- Merges may leave two proposals about the same two customers; the older one stays.
UPDATE storyline.proposals AS p
SET state = 'closed', why = 'twin', decided_at = %(now)s
FROM (
    SELECT
        o.id,
        row_number() OVER (
            PARTITION BY least(x.customer, y.customer), greatest(x.customer, y.customer) ORDER BY o.found_at, o.id
        ) AS place
    FROM storyline.proposals AS o
    JOIN identity.nodes AS x ON x.node = o.a
    JOIN identity.nodes AS y ON y.node = o.b
    WHERE o.state = 'open'
) AS ranked
WHERE p.state = 'open' AND p.id = ranked.id AND ranked.place > 1;

-- name: spared
-- Pairs that a steward has ruled on, by the ids of now: decided proposals, and the sides of a split that counts.
CREATE TEMP TABLE spared AS
SELECT DISTINCT least(x.customer, y.customer) AS a, greatest(x.customer, y.customer) AS b
FROM storyline.proposals AS p
CROSS JOIN LATERAL (SELECT DISTINCT customer FROM identity.nodes WHERE node = ANY (p.nodes_a || p.a)) AS x
CROSS JOIN LATERAL (SELECT DISTINCT customer FROM identity.nodes WHERE node = ANY (p.nodes_b || p.b)) AS y
WHERE p.state IN ('accepted', 'rejected')
UNION
SELECT least(x.customer, y.customer), greatest(x.customer, y.customer)
FROM identity.rulings AS r
CROSS JOIN LATERAL (
    SELECT DISTINCT n.customer, said.side
    FROM unnest(r.nodes, r.sides) AS said (node, side)
    JOIN identity.nodes AS n ON n.node = said.node
) AS x
CROSS JOIN LATERAL (
    SELECT DISTINCT n.customer, said.side
    FROM unnest(r.nodes, r.sides) AS said (node, side)
    JOIN identity.nodes AS n ON n.node = said.node
) AS y
WHERE r.counts AND NOT r.merges AND x.side < y.side;

-- name: close_ruled
-- What a steward has ruled on in another way is no question any more.
UPDATE storyline.proposals AS p
SET state = 'closed', why = 'ruled', decided_at = %(now)s
FROM identity.nodes AS x, identity.nodes AS y, spared
WHERE p.state = 'open' AND x.node = p.a AND y.node = p.b
    AND spared.a = least(x.customer, y.customer) AND spared.b = greatest(x.customer, y.customer);

-- name: standing
-- Open proposals by the ids that their customers have now; they are looked at again, whatever became of their blocks.
CREATE TEMP TABLE standing AS
SELECT least(x.customer, y.customer) AS a, greatest(x.customer, y.customer) AS b, p.a AS first_a, p.b AS first_b
FROM storyline.proposals AS p
JOIN identity.nodes AS x ON x.node = p.a
JOIN identity.nodes AS y ON y.node = p.b
WHERE p.state = 'open' AND x.customer <> y.customer;

-- name: pairs
-- Who is compared: those that share a block, and those of open proposals, but for what a steward has ruled on.
CREATE TEMP TABLE pairs AS
SELECT found.a, found.b, standing.first_a, standing.first_b
FROM (
    SELECT x.customer AS a, y.customer AS b
    FROM blocks
    JOIN blocking AS x ON x.key = blocks.key
    JOIN blocking AS y ON y.key = blocks.key AND x.customer < y.customer
    WHERE blocks.customers <= %(largest)s
    UNION
    SELECT a, b FROM standing
    EXCEPT
    SELECT a, b FROM spared
) AS found
LEFT JOIN standing ON standing.a = found.a AND standing.b = found.b;

-- name: sort_pairs
-- Pairs are taken in order, a few thousand at a time.
CREATE INDEX ON pairs (a, b);

-- name: some_pairs
-- The next pairs; with the ids that an open proposal about them has.
SELECT a, b, coalesce(first_a, a), coalesce(first_b, b)
FROM pairs
WHERE (a, b) > (%(a)s, %(b)s)
ORDER BY a, b
LIMIT %(limit)s;

-- name: propose
-- A pair that is alike. What a steward decided stays decided; what was closed by itself is open again.
INSERT INTO storyline.proposals AS p (id, a, b, score, reasons, found_at, seen_at)
VALUES (%(id)s, %(a)s, %(b)s, %(score)s, %(reasons)s, %(now)s, %(now)s)
ON CONFLICT (a, b) DO UPDATE
SET
    score = excluded.score,
    reasons = excluded.reasons,
    seen_at = excluded.seen_at,
    state = 'open',
    why = NULL,
    decided_at = NULL
WHERE p.state IN ('open', 'closed');

-- name: close_unlike
-- What was open and was not found again is not alike any more.
UPDATE storyline.proposals
SET state = 'closed', why = 'unlike', decided_at = %(now)s
WHERE state = 'open' AND seen_at < %(now)s;

-- name: proposals
-- How many there are, whatever their state.
SELECT count(*) FROM storyline.proposals;

-- name: doubts
-- Links that were not followed, and identifiers that too many people have.
SELECT (SELECT count(*) FROM identity.disputes), (SELECT count(*) FROM identity.nodes WHERE shared);

-- name: states
-- How many proposals are in which state.
SELECT state, count(*) FROM storyline.proposals GROUP BY state;

-- name: measure
-- A figure of a day; a later run of that day takes its place.
INSERT INTO storyline.quality (day, figure, value)
VALUES (%(day)s, %(figure)s, %(value)s)
ON CONFLICT (day, figure) DO UPDATE SET value = excluded.value;

-- name: quality
-- Figures since a day, in order of days.
SELECT day, figure, value FROM storyline.quality WHERE day >= %(since)s ORDER BY day, figure LIMIT %(limit)s;

-- name: page
-- Proposals, the highest score first, with the ids that their customers have now. What became one customer since the
-- last run, or was erased, is left out at once.
SELECT
    p.id, coalesce(x.customer, p.a), coalesce(y.customer, p.b), p.score, p.reasons, p.state, p.found_at,
    p.decided_at, p.decided_by, k.label, p.why, p.merge
FROM storyline.proposals AS p
LEFT JOIN identity.nodes AS x ON x.node = p.a
LEFT JOIN identity.nodes AS y ON y.node = p.b
LEFT JOIN storyline.api_keys AS k ON k.key_id = p.decided_by
WHERE (%(state)s::text IS NULL OR p.state = %(state)s)
    AND (p.score < %(score)s OR (p.score = %(score)s AND p.id > %(after)s))
    AND (p.state <> 'open' OR x.customer IS DISTINCT FROM y.customer)
    AND NOT EXISTS (
        SELECT FROM identity.evidences AS e JOIN storyline.erased AS gone ON gone.evidence = e.evidence
        WHERE e.customer IN (x.customer, y.customer)
    )
ORDER BY p.score DESC, p.id
LIMIT %(limit)s;

-- name: one
-- One proposal with the ids that its customers have now, unless one of them was erased.
SELECT
    p.id, coalesce(x.customer, p.a), coalesce(y.customer, p.b), p.score, p.reasons,
    CASE WHEN p.state = 'open' AND x.customer = y.customer THEN 'closed' ELSE p.state END, p.found_at,
    p.decided_at, p.decided_by, k.label,
    CASE WHEN p.state = 'open' AND x.customer = y.customer THEN 'one' ELSE p.why END, p.merge
FROM storyline.proposals AS p
LEFT JOIN identity.nodes AS x ON x.node = p.a
LEFT JOIN identity.nodes AS y ON y.node = p.b
LEFT JOIN storyline.api_keys AS k ON k.key_id = p.decided_by
WHERE p.id = %(id)s
    AND NOT EXISTS (
        SELECT FROM identity.evidences AS e JOIN storyline.erased AS gone ON gone.evidence = e.evidence
        WHERE e.customer IN (x.customer, y.customer)
    );

-- name: hold
-- One proposal, held while it is decided: its state as it stands.
SELECT state FROM storyline.proposals WHERE id = %(id)s FOR UPDATE;

-- name: settle
-- A steward's word, with the identifiers that both had then: it holds whatever their ids become.
UPDATE storyline.proposals
SET
    state = %(state)s,
    decided_at = %(now)s,
    decided_by = %(by)s,
    why = %(why)s,
    merge = %(merge)s,
    nodes_a = ARRAY(
        SELECT node FROM identity.nodes WHERE customer = %(a)s AND NOT shared
        ORDER BY priority, first_at NULLS LAST, node LIMIT 32
    ),
    nodes_b = ARRAY(
        SELECT node FROM identity.nodes WHERE customer = %(b)s AND NOT shared
        ORDER BY priority, first_at NULLS LAST, node LIMIT 32
    )
WHERE id = %(id)s;

-- name: identifiers
-- What a customer is known by, the strongest first; without what is of somebody who was erased.
SELECT DISTINCT n.priority, i.kind, i.namespace, i.value, n.shared
FROM identity.evidences AS e
JOIN directory.identifiers AS i ON i.evidence = e.evidence
JOIN identity.nodes AS n ON n.node = i.node
LEFT JOIN storyline.erased_nodes AS gone ON gone.node = i.node
WHERE e.customer = %(customer)s AND gone.node IS NULL
ORDER BY n.priority, i.kind, i.namespace, i.value
LIMIT %(limit)s;

-- name: candidates
-- The nodes of a customer in their order, with an identifier where one is readable: what a merge can name.
SELECT n.node, i.kind, i.value, i.namespace, n.shared
FROM identity.nodes AS n
LEFT JOIN LATERAL (
    SELECT kind, value, namespace FROM directory.identifiers WHERE node = n.node LIMIT 1
) AS i ON NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = n.node)
WHERE n.customer = %(customer)s
ORDER BY n.shared, i.kind IS NULL, n.priority, n.first_at NULLS LAST, n.node
LIMIT %(limit)s;

-- name: claims
-- What was claimed of a customer, the newest first.
SELECT c.name, c.place, c.evidence, c.happened_at, c.source, c.fields
FROM identity.evidences AS e
JOIN directory.claims AS c ON c.evidence = e.evidence
WHERE e.customer = %(customer)s
ORDER BY c.happened_at DESC, c.name DESC, c.place DESC
LIMIT %(limit)s;
