-- What can be asked of segments: who is in one, how many there were, and what two of them share?

-- name: sizes
-- How many are in each of these segments, by the version that serves.
SELECT asked.segment, (
    SELECT count(*) FROM segments.memberships AS m WHERE m.segment = asked.segment AND m.version = asked.version
)
FROM unnest(%(segments)s::text[], %(versions)s::integer[]) AS asked (segment, version);

-- name: members
-- Who is in a segment, behind a customer, in the order of their ids; each with when they entered, if that is known.
SELECT m.customer, (
    SELECT c.at FROM storyline.segment_changes AS c
    WHERE c.customer = m.customer AND c.segment = m.segment AND c.entered
    ORDER BY c.id DESC LIMIT 1
)
FROM segments.memberships AS m
WHERE m.segment = %(segment)s AND m.version = %(version)s AND m.customer > %(after)s
ORDER BY m.customer
LIMIT %(limit)s;

-- name: is_member
-- Is this customer in it, since when, and why?
SELECT EXISTS (
    SELECT FROM segments.memberships AS m
    WHERE m.segment = %(segment)s AND m.version = %(version)s AND m.customer = %(customer)s
), c.at, c.because
FROM (SELECT) AS one
LEFT JOIN LATERAL (
    SELECT c.at, c.because FROM storyline.segment_changes AS c
    WHERE c.customer = %(customer)s AND c.segment = %(segment)s
    ORDER BY c.id DESC LIMIT 1
) AS c ON true;

-- name: customers_of
-- Whose these nodes are.
SELECT node, customer FROM identity.nodes WHERE node = ANY (%(nodes)s::uuid[]);

-- name: listed
-- Since when a customer is on a list, by any of their nodes.
SELECT min(l.added_at) FROM storyline.segment_lists AS l
WHERE l.segment = %(segment)s
    AND l.node IN (SELECT n.node FROM identity.nodes AS n WHERE n.customer = %(customer)s);

-- name: over_time
-- How many were in it at the end of each span, and how many entered and left in it. The spans lie between neighbours of
-- `bounds`; what lies before the first one counts for the size alone.
WITH changes AS (
    SELECT width_bucket(c.at, %(bounds)s::timestamptz[]) AS span,
        count(*) FILTER (WHERE c.entered) AS entered, count(*) FILTER (WHERE NOT c.entered) AS gone
    FROM storyline.segment_changes AS c
    WHERE c.segment = %(segment)s AND c.at < (%(bounds)s::timestamptz[])[cardinality(%(bounds)s::timestamptz[])]
    GROUP BY 1
)
SELECT place.span, coalesce(changes.entered, 0), coalesce(changes.gone, 0),
    (sum(coalesce(changes.entered, 0) - coalesce(changes.gone, 0)) OVER (ORDER BY place.span))::bigint
FROM generate_series(0, cardinality(%(bounds)s::timestamptz[]) - 1) AS place (span)
LEFT JOIN changes ON changes.span = place.span
ORDER BY place.span;

-- name: overlap
-- How many are in both of two segments.
SELECT count(*)
FROM segments.memberships AS a JOIN segments.memberships AS b ON b.customer = a.customer
WHERE a.segment = %(a)s AND a.version = %(a_version)s AND b.segment = %(b)s AND b.version = %(b_version)s;

-- name: next_customers
-- The next ones of all customers, in the order of their ids.
SELECT DISTINCT customer FROM identity.evidences
WHERE customer > %(after)s
ORDER BY customer LIMIT %(limit)s;

-- name: held
-- Those of these customers whom a rule holds for.
SELECT verdict.customer FROM ({}) AS verdict WHERE verdict.held ORDER BY verdict.customer;

-- name: patience
-- How long one statement may take, in milliseconds.
SELECT set_config('statement_timeout', %(milliseconds)s, true);
