-- How are events that do not count as they stand told from the others, and what follows from them made anew?

-- name: lock_shared
-- Batches of ordinary events go side by side.
SELECT pg_advisory_xact_lock_shared(%(key)s);

-- name: lock_alone
-- A batch that settles something goes alone: neither can an event come in that a correction in it speaks of, nor a
-- correction of an event in it.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: spoken_of
-- Which of these events do corrections speak of that came before them?
SELECT DISTINCT target FROM about
WHERE target = ANY (%(names)s::uuid[]) AND relation IN ('corrects', 'retracts');

-- name: targets
-- What do these events correct, and what do those correct that they take back?
WITH RECURSIVE spoken AS (
    SELECT target FROM about WHERE name = ANY (%(names)s::uuid[]) AND relation IN ('corrects', 'retracts')
    UNION
    SELECT about.target FROM about JOIN spoken ON about.name = spoken.target
    WHERE about.relation IN ('corrects', 'retracts')
)
SELECT target FROM spoken;

-- name: said
-- What corrects these events, what takes that back, and so on.
WITH RECURSIVE said AS (
    SELECT target, relation, name FROM about
    WHERE target = ANY (%(names)s::uuid[]) AND relation IN ('corrects', 'retracts')
    UNION
    SELECT about.target, about.relation, about.name FROM about JOIN said ON about.target = said.name
    WHERE about.relation IN ('corrects', 'retracts')
)
SELECT said.target, said.relation, said.name, events.happened_at
FROM said JOIN events ON events.name = said.name;

-- name: records
-- The events themselves.
SELECT name, happened_at, recorded_at, log_partition, log_offset, record FROM events
WHERE name = ANY (%(names)s::uuid[]) ORDER BY name;

-- name: things_of
-- Of which products, campaigns and organisations these events told.
SELECT kind, ref FROM things WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_corrected
-- What was known of these events.
DELETE FROM corrected WHERE name = ANY (%(names)s::uuid[]);

-- name: put_corrected
-- Which of them do not count as they stand.
INSERT INTO corrected (name, retracted, amended_by)
SELECT name, retracted, amended_by
FROM unnest(%(names)s::uuid[], %(retracted)s::boolean[], %(amended)s::uuid[]) AS one (name, retracted, amended_by)
ORDER BY name;

-- name: forget_parties
-- Whom these events name as parties; gives them.
DELETE FROM parties WHERE name = ANY (%(names)s::uuid[]) RETURNING evidence;

-- name: earliest
-- Since when is each of these evidences known, by the events that count? Null where none does.
SELECT asked.evidence, least(
    (
        SELECT e.happened_at FROM events AS e
        WHERE e.evidence = asked.evidence AND e.type <> ALL (%(rulings)s)
            AND NOT EXISTS (SELECT FROM corrected WHERE corrected.name = e.name AND corrected.retracted)
        ORDER BY e.happened_at LIMIT 1
    ),
    (
        SELECT p.happened_at FROM parties AS p JOIN events AS e ON e.name = p.name
        WHERE p.evidence = asked.evidence AND e.type <> ALL (%(rulings)s)
            AND NOT EXISTS (SELECT FROM corrected WHERE corrected.name = e.name AND corrected.retracted)
        ORDER BY p.happened_at LIMIT 1
    )
)
FROM unnest(%(evidences)s::uuid[]) AS asked (evidence);

-- name: any_loose
-- Are there evidences whose earliest time has to be looked up?
SELECT EXISTS (SELECT FROM loose);

-- name: loose
-- Which of these are they?
SELECT evidence FROM loose WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: loosen
-- From now on these are: what readers remember of them may be too early.
INSERT INTO loose (evidence)
SELECT evidence FROM unnest(%(evidences)s::uuid[]) AS one (evidence) ORDER BY 1
ON CONFLICT DO NOTHING;
