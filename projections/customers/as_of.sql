-- What was known of one customer, of these evidences, by what had happened by `happened_by` and was recorded by
-- `recorded_by`? Rows that never were corrected are read as they are; those of `spoken`, events that corrections speak
-- of, tell what is known now, so they are left out here and made anew from the records. All of it in one snapshot.

-- name: contacts
-- Touchpoints by channel and direction.
SELECT coalesce(channel, ''), coalesce(direction, ''), count(*), min(happened_at), max(happened_at)
FROM timeline.events
WHERE evidence = ANY (%(evidences)s::uuid[]) AND touch
    AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
    AND name <> ALL (%(retracted)s::uuid[])
GROUP BY 1, 2;

-- name: touches
-- The latest touchpoints that came from her, evidence by evidence along the index.
SELECT found.channel, found.happened_at
FROM unnest(%(evidences)s::uuid[]) AS hers (evidence)
CROSS JOIN LATERAL (
    SELECT e.channel, e.happened_at, e.name
    FROM timeline.events AS e
    WHERE e.evidence = hers.evidence AND e.touch AND e.direction = 'in'
        AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
        AND e.name <> ALL (%(retracted)s::uuid[])
    ORDER BY e.happened_at DESC, e.name DESC
    LIMIT %(most)s
) AS found
ORDER BY found.happened_at DESC, found.name DESC
LIMIT %(most)s;

-- name: trades
-- What was bought and given back.
SELECT name, happened_at, order_key, refund, amount, currency, source
FROM customers.trades
WHERE evidence = ANY (%(evidences)s::uuid[])
    AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
    AND name <> ALL (%(spoken)s::uuid[])
LIMIT %(most)s;

-- name: answer
-- The last campaign that she answered.
SELECT campaign, happened_at, name FROM customers.answers
WHERE evidence = ANY (%(evidences)s::uuid[])
    AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
    AND name <> ALL (%(spoken)s::uuid[])
ORDER BY happened_at DESC, name DESC
LIMIT 1;

-- name: last_words
-- Of each evidence, purpose and channel the last grant and the last withdrawal; withdrawals first.
SELECT name, evidence, happened_at, purpose, channel, granted, type
FROM (
    SELECT DISTINCT ON (evidence, purpose, channel, granted)
        name, evidence, happened_at, purpose, channel, granted, type
    FROM customers.consents
    WHERE evidence = ANY (%(evidences)s::uuid[])
        AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
        AND name <> ALL (%(spoken)s::uuid[])
    ORDER BY evidence, purpose, channel, granted, happened_at DESC, name DESC
) AS last
ORDER BY granted, happened_at DESC, name DESC
LIMIT %(most)s;

-- name: words
-- Everything that had been said about consent before a place, newest first.
SELECT name, evidence, happened_at, purpose, channel, granted, type
FROM customers.consents
WHERE evidence = ANY (%(evidences)s::uuid[]) AND (happened_at, name) < (%(at)s, %(name)s)
    AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
    AND name <> ALL (%(spoken)s::uuid[])
ORDER BY happened_at DESC, name DESC
LIMIT %(most)s;

-- name: claims
-- What events had claimed of her, newest first.
SELECT name, place, evidence, happened_at, source, fields
FROM directory.claims
WHERE evidence = ANY (%(evidences)s::uuid[])
    AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s
    AND name <> ALL (%(spoken)s::uuid[])
ORDER BY happened_at DESC, name DESC, place DESC
LIMIT %(most)s;

-- name: records
-- The events that corrections speak of, as far as they were there.
SELECT name, evidence, happened_at, recorded_at, record FROM timeline.events
WHERE name = ANY (%(names)s::uuid[]) AND happened_at <= %(happened_by)s AND recorded_at <= %(recorded_by)s;

-- name: amendments
-- What put them right, whenever it happened.
SELECT name, record FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);

-- name: values
-- What these identifiers read, where anything readable is left of them.
SELECT DISTINCT ON (node) node, value
FROM directory.identifiers
WHERE node = ANY (%(nodes)s::uuid[])
    AND NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = identifiers.node)
ORDER BY node, evidence;

-- name: erased
-- Of which of these evidences was destroyed what is personal?
SELECT evidence FROM storyline.erased WHERE evidence = ANY (%(evidences)s::uuid[]);
