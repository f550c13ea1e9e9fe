-- How are pages read of stories that are no customer's and no ref's of now? A customer's as of a moment, by evidences
-- that were found beforehand, and an organisation's with those of its contacts. As all pages: by key, newest first.

-- name: then_older
-- Events of these evidences that counted then, before a place, newest first. `customer`: whose they were.
SELECT found.name, found.happened_at, found.recorded_at, found.future, found.log_partition, found.log_offset,
    found.record, %(customer)s::uuid, true AS corrected
FROM unnest(%(evidences)s::uuid[]) AS hers (evidence)
CROSS JOIN LATERAL (
    SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record FROM timeline.events
    WHERE events.evidence = hers.evidence
        AND (happened_at, name) < (%(at)s, %(name)s)
        AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
        AND happened_at >= %(since)s AND happened_at < %(until)s
        AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
        AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
        AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
    ORDER BY happened_at DESC, name DESC
    LIMIT %(limit)s
) AS found
ORDER BY found.happened_at DESC, found.name DESC
LIMIT %(limit)s;

-- name: then_newer
-- The same after a place, oldest first.
SELECT found.name, found.happened_at, found.recorded_at, found.future, found.log_partition, found.log_offset,
    found.record, %(customer)s::uuid, true AS corrected
FROM unnest(%(evidences)s::uuid[]) AS hers (evidence)
CROSS JOIN LATERAL (
    SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record FROM timeline.events
    WHERE events.evidence = hers.evidence
        AND (happened_at, name) > (%(at)s, %(name)s)
        AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
        AND happened_at >= %(since)s AND happened_at < %(until)s
        AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
        AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
        AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
    ORDER BY happened_at, name
    LIMIT %(limit)s
) AS found
ORDER BY found.happened_at, found.name
LIMIT %(limit)s;

-- name: corrections_then
-- Events that speak of these events, as far as they were recorded.
SELECT about.target, about.relation, about.name, e.record
FROM timeline.about JOIN timeline.events AS e ON e.name = about.name
WHERE about.target = ANY (%(names)s::uuid[]) AND about.relation IN ('corrects', 'retracts')
    AND e.recorded_at <= %(recorded_by)s
ORDER BY e.happened_at, e.name;

-- name: organisation_older
-- Events of an organisation and of its contacts' evidences before a place, newest first; one that is both comes once.
WITH of_contacts AS (
    SELECT found.*
    FROM unnest(%(evidences)s::uuid[]) AS theirs (evidence)
    CROSS JOIN LATERAL (
        SELECT name, happened_at FROM timeline.events
        WHERE events.evidence = theirs.evidence
            AND (happened_at, name) < (%(at)s, %(name)s)
            AND happened_at >= %(since)s AND happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
        ORDER BY happened_at DESC, name DESC
        LIMIT %(limit)s
    ) AS found
    ORDER BY found.happened_at DESC, found.name DESC
    LIMIT %(limit)s
),
own AS (
    SELECT e.name, e.happened_at
    FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
    WHERE refs.ref = %(organisation)s
        AND (refs.happened_at, refs.name) < (%(at)s, %(name)s)
        AND refs.happened_at >= %(since)s AND refs.happened_at < %(until)s
        AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
        AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
        AND (%(directions)s::text[] IS NULL OR e.direction = ANY (%(directions)s))
    ORDER BY refs.happened_at DESC, refs.name DESC
    LIMIT %(limit)s
),
page AS MATERIALIZED (
    SELECT name, happened_at FROM of_contacts UNION SELECT name, happened_at FROM own
    ORDER BY happened_at DESC, name DESC
    LIMIT %(limit)s
)
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = e.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM page JOIN timeline.events AS e ON e.name = page.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
ORDER BY e.happened_at DESC, e.name DESC;

-- name: organisation_newer
-- The same after a place, oldest first.
WITH of_contacts AS (
    SELECT found.*
    FROM unnest(%(evidences)s::uuid[]) AS theirs (evidence)
    CROSS JOIN LATERAL (
        SELECT name, happened_at FROM timeline.events
        WHERE events.evidence = theirs.evidence
            AND (happened_at, name) > (%(at)s, %(name)s)
            AND happened_at >= %(since)s AND happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
        ORDER BY happened_at, name
        LIMIT %(limit)s
    ) AS found
    ORDER BY found.happened_at, found.name
    LIMIT %(limit)s
),
own AS (
    SELECT e.name, e.happened_at
    FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
    WHERE refs.ref = %(organisation)s
        AND (refs.happened_at, refs.name) > (%(at)s, %(name)s)
        AND refs.happened_at >= %(since)s AND refs.happened_at < %(until)s
        AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
        AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
        AND (%(directions)s::text[] IS NULL OR e.direction = ANY (%(directions)s))
    ORDER BY refs.happened_at, refs.name
    LIMIT %(limit)s
),
page AS MATERIALIZED (
    SELECT name, happened_at FROM of_contacts UNION SELECT name, happened_at FROM own
    ORDER BY happened_at, name
    LIMIT %(limit)s
)
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = e.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM page JOIN timeline.events AS e ON e.name = page.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
ORDER BY e.happened_at, e.name;

-- name: parties_older
-- A customer's events, and those of others that name her as a party, before a place, newest first; each once.
WITH hers AS MATERIALIZED (
    SELECT evidence FROM identity.evidences
    WHERE customer = (SELECT customer FROM identity.nodes WHERE node = %(customer)s)
),
page AS MATERIALIZED (
    SELECT found.name, found.happened_at
    FROM hers CROSS JOIN LATERAL (
        SELECT name, happened_at FROM timeline.events
        WHERE events.evidence = hers.evidence
            AND (happened_at, name) < (%(at)s, %(name)s)
            AND happened_at >= %(since)s AND happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
        ORDER BY happened_at DESC, name DESC
        LIMIT %(limit)s
    ) AS found
    UNION
    SELECT found.name, found.happened_at
    FROM hers CROSS JOIN LATERAL (
        SELECT p.name, p.happened_at
        FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
        WHERE p.evidence = hers.evidence
            AND (p.happened_at, p.name) < (%(at)s, %(name)s)
            AND p.happened_at >= %(since)s AND p.happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR e.direction = ANY (%(directions)s))
        GROUP BY p.happened_at, p.name
        ORDER BY p.happened_at DESC, p.name DESC
        LIMIT %(limit)s
    ) AS found
    ORDER BY happened_at DESC, name DESC
    LIMIT %(limit)s
)
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = e.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM page JOIN timeline.events AS e ON e.name = page.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
ORDER BY e.happened_at DESC, e.name DESC;

-- name: parties_newer
-- The same after a place, oldest first.
WITH hers AS MATERIALIZED (
    SELECT evidence FROM identity.evidences
    WHERE customer = (SELECT customer FROM identity.nodes WHERE node = %(customer)s)
),
page AS MATERIALIZED (
    SELECT found.name, found.happened_at
    FROM hers CROSS JOIN LATERAL (
        SELECT name, happened_at FROM timeline.events
        WHERE events.evidence = hers.evidence
            AND (happened_at, name) > (%(at)s, %(name)s)
            AND happened_at >= %(since)s AND happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
        ORDER BY happened_at, name
        LIMIT %(limit)s
    ) AS found
    UNION
    SELECT found.name, found.happened_at
    FROM hers CROSS JOIN LATERAL (
        SELECT p.name, p.happened_at
        FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
        WHERE p.evidence = hers.evidence
            AND (p.happened_at, p.name) > (%(at)s, %(name)s)
            AND p.happened_at >= %(since)s AND p.happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR e.direction = ANY (%(directions)s))
        GROUP BY p.happened_at, p.name
        ORDER BY p.happened_at, p.name
        LIMIT %(limit)s
    ) AS found
    ORDER BY happened_at, name
    LIMIT %(limit)s
)
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = e.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM page JOIN timeline.events AS e ON e.name = page.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
ORDER BY e.happened_at, e.name;

-- name: roles
-- In which roles these events name a customer as a party.
SELECT p.name, array_agg(DISTINCT p.role ORDER BY p.role)
FROM timeline.parties AS p JOIN identity.evidences AS hers ON hers.evidence = p.evidence
WHERE p.name = ANY (%(names)s::uuid[])
    AND hers.customer = (SELECT customer FROM identity.nodes WHERE node = %(customer)s)
GROUP BY p.name;
