-- Who entered and left a segment, and was not announced yet?

-- name: try_alone
-- One instance announces at a time, so that what happened to a customer is told in its order; whoever dies lets go.
SELECT pg_try_advisory_lock(7053081018);

-- name: not_alone
-- Let another.
SELECT pg_advisory_unlock(7053081018);

-- name: waiting
-- The next changes that are to be announced.
SELECT id, segment, version, customer, at, entered, because FROM storyline.segment_changes
WHERE announce AND announced_at IS NULL ORDER BY id LIMIT %(limit)s;

-- name: count_waiting
-- How many there are, as far as it is worth counting.
SELECT count(*) FROM (
    SELECT FROM storyline.segment_changes WHERE announce AND announced_at IS NULL LIMIT 100000
) AS waiting;

-- name: traces
-- Of each of these customers the latest events of some of their evidences; of who is nobody any more, of those with the
-- identifier that named them. `evidence` may be that of a party of the event.
SELECT one.customer, found.evidence, found.record
FROM unnest(%(customers)s::uuid[]) AS one (customer)
CROSS JOIN LATERAL (
    SELECT its.evidence, trace.record
    FROM (
        (SELECT evidence, 0 AS rank FROM identity.evidences WHERE customer = one.customer LIMIT 20)
        UNION ALL
        (
            SELECT evidence, 1 FROM identity.members WHERE node = one.customer
            AND NOT EXISTS (SELECT FROM identity.evidences WHERE customer = one.customer) LIMIT 20
        )
    ) AS its
    CROSS JOIN LATERAL (
        (
            SELECT record, happened_at FROM timeline.events WHERE evidence = its.evidence
            ORDER BY happened_at DESC, name DESC LIMIT 1
        )
        UNION ALL
        (
            SELECT events.record, parties.happened_at
            FROM timeline.parties JOIN timeline.events ON events.name = parties.name
            WHERE parties.evidence = its.evidence
            ORDER BY parties.happened_at DESC, parties.name DESC LIMIT 1
        )
    ) AS trace
    ORDER BY its.rank, trace.happened_at DESC, its.evidence
    LIMIT 5
) AS found;

-- name: announced
-- These are told, or will never be; and why not.
UPDATE storyline.segment_changes AS changes SET announced_at = %(now)s, skipped = one.skipped
FROM unnest(%(ids)s::bigint[], %(skipped)s::text[]) AS one (id, skipped)
WHERE changes.id = one.id;
