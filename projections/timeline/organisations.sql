-- What is known of an organisation, and who are its people?

-- name: described
-- The descriptions of an organisation that count, newest first, each with the amendment that put it right.
SELECT e.name, e.happened_at, e.record, right_one.record
FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
LEFT JOIN timeline.corrected AS c ON c.name = e.name
LEFT JOIN timeline.events AS right_one ON right_one.name = c.amended_by
WHERE refs.ref = %(organisation)s AND e.type = 'organisation.described' AND c.retracted IS NOT TRUE
ORDER BY refs.happened_at DESC, refs.name DESC
LIMIT %(most)s;

-- name: homes
-- Whose these evidences are now, and whether what is personal of them was destroyed.
SELECT evidence, customer, EXISTS (SELECT FROM storyline.erased WHERE erased.evidence = evidences.evidence)
FROM identity.evidences WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: gathered
-- All evidences of the customers who are parties of an organisation's descriptions that count.
SELECT theirs.evidence
FROM (
    SELECT DISTINCT whose.customer
    FROM (
        SELECT e.name
        FROM timeline.refs JOIN timeline.events AS e ON e.name = refs.name
        LEFT JOIN timeline.corrected AS c ON c.name = e.name
        WHERE refs.ref = %(organisation)s AND e.type = 'organisation.described' AND c.retracted IS NOT TRUE
        ORDER BY refs.happened_at DESC, refs.name DESC
        LIMIT %(most)s
    ) AS described
    JOIN timeline.parties AS p ON p.name = described.name
    JOIN identity.evidences AS whose ON whose.evidence = p.evidence
) AS contacts
JOIN identity.evidences AS theirs ON theirs.customer = contacts.customer
LIMIT %(evidences)s;
