-- How is a person erased? What is at home in the customer, how far an erasure has come, and what came to light later.

-- name: try_alone
-- One erasure at a time, for as long as this session lives.
SELECT pg_try_advisory_lock(7053081021);

-- name: not_alone
-- Let the next one begin.
SELECT pg_advisory_unlock(7053081021);

-- name: hold_identity
-- Nobody resolves who is who, or puts other rules into effect, for the rest of this transaction.
SELECT pg_advisory_xact_lock(7053081010);

-- name: customer
-- Whose a node is.
SELECT customer FROM identity.nodes WHERE node = %(node)s;

-- name: evidences
-- What is at home in a customer and has not been erased yet.
SELECT e.evidence FROM identity.evidences AS e
LEFT JOIN storyline.erased ON erased.evidence = e.evidence
WHERE e.customer = %(customer)s AND erased.evidence IS NULL
ORDER BY e.evidence;

-- name: nodes
-- The identifiers of a customer that were not erased yet, each in clear where it can be read. One that too many people
-- have is nobody's, unless it is the customer itself.
SELECT n.node, known.kind, known.namespace, known.value
FROM identity.nodes AS n
LEFT JOIN storyline.erased_nodes ON erased_nodes.node = n.node
LEFT JOIN LATERAL (
    SELECT i.kind, i.namespace, i.value FROM directory.identifiers AS i WHERE i.node = n.node LIMIT 1
) AS known ON true
WHERE n.customer = %(customer)s AND (NOT n.shared OR n.node = n.customer) AND erased_nodes.node IS NULL
ORDER BY n.node;

-- name: values_of
-- Identifiers in clear, while the directory still has them.
SELECT DISTINCT value FROM directory.identifiers WHERE node = ANY (%(nodes)s::uuid[]);

-- name: late
-- Evidences that came to be known after their person was erased: they begin with one of the erased identifiers.
SELECT e.evidence, gone.erasure
FROM (
    SELECT DISTINCT m.evidence FROM storyline.erased_nodes JOIN identity.members AS m USING (node)
) AS touched
JOIN identity.evidences AS e USING (evidence)
LEFT JOIN storyline.erased USING (evidence)
CROSS JOIN LATERAL (
    SELECT n.node FROM identity.nodes AS n
    WHERE n.node = ANY (e.nodes)
    ORDER BY n.shared, n.priority, n.first_at NULLS LAST, n.node LIMIT 1
) AS first
JOIN storyline.erased_nodes AS gone ON gone.node = first.node
WHERE erased.evidence IS NULL
ORDER BY e.evidence;

-- name: record_line
-- An entry of the ledger that this database has taken up.
INSERT INTO storyline.ledger (number, kind, erasure, line)
VALUES (%(number)s, %(kind)s, %(erasure)s, %(line)s) ON CONFLICT DO NOTHING;

-- name: record_erasure
-- An erasure that is begun, or known again after a restore.
INSERT INTO storyline.erasures (id, customer, at, by, why)
VALUES (%(erasure)s, %(customer)s, %(at)s, %(by)s, %(why)s) ON CONFLICT DO NOTHING;

-- name: record_evidences
-- Nothing of these comes into the directory from now on.
INSERT INTO storyline.erased (evidence, erasure, erased_at)
SELECT evidence, %(erasure)s, %(at)s FROM unnest(%(evidences)s::uuid[]) AS gone (evidence)
ORDER BY evidence
ON CONFLICT DO NOTHING;

-- name: record_nodes
-- What leads to nobody from now on.
INSERT INTO storyline.erased_nodes (node, erasure)
SELECT node, %(erasure)s FROM unnest(%(nodes)s::uuid[]) AS gone (node)
ORDER BY node
ON CONFLICT DO NOTHING;

-- name: begin_again
-- There is more to destroy of an erasure.
UPDATE storyline.erasures SET step = 'recorded' WHERE id = %(erasure)s;

-- name: record_certificate
-- The certificate, as the ledger has it.
UPDATE storyline.erasures SET certificate = %(certificate)s WHERE id = %(erasure)s;

-- name: step
-- How far an erasure has come.
UPDATE storyline.erasures SET step = %(step)s WHERE id = %(erasure)s;

-- name: lines
-- What this database has taken up of the ledger.
SELECT line FROM storyline.ledger ORDER BY number;

-- name: lines_of
-- The entries of one erasure.
SELECT line FROM storyline.ledger WHERE erasure = %(erasure)s ORDER BY number;

-- name: open
-- Erasures that have not come to their end.
SELECT id FROM storyline.erasures WHERE step <> 'certified' ORDER BY at, id;

-- name: one
-- One erasure.
SELECT id, customer, at, by, why, step, certificate FROM storyline.erasures WHERE id = %(erasure)s;

-- name: page
-- A page of erasures, newest first, after the one that the page before ended with.
SELECT id, customer, at, by, why, step, certificate FROM storyline.erasures
WHERE %(after)s::uuid IS NULL OR (at, id) < (SELECT at, id FROM storyline.erasures WHERE id = %(after)s)
ORDER BY at DESC, id DESC
LIMIT %(limit)s;

-- name: last_of
-- The last erasure that anything at home in a customer fell under.
SELECT e.id FROM storyline.erasures AS e
WHERE e.id IN (
    SELECT erased.erasure FROM storyline.erased JOIN identity.evidences USING (evidence)
    WHERE evidences.customer = %(customer)s
    UNION
    SELECT erased_nodes.erasure FROM storyline.erased_nodes JOIN identity.nodes USING (node)
    WHERE nodes.customer = %(customer)s
)
ORDER BY e.at DESC, e.id DESC LIMIT 1;

-- name: of_evidences
-- The erasures that any of these evidences fell under, oldest first.
SELECT id, customer, at, by, why, step, certificate FROM storyline.erasures
WHERE id IN (SELECT erasure FROM storyline.erased WHERE evidence = ANY (%(evidences)s::uuid[]))
ORDER BY at, id;

-- name: erased
-- What an erasure took.
SELECT
    ARRAY (SELECT evidence FROM storyline.erased WHERE erasure = %(erasure)s ORDER BY evidence),
    ARRAY (SELECT node FROM storyline.erased_nodes WHERE erasure = %(erasure)s ORDER BY node);

-- name: erased_among
-- Which of these evidences are erased already.
SELECT evidence FROM storyline.erased WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: positions
-- How far the read models have come.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'live' AND log_id = %(log_id)s;

-- name: count_events
-- How many events there are of evidences.
SELECT count(*) FROM timeline.events WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: own_events
-- The events of evidences, as they stand on the log.
SELECT log_partition, log_offset, record FROM timeline.events
WHERE evidence = ANY (%(evidences)s::uuid[])
ORDER BY happened_at, name;

-- name: named_by_others
-- Events of others that name these evidences as a party.
SELECT DISTINCT e.log_partition, e.log_offset, e.record
FROM timeline.parties AS p JOIN timeline.events AS e ON e.name = p.name
WHERE p.evidence = ANY (%(evidences)s::uuid[])
    AND (e.evidence IS NULL OR e.evidence <> ALL (%(evidences)s::uuid[]))
ORDER BY e.log_partition, e.log_offset;

-- name: elsewhere
-- Events that are at home in others and say one of these identifiers all the same, by a link that is disputed.
SELECT DISTINCT e.log_partition, e.log_offset, e.record
FROM identity.members AS m JOIN timeline.events AS e ON e.evidence = m.evidence
WHERE m.node = ANY (%(nodes)s::uuid[]) AND m.evidence <> ALL (%(evidences)s::uuid[])
ORDER BY e.log_partition, e.log_offset;

-- name: letters_gone
-- How many dead letters went with an erasure.
SELECT count(*) FROM storyline.dead_letters WHERE status = 'discarded' AND status_why = %(why)s;

-- name: letters
-- Dead letters that wait, a batch at a time.
SELECT id, reason, parked_at, key_id, sealed FROM storyline.dead_letters
WHERE status = 'parked' AND (parked_at, id) > (%(after_at)s, %(after_id)s)
ORDER BY parked_at, id
LIMIT 100;

-- name: settled_records
-- Where records of the log stand whose dead letters were settled.
SELECT origin_partition, origin_offset FROM storyline.dead_letters
WHERE status <> 'parked' AND origin = %(log_id)s AND origin_partition IS NOT NULL
ORDER BY origin_partition, origin_offset;

-- name: wake_segments
-- What a rule of a segment asked of the profile holds no more.
INSERT INTO storyline.segment_wakes (evidence, why)
SELECT evidence, 'erased' FROM unnest(%(evidences)s::uuid[]) AS one (evidence);

-- name: has_proposals
-- Are duplicates proposed here?
SELECT to_regclass('storyline.proposals') IS NOT NULL;

-- name: forget_proposals
-- Nobody has to decide any more whether someone who was erased is someone else; what a steward wrote about it goes, too.
DELETE FROM storyline.proposals WHERE a = ANY (%(nodes)s::uuid[]) OR b = ANY (%(nodes)s::uuid[]);
