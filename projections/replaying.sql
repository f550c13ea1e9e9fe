-- Which events does a replay give, and what is there to know of each? Keys first, in order, so that what is sorted is
-- small; then what stands behind some of them at a time. All within one snapshot.

-- name: keys
-- Events that are chosen, in an order that the braces are filled with. `size`: bytes of the record.
SELECT e.name, octet_length(e.record) AS size
FROM timeline.events AS e
WHERE e.happened_at >= %(since)s AND e.happened_at < %(until)s
    AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
    AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
    AND (%(channels)s::text[] IS NULL OR e.channel = ANY (%(channels)s))
    AND (%(customers)s::uuid[] IS NULL OR e.evidence IN (
        SELECT its.evidence FROM identity.nodes AS named JOIN identity.evidences AS its USING (customer)
        WHERE named.node = ANY (%(customers)s)
    ))
    AND (%(segments)s::text[] IS NULL OR e.evidence IN (
        SELECT its.evidence
        FROM storyline.segments AS s
        JOIN segments.memberships AS m ON m.segment = s.code AND m.version = coalesce(s.serving, 0)
        JOIN identity.evidences AS its USING (customer)
        WHERE s.code = ANY (%(segments)s) AND s.state = 'active'
    ))
ORDER BY {order};

-- name: happened
-- By when they happened.
e.happened_at, e.name

-- name: position
-- By where they stand on the log.
e.log_partition, e.log_offset

-- name: events
-- These events, in the order in which they are asked for, with whose they are now and what became of them.
SELECT e.name, e.happened_at, e.recorded_at, e.touch, e.log_partition, e.log_offset, e.type, e.record, its.customer,
    coalesce(c.retracted, false), c.amended_by
FROM unnest(%(names)s::uuid[]) WITH ORDINALITY AS asked (name, place)
JOIN timeline.events AS e USING (name)
LEFT JOIN identity.evidences AS its USING (evidence)
LEFT JOIN timeline.corrected AS c ON c.name = e.name
ORDER BY asked.place;

-- name: records
-- The records of these events: amendments.
SELECT name, record FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);

-- name: said
-- What was said of these events by then, what took that back, and so on.
WITH RECURSIVE said AS (
    SELECT about.target, about.relation, about.name, e.happened_at
    FROM timeline.about JOIN timeline.events AS e ON e.name = about.name
    WHERE about.target = ANY (%(names)s::uuid[]) AND about.relation IN ('corrects', 'retracts')
        AND e.recorded_at <= %(recorded_by)s
    UNION
    SELECT about.target, about.relation, about.name, e.happened_at
    FROM said JOIN timeline.about ON about.target = said.name JOIN timeline.events AS e ON e.name = about.name
    WHERE about.relation IN ('corrects', 'retracts') AND e.recorded_at <= %(recorded_by)s
)
SELECT target, relation, name, happened_at FROM said;

-- name: active_segments
-- Which of these segments are there?
SELECT code FROM storyline.segments WHERE code = ANY (%(segments)s) AND state = 'active';
