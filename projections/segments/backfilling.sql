-- How does a new rule come to serve, and what becomes of those that do no more?

-- name: try_alone
-- One instance fills at a time; whoever dies lets go.
SELECT pg_try_advisory_lock(7053081017);

-- name: not_alone
-- Let another.
SELECT pg_advisory_unlock(7053081017);

-- name: note_all
-- The next customers behind one become subjects; gives the last of them.
WITH next AS (
    SELECT DISTINCT customer FROM evidences WHERE customer > %(after)s AND first_at IS NOT NULL
    ORDER BY customer LIMIT %(limit)s
),
put AS (
    INSERT INTO subjects (customer) SELECT customer FROM next ORDER BY customer ON CONFLICT DO NOTHING
)
SELECT max(customer::text)::uuid FROM next;

-- name: filling
-- The rule that is found out next, up to which customer it was, and what is told when it serves.
SELECT v.segment, v.version, v.filled_to
FROM storyline.segment_versions AS v JOIN storyline.segments AS s ON s.code = v.segment
WHERE s.state = 'active' AND s.filling = v.version
ORDER BY v.made_at, v.segment LIMIT 1;

-- name: filled_to
-- So far it was found out.
UPDATE storyline.segment_versions SET filled_to = %(customer)s
WHERE segment = %(segment)s AND version = %(version)s AND state = 'filling';

-- name: hold_state
-- Nobody else changes a definition until this transaction ends; whoever keeps memberships notices.
UPDATE storyline.segment_state SET generation = generation + 1;

-- name: still_filling
-- Is it that rule still that is being found out? Gives the version that serves.
SELECT serving FROM storyline.segments
WHERE code = %(segment)s AND filling = %(version)s AND state = 'active' FOR UPDATE;

-- name: tell_rule
-- Those whom the new rule has and the one before had not enter, the others leave.
INSERT INTO storyline.segment_changes (segment, version, customer, at, entered, because, reason, announce)
SELECT %(segment)s, %(version)s, customer, %(now)s, entered, 'rule', jsonb_build_object('rule', v.hash),
    v.announce_existing AND s.announce
FROM (
    SELECT customer, true AS entered FROM (
        SELECT customer FROM memberships WHERE segment = %(segment)s AND version = %(version)s
        EXCEPT
        SELECT customer FROM memberships WHERE segment = %(segment)s AND version = %(serving)s::integer
    ) AS new
    UNION ALL
    SELECT customer, false FROM (
        SELECT customer FROM memberships WHERE segment = %(segment)s AND version = %(serving)s::integer
        EXCEPT
        SELECT customer FROM memberships WHERE segment = %(segment)s AND version = %(version)s
    ) AS gone
) AS changed
CROSS JOIN storyline.segment_versions AS v JOIN storyline.segments AS s ON s.code = v.segment
WHERE v.segment = %(segment)s AND v.version = %(version)s
ORDER BY customer
RETURNING customer, entered;

-- name: serve
-- From now on this rule counts.
UPDATE storyline.segments SET serving = filling, filling = NULL WHERE code = %(segment)s;

-- name: serve_version
-- So it says of itself, with how many are in.
UPDATE storyline.segment_versions SET state = 'serving', size = (
    SELECT count(*) FROM memberships WHERE segment = %(segment)s AND version = %(version)s
)
WHERE segment = %(segment)s AND version = %(version)s;

-- name: retire
-- Others of the segment that served serve no more.
UPDATE storyline.segment_versions SET state = 'retired'
WHERE segment = %(segment)s AND version <> %(version)s AND state = 'serving';

-- name: fail
-- A rule that cannot be asked never serves; the one before goes on to.
UPDATE storyline.segment_versions SET state = 'failed' WHERE segment = %(segment)s AND version = %(version)s;

-- name: fill_no_more
-- Nothing is being found out of it.
UPDATE storyline.segments SET filling = NULL WHERE code = %(segment)s AND filling = %(version)s;

-- name: named
-- Does the rule of another segment that is kept name this one?
SELECT EXISTS (
    SELECT FROM storyline.segments AS s
    JOIN storyline.segment_versions AS v ON v.segment = s.code AND v.version IN (s.serving, s.filling)
    WHERE s.state = 'active' AND s.code <> %(segment)s
        AND jsonb_path_exists(v.rule, '$.**.segment.code ? (@ == $code)', jsonb_build_object('code', %(segment)s::text))
);

-- name: kept_versions
-- Of which versions are there memberships? Asked of the index, place by place.
WITH RECURSIVE found AS (
    (SELECT segment, version FROM memberships ORDER BY segment, version LIMIT 1)
    UNION ALL
    SELECT next.segment, next.version FROM found CROSS JOIN LATERAL (
        SELECT segment, version FROM memberships
        WHERE (segment, version) > (found.segment, found.version) ORDER BY segment, version LIMIT 1
    ) AS next
)
SELECT found.segment, found.version, coalesce(v.state = 'serving', true)
FROM found LEFT JOIN storyline.segment_versions AS v ON v.segment = found.segment AND v.version = found.version
WHERE NOT EXISTS (
    SELECT FROM storyline.segments AS s
    WHERE s.code = found.segment AND s.state = 'active'
        AND (found.version IN (s.serving, s.filling) OR (s.kind <> 'dynamic' AND found.version = 0))
);

-- name: sweep
-- Take memberships away that belong to nothing any more. `tell`: they counted until their segment was archived, so those
-- who were in leave; nobody is told.
WITH gone AS (
    DELETE FROM memberships WHERE segment = %(segment)s AND version = %(version)s AND customer IN (
        SELECT customer FROM memberships WHERE segment = %(segment)s AND version = %(version)s
        ORDER BY customer LIMIT %(limit)s
    )
    RETURNING customer
),
told AS (
    INSERT INTO storyline.segment_changes (segment, version, customer, at, entered, because)
    SELECT %(segment)s, %(version)s, customer, %(now)s, false, 'archived' FROM gone WHERE %(tell)s
    ORDER BY customer
)
SELECT customer FROM gone;

-- name: retire_archived
-- A rule whose members left serves no more.
UPDATE storyline.segment_versions SET state = 'retired'
WHERE segment = %(segment)s AND version = %(version)s AND state = 'serving';

-- name: any_history
-- Were memberships ever kept?
SELECT EXISTS (SELECT FROM storyline.segment_changes)
    OR EXISTS (SELECT FROM storyline.segments WHERE state = 'active' AND serving IS NOT NULL);

-- name: facing
-- By which part of the configuration was everybody last found out?
SELECT facing FROM storyline.segment_state;

-- name: note_facing
-- By this one.
UPDATE storyline.segment_state SET facing = %(facing)s;
