-- Who fulfils which rule at a moment, and what of that is new? The braces are filled with the compiled rules.

-- name: keep
-- Find out the verdicts on these customers, and bring the memberships to them. Gives (segment, version, customer, entered)
-- of each that changed. `exact`: every rule was asked, so that a later moment to look again replaces an earlier one.
-- `places`: of each version of each segment, where it stands among the rules. What is written here is held by the caller,
-- so that a row's place stays what it was. What is and what was are put side by side without a join, which the planner,
-- who cannot know how many customers these are, might do one by one.
WITH verdict AS MATERIALIZED ({}),
differ AS MATERIALIZED (
    SELECT place, customer, bool_or(held) AS held, max(place_of_row) AS place_of_row
    FROM (
        SELECT unnest(held) AS place, customer, true AS held, NULL::tid AS place_of_row FROM verdict
        UNION ALL
        SELECT was.place, verdict.customer, false, was.place_of_row
        FROM verdict CROSS JOIN LATERAL (
            SELECT (%(places)s::jsonb -> segment ->> version::text)::integer AS place, ctid AS place_of_row
            FROM memberships WHERE memberships.customer = verdict.customer
            OFFSET 0
        ) AS was
        WHERE was.place IS NOT NULL AND (verdict.rules IS NULL OR get_bit(verdict.rules, was.place) = 1)
    ) AS both_ways
    GROUP BY place, customer
    HAVING bool_or(held) <> (max(place_of_row) IS NOT NULL)
),
gone AS (
    DELETE FROM memberships WHERE ctid = ANY (ARRAY(SELECT place_of_row FROM differ WHERE NOT held))
    RETURNING segment, version, customer
),
come AS (
    INSERT INTO memberships (segment, version, customer)
    SELECT (%(segments)s::text[])[place + 1], (%(versions)s::integer[])[place + 1], customer
    FROM differ WHERE held ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING
    RETURNING segment, version, customer
),
soon AS (
    SELECT customer, CASE WHEN wake <= %(now)s::timestamptz THEN %(now)s::timestamptz + interval '1 second' ELSE wake END AS wake
    FROM verdict WHERE %(exact)s OR wake IS NOT NULL
),
woken AS (
    UPDATE subjects SET wake_at = soon.wake, why = NULL FROM soon
    WHERE subjects.customer = soon.customer
        AND CASE
            WHEN %(exact)s THEN subjects.wake_at IS DISTINCT FROM soon.wake
            ELSE subjects.wake_at IS NULL OR subjects.wake_at > soon.wake
        END
)
SELECT segment, version, customer, true FROM come
UNION ALL
SELECT segment, version, customer, false FROM gone;

-- name: patience
-- So long may it take to ask the rules; the log goes on. They are asked customer by customer along indexes, whatever the
-- planner thinks of tables that were not analyzed, or of customers with very long stories; and are planned once, which
-- takes longer than to ask them of a hundred customers.
SELECT set_config('statement_timeout', '15s', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_memoize', 'off', true), set_config('jit', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true);

-- name: as_before
-- Others may take as long as the session allows, and be planned as ever: one setting at a time, as a prepared statement is
-- one command.
SET LOCAL {} TO DEFAULT;

-- name: keep_lists
-- The same for lists that people keep: a customer is on one while a node of theirs is.
WITH listed AS MATERIALIZED (
    SELECT DISTINCT list.segment, nodes.customer
    FROM nodes JOIN storyline.segment_lists AS list ON list.node = nodes.node
    WHERE nodes.customer = ANY (%(customers)s::uuid[]) AND list.segment = ANY (%(lists)s::text[])
),
was AS MATERIALIZED (
    SELECT segment, customer, ctid AS place FROM memberships
    WHERE customer = ANY (%(customers)s::uuid[]) AND version = 0 AND segment = ANY (%(lists)s::text[])
),
gone AS (
    DELETE FROM memberships WHERE ctid = ANY (ARRAY(
        SELECT place FROM was
        WHERE NOT EXISTS (
            SELECT FROM listed WHERE listed.segment = was.segment AND listed.customer = was.customer
        )
    ))
    RETURNING segment, version, customer
),
come AS (
    INSERT INTO memberships (segment, version, customer)
    SELECT segment, 0, customer FROM listed
    WHERE NOT EXISTS (SELECT FROM was WHERE was.segment = listed.segment AND was.customer = listed.customer)
    ORDER BY segment, customer
    ON CONFLICT DO NOTHING
    RETURNING segment, version, customer
)
SELECT segment, version, customer, true FROM come
UNION ALL
SELECT segment, version, customer, false FROM gone;

-- name: heirs
-- Those of these customers that are nobody any more, since no event that counts names them; whose what they were is now
-- (null: nobody's), and whether that one has a history.
SELECT one.customer, heir.customer,
    EXISTS (SELECT FROM storyline.segment_changes AS changes WHERE changes.customer = heir.customer)
FROM unnest(%(customers)s::uuid[]) AS one (customer)
LEFT JOIN nodes AS heir ON heir.node = one.customer AND heir.customer <> one.customer
WHERE NOT EXISTS (
    SELECT FROM evidences WHERE evidences.customer = one.customer AND evidences.first_at IS NOT NULL
)
ORDER BY one.customer;

-- name: inherit
-- A customer goes by another id, because an older trace of theirs came to be known: what they are in stays as it is.
UPDATE memberships SET customer = moved.heir
FROM unnest(%(customers)s::uuid[], %(heirs)s::uuid[]) AS moved (customer, heir)
WHERE memberships.customer = moved.customer;

-- name: inherit_changes
-- And so does how they came into it.
UPDATE storyline.segment_changes AS changes SET customer = moved.heir
FROM unnest(%(customers)s::uuid[], %(heirs)s::uuid[]) AS moved (customer, heir)
WHERE changes.customer = moved.customer;

-- name: forget
-- Customers that are nobody any more are in no segment.
DELETE FROM memberships WHERE customer = ANY (%(customers)s::uuid[]) RETURNING segment, version, customer, false;

-- name: forget_subjects
-- And nothing is to be found out about them.
DELETE FROM subjects WHERE customer = ANY (%(customers)s::uuid[]);

-- name: evidences_of_items
-- Whom deals, tickets, tasks and leads are, or were, about.
SELECT DISTINCT evidence FROM steps WHERE item = ANY (%(items)s::uuid[]) AND evidence IS NOT NULL;

-- name: record
-- Who entered and left, when and why.
COPY storyline.segment_changes (segment, version, customer, at, entered, because, reason, announce) FROM STDIN;

-- name: now
-- One clock for all processes.
SELECT clock_timestamp();
