-- Who was who, by what had happened by `happened_by` and was recorded by `recorded_by`? What the identity tables say is
-- of now; of them only what hangs on what is asked here, and the times come from the events themselves.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: rules
-- The rules that the tables were resolved by: those of now, whatever the moment.
SELECT rules FROM identity.rules;

-- name: nodes
-- What these nodes are, and whose they are now.
SELECT node, kind, namespace, priority, customer FROM identity.nodes WHERE node = ANY (%(nodes)s::uuid[]);

-- name: evidences_of
-- Of each of these nodes a page of the evidences that hold it, the earliest first.
SELECT asked.node, found.evidence, found.nodes
FROM unnest(%(nodes)s::uuid[]) AS asked (node)
CROSS JOIN LATERAL (
    SELECT e.evidence, e.nodes
    FROM identity.members AS m JOIN identity.evidences AS e ON e.evidence = m.evidence
    WHERE m.node = asked.node
    ORDER BY e.first_at NULLS LAST, e.evidence
    OFFSET %(offset)s LIMIT %(most)s
) AS found;

-- name: spoken_of
-- Events of these evidences, or with them as a party, that any correction speaks of. Such evidences are loose.
SELECT name FROM (
    SELECT e.name
    FROM identity.loose AS l JOIN timeline.events AS e ON e.evidence = l.evidence
    WHERE l.evidence = ANY (%(evidences)s::uuid[])
    UNION
    SELECT p.name
    FROM identity.loose AS l JOIN timeline.parties AS p ON p.evidence = l.evidence
    WHERE l.evidence = ANY (%(evidences)s::uuid[])
) AS hers
WHERE EXISTS (
    SELECT FROM timeline.about
    WHERE about.target = hers.name AND about.relation IN ('corrects', 'retracts')
)
LIMIT %(most)s;

-- name: said
-- What was known to correct these events, what takes that back, and so on; and what they correct themselves, since a
-- correction is taken back by a later one alone. When it happened is of no account otherwise: a correction says what was
-- true all along.
WITH RECURSIVE said AS (
    (
        SELECT target, relation, name FROM timeline.about
        WHERE target = ANY (%(names)s::uuid[]) AND relation IN ('corrects', 'retracts')
        UNION
        SELECT target, relation, name FROM timeline.about
        WHERE name = ANY (%(names)s::uuid[]) AND relation IN ('corrects', 'retracts')
    )
    UNION
    SELECT about.target, about.relation, about.name FROM timeline.about JOIN said ON about.target = said.name
    WHERE about.relation IN ('corrects', 'retracts')
)
SELECT said.target, said.relation, said.name, events.happened_at
FROM said JOIN timeline.events ON events.name = said.name
WHERE events.recorded_at <= %(recorded_by)s;

-- name: times
-- Of each of these evidences: did any event show it by then, and since when did it count? `retracted`: events that were
-- known not to. Rulings show an evidence and are none.
SELECT asked.evidence,
    EXISTS (
        SELECT FROM timeline.events AS e
        WHERE e.evidence = asked.evidence
            AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
    ) OR EXISTS (
        SELECT FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
        WHERE p.evidence = asked.evidence
            AND p.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
    ),
    least(
        (
            SELECT e.happened_at FROM timeline.events AS e
            WHERE e.evidence = asked.evidence
                AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
                AND e.type <> ALL (%(rulings)s::text[]) AND e.name <> ALL (%(retracted)s::uuid[])
            ORDER BY e.happened_at LIMIT 1
        ),
        (
            SELECT p.happened_at FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
            WHERE p.evidence = asked.evidence
                AND p.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
                AND e.type <> ALL (%(rulings)s::text[]) AND e.name <> ALL (%(retracted)s::uuid[])
            ORDER BY p.happened_at LIMIT 1
        )
    )
FROM unnest(%(evidences)s::uuid[]) AS asked (evidence);

-- name: rulings
-- Rulings on any of these nodes that had been made and were recorded, newest first.
SELECT r.name, r.at, r.merges, r.nodes, r.sides
FROM identity.rulings AS r JOIN timeline.events AS e ON e.name = r.name
WHERE r.nodes && %(nodes)s::uuid[] AND r.at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
ORDER BY r.at DESC, r.name DESC
LIMIT %(most)s;

-- name: first_events
-- The earliest event of each of these evidences that counted then, and its record: as `who`, or else as a party.
SELECT asked.evidence, found.name, found.happened_at, found.record
FROM unnest(%(evidences)s::uuid[]) AS asked (evidence)
CROSS JOIN LATERAL (
    (
        SELECT e.name, e.happened_at, e.record, 0 AS place
        FROM timeline.events AS e
        WHERE e.evidence = asked.evidence
            AND e.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
            AND e.type <> ALL (%(rulings)s::text[]) AND e.name <> ALL (%(retracted)s::uuid[])
        ORDER BY e.happened_at, e.name LIMIT 1
    )
    UNION ALL
    (
        SELECT e.name, e.happened_at, e.record, 1
        FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
        WHERE p.evidence = asked.evidence
            AND p.happened_at <= %(happened_by)s AND e.recorded_at <= %(recorded_by)s
            AND e.type <> ALL (%(rulings)s::text[]) AND e.name <> ALL (%(retracted)s::uuid[])
        ORDER BY p.happened_at, p.name LIMIT 1
    )
    ORDER BY happened_at, place, name LIMIT 1
) AS found;
