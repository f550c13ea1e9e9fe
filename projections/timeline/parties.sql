-- Where is a person named in events that are about somebody else?

-- name: before
-- Events that name any of these evidences as a party, before a place, newest first.
SELECT p.happened_at, p.name, p.evidence, p.role, e.log_partition, e.log_offset, e.record
FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
WHERE p.evidence = ANY (%(evidences)s::uuid[])
    AND (p.happened_at, p.name, p.evidence, p.role) < (%(at)s, %(name)s, %(evidence)s, %(role)s)
ORDER BY p.happened_at DESC, p.name DESC, p.evidence DESC, p.role DESC
LIMIT %(limit)s;
