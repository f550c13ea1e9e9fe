-- Who is behind an id?

-- name: customer
-- The customer that an id leads to, with its evidences.
SELECT nodes.customer, evidences.evidence
FROM identity.nodes LEFT JOIN identity.evidences ON evidences.customer = nodes.customer
WHERE nodes.node = %(node)s
ORDER BY evidences.evidence;

-- name: customers_of
-- The customers that these ids lead to.
SELECT node, customer FROM identity.nodes WHERE node = ANY (%(nodes)s::uuid[]);
