-- What can be asked of the timeline? Pages by key, newest first, ties by name. A page says of each row whether another
-- event corrects or retracts it, so that most pages need no second query; by LIMIT 1, since
-- an EXISTS may be planned as a scan of all corrections that there are.

-- name: customer_older
-- A customer's events before a place, newest first: of each of her evidences a page, and of those the newest.
WITH hers AS MATERIALIZED (
    SELECT evidence, customer FROM identity.evidences
    WHERE customer = (SELECT customer FROM identity.nodes WHERE node = %(customer)s)
),
page AS MATERIALIZED (
    SELECT hers.customer, found.*
    FROM hers CROSS JOIN LATERAL (
        SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record FROM timeline.events
        WHERE events.evidence = hers.evidence
            AND (happened_at, name) < (%(at)s, %(name)s)
            AND happened_at >= %(since)s AND happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
        ORDER BY happened_at DESC, name DESC
        LIMIT %(limit)s
    ) AS found
    ORDER BY happened_at DESC, name DESC
    LIMIT %(limit)s
)
SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record, customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = page.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM page
ORDER BY happened_at DESC, name DESC;

-- name: customer_newer
-- A customer's events after a place, oldest first.
WITH hers AS MATERIALIZED (
    SELECT evidence, customer FROM identity.evidences
    WHERE customer = (SELECT customer FROM identity.nodes WHERE node = %(customer)s)
),
page AS MATERIALIZED (
    SELECT hers.customer, found.*
    FROM hers CROSS JOIN LATERAL (
        SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record FROM timeline.events
        WHERE events.evidence = hers.evidence
            AND (happened_at, name) > (%(at)s, %(name)s)
            AND happened_at >= %(since)s AND happened_at < %(until)s
            AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
            AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
            AND (%(directions)s::text[] IS NULL OR direction = ANY (%(directions)s))
        ORDER BY happened_at, name
        LIMIT %(limit)s
    ) AS found
    ORDER BY happened_at, name
    LIMIT %(limit)s
)
SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record, customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = page.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM page
ORDER BY happened_at, name;

-- name: ref_older
-- A ref's events before a place, newest first.
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = e.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
WHERE refs.ref = %(ref)s
    AND (refs.happened_at, refs.name) < (%(at)s, %(name)s)
    AND refs.happened_at >= %(since)s AND refs.happened_at < %(until)s
    AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
    AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
    AND (%(directions)s::text[] IS NULL OR e.direction = ANY (%(directions)s))
ORDER BY refs.happened_at DESC, refs.name DESC
LIMIT %(limit)s;

-- name: ref_newer
-- A ref's events after a place, oldest first.
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer,
    coalesce((
        SELECT true FROM timeline.about
        WHERE about.target = e.name AND about.relation IN ('corrects', 'retracts') LIMIT 1
    ), false) AS corrected
FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
WHERE refs.ref = %(ref)s
    AND (refs.happened_at, refs.name) > (%(at)s, %(name)s)
    AND refs.happened_at >= %(since)s AND refs.happened_at < %(until)s
    AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
    AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
    AND (%(directions)s::text[] IS NULL OR e.direction = ANY (%(directions)s))
ORDER BY refs.happened_at, refs.name
LIMIT %(limit)s;

-- name: customer_live
-- A customer's events that the log holds after a vector of positions, in the log's order.
SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record, whose.customer
FROM identity.evidences AS whose
JOIN timeline.events ON events.evidence = whose.evidence
JOIN unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS seen (part, last)
    ON events.log_partition = seen.part AND events.log_offset > seen.last
WHERE whose.customer = (SELECT customer FROM identity.nodes WHERE node = %(customer)s)
ORDER BY log_partition, log_offset
LIMIT %(limit)s;

-- name: ref_live
-- A ref's events that the log holds after a vector of positions, in the log's order.
SELECT e.name, e.happened_at, e.recorded_at, e.future, e.log_partition, e.log_offset, e.record, whose.customer
FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
JOIN unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS seen (part, last)
    ON e.log_partition = seen.part AND e.log_offset > seen.last
WHERE refs.ref = %(ref)s
ORDER BY e.log_partition, e.log_offset
LIMIT %(limit)s;

-- name: stirred_customers
-- Which of these customers, by any of their ids, got something between two vectors of positions? For the live streams
-- of one process.
SELECT DISTINCT nodes.node
FROM timeline.events
JOIN unnest(%(partitions)s::integer[], %(low)s::bigint[], %(high)s::bigint[]) AS span (part, low, high)
    ON events.log_partition = span.part AND events.log_offset >= span.low AND events.log_offset < span.high
JOIN identity.evidences ON evidences.evidence = events.evidence
JOIN identity.nodes ON nodes.customer = evidences.customer
WHERE nodes.node = ANY (%(customers)s::uuid[]);

-- name: stirred_refs
-- Which of these refs got something between two vectors of positions?
SELECT DISTINCT refs.ref
FROM timeline.refs JOIN timeline.events ON events.name = refs.name
JOIN unnest(%(partitions)s::integer[], %(low)s::bigint[], %(high)s::bigint[]) AS span (part, low, high)
    ON events.log_partition = span.part AND events.log_offset >= span.low AND events.log_offset < span.high
WHERE refs.ref = ANY (%(refs)s::uuid[]);

-- name: corrections
-- Events that speak of these events: what corrects or retracts them.
SELECT about.target, about.relation, about.name, e.record
FROM timeline.about JOIN timeline.events AS e ON e.name = about.name
WHERE about.target = ANY (%(names)s::uuid[]) AND about.relation IN ('corrects', 'retracts')
ORDER BY e.happened_at, e.name;

-- name: customers_of_tokens
-- Customers that any of these identifiers leads to.
SELECT DISTINCT customer FROM identity.nodes WHERE node = ANY (%(tokens)s::uuid[]) ORDER BY customer LIMIT %(limit)s;

-- name: customers_of_ref
-- Customers on a ref's timeline.
SELECT DISTINCT whose.customer
FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
JOIN identity.evidences AS whose ON whose.evidence = e.evidence
WHERE refs.ref = %(ref)s
ORDER BY whose.customer LIMIT %(limit)s;

-- name: one
-- One event by name.
SELECT name, happened_at, recorded_at, future, log_partition, log_offset, record, whose.customer
FROM timeline.events LEFT JOIN identity.evidences AS whose USING (evidence) WHERE name = %(name)s;

-- name: positions
-- How far the projector has come: the next offset of each partition that is not visible yet.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'live' AND log_id = %(log_id)s;

-- name: took_over
-- Did this log take the place of another?
SELECT EXISTS (SELECT FROM storyline.log_moves WHERE to_log_id = %(log_id)s AND switched_at IS NOT NULL);
