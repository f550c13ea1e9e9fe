-- Which segments are there, and how do their definitions change? Every change holds the one row of `segment_state`, so
-- that two of them follow each other, and whoever keeps memberships notices.

-- name: begin
-- Nobody else changes a definition until this transaction ends; whoever keeps memberships notices that something changed.
UPDATE storyline.segment_state SET generation = generation + 1 RETURNING generation;

-- name: answered
-- What was answered under an idempotency key, and what it was asked for with.
SELECT request, answer FROM storyline.idempotency WHERE scope = %(scope)s AND key = %(key)s;

-- name: keep
-- An answer under its key, in the transaction that changes the definition.
INSERT INTO storyline.idempotency (scope, key, request, answer, at)
VALUES (%(scope)s, %(key)s, %(request)s, %(answer)s, %(at)s);

-- name: one
-- One segment.
SELECT code, kind, title, description, state, serving, filling, announce, created_at, changed_at, created_by, revision
FROM storyline.segments WHERE code = %(code)s;

-- name: page
-- Segments behind a code, in the order of their codes.
SELECT code, kind, title, description, state, serving, filling, announce, created_at, changed_at, created_by, revision
FROM storyline.segments
WHERE code COLLATE "C" > %(after)s
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(like)s::text IS NULL OR code ILIKE %(like)s OR title ILIKE %(like)s OR description ILIKE %(like)s)
ORDER BY code COLLATE "C"
LIMIT %(limit)s;

-- name: versions
-- The rules of a segment, the newest first.
SELECT version, rule, text, hash, made_at, made_by, state, filled_to, size, announce_existing
FROM storyline.segment_versions WHERE segment = %(code)s ORDER BY version DESC LIMIT %(limit)s;

-- name: version
-- One rule of a segment; of several the one that serves, else the one that is being found out, else the newest.
SELECT v.version, v.rule, v.text, v.hash, v.made_at, v.made_by, v.state, v.filled_to, v.size, v.announce_existing
FROM storyline.segment_versions AS v JOIN storyline.segments AS s ON s.code = v.segment
WHERE v.segment = %(code)s
ORDER BY v.version = s.serving DESC NULLS LAST, v.version = s.filling DESC NULLS LAST, v.version DESC
LIMIT 1;

-- name: rules
-- Every rule that counts or is being found out, and of which state its segment is.
SELECT s.code, s.kind, s.state, s.serving, v.version, v.rule
FROM storyline.segments AS s
LEFT JOIN storyline.segment_versions AS v
    ON v.segment = s.code AND s.state = 'active' AND v.version IN (s.serving, s.filling)
ORDER BY s.code, v.version;

-- name: actives
-- How many segments are active.
SELECT count(*) FROM storyline.segments WHERE state = 'active';

-- name: create
-- A new segment; nothing where there is one of that code.
INSERT INTO storyline.segments (code, kind, title, description, announce, created_at, changed_at, created_by)
VALUES (%(code)s, %(kind)s, %(title)s, %(description)s, %(announce)s, %(at)s, %(at)s, %(by)s)
ON CONFLICT (code) DO NOTHING
RETURNING code;

-- name: fail
-- A rule that was not found out completely gives way to another.
UPDATE storyline.segment_versions SET state = 'failed' WHERE segment = %(code)s AND state = 'filling';

-- name: add_version
-- A new rule, which is to be found out beside the one that serves; gives its version.
INSERT INTO storyline.segment_versions
    (segment, version, rule, text, hash, made_at, made_by, state, announce_existing)
SELECT %(code)s, coalesce(max(version), 0) + 1, %(rule)s, %(text)s, %(hash)s, %(at)s, %(by)s, %(state)s, %(existing)s
FROM storyline.segment_versions WHERE segment = %(code)s
RETURNING version;

-- name: fill
-- The rule that is being found out from now on.
UPDATE storyline.segments SET filling = %(version)s WHERE code = %(code)s;

-- name: change
-- Other words, or whether it is announced. What is null stays.
UPDATE storyline.segments
SET title = coalesce(%(title)s, title), description = coalesce(%(description)s, description),
    announce = coalesce(%(announce)s, announce), changed_at = %(at)s, revision = revision + 1
WHERE code = %(code)s;

-- name: archive
-- It holds nobody from now on; those who are in it are taken out by whoever keeps memberships.
UPDATE storyline.segments SET state = 'archived', changed_at = %(at)s, revision = revision + 1 WHERE code = %(code)s;

-- name: retire
-- The rule that served before it was archived does so no more.
UPDATE storyline.segment_versions SET state = 'retired' WHERE segment = %(code)s AND state = 'serving';

-- name: restore
-- It is active again, and no rule serves yet.
UPDATE storyline.segments
SET state = 'active', serving = NULL, filling = NULL, changed_at = %(at)s, revision = revision + 1
WHERE code = %(code)s;

-- name: wake_listed
-- Whoever keeps memberships looks at all who are on a list.
INSERT INTO storyline.segment_wakes (node, why)
SELECT node, 'list' FROM storyline.segment_lists WHERE segment = %(code)s;

-- name: wake
-- Whoever keeps memberships looks at these.
INSERT INTO storyline.segment_wakes (node, why) SELECT node, 'list' FROM unnest(%(nodes)s::uuid[]) AS one (node);

-- name: known
-- Which of these are customers, by any id that they ever had; the id of now for each.
SELECT asked.id, n.customer
FROM unnest(%(ids)s::uuid[]) AS asked (id) LEFT JOIN identity.nodes AS n ON n.node = asked.id;

-- name: listed
-- How many are on a list.
SELECT count(*) FROM storyline.segment_lists WHERE segment = %(code)s;

-- name: add
-- Put customers on a list, by their ids of now; gives those that were not on it by any of their identifiers.
INSERT INTO storyline.segment_lists (segment, node, added_at, added_by)
SELECT %(code)s, customer, %(at)s, %(by)s
FROM unnest(%(customers)s::uuid[]) AS one (customer)
WHERE NOT EXISTS (
    SELECT FROM identity.nodes AS n JOIN storyline.segment_lists AS l ON l.node = n.node AND l.segment = %(code)s
    WHERE n.customer = one.customer
)
ORDER BY customer
ON CONFLICT DO NOTHING
RETURNING node;

-- name: remove
-- Take customers off a list, by whichever identifier they are on it; gives them.
DELETE FROM storyline.segment_lists AS l
WHERE l.segment = %(code)s AND (
    l.node = ANY (%(customers)s::uuid[])
    OR l.node IN (SELECT n.node FROM identity.nodes AS n WHERE n.customer = ANY (%(customers)s::uuid[]))
)
RETURNING l.node;

-- name: freeze
-- Those who are in a segment now, as a list of another.
INSERT INTO storyline.segment_lists (segment, node, added_at, added_by)
SELECT %(code)s, customer, %(at)s, %(by)s FROM segments.memberships
WHERE segment = %(of)s AND version = %(version)s
ORDER BY customer;
