-- Whom does it reach what is said of a product or an organisation?

-- name: beside
-- Nobody says anything of a product or an organisation until this transaction ends.
SELECT pg_advisory_xact_lock_shared(7053081019);

-- name: alone
-- Who has to do with one comes before, and is seen, or after, and sees what is said.
SELECT pg_advisory_xact_lock(7053081019);

-- name: wake_buyers
-- Customers whose events speak of these products are looked at again: of which category they are may be another now.
INSERT INTO subjects (customer, wake_at, why)
SELECT DISTINCT evidences.customer, 'epoch'::timestamptz, 'catalogue'
FROM (
    SELECT evidence FROM mentions WHERE product = ANY (%(refs)s::text[])
    UNION
    SELECT events.evidence FROM lines JOIN events ON events.name = lines.name
    WHERE lines.product = ANY (%(refs)s::text[])
) AS its
JOIN evidences ON evidences.evidence = its.evidence
ORDER BY 1
ON CONFLICT (customer) DO UPDATE SET wake_at = excluded.wake_at, why = excluded.why
WHERE subjects.wake_at IS DISTINCT FROM excluded.wake_at;

-- name: wake_contacts
-- So are those whom any description of these organisations names.
INSERT INTO subjects (customer, wake_at, why)
SELECT DISTINCT evidences.customer, 'epoch'::timestamptz, 'organisation'
FROM things
JOIN parties ON parties.name = things.name
JOIN evidences ON evidences.evidence = parties.evidence
WHERE things.kind = 'organisation' AND things.ref = ANY (%(refs)s::text[])
ORDER BY 1
ON CONFLICT (customer) DO UPDATE SET wake_at = excluded.wake_at, why = excluded.why
WHERE subjects.wake_at IS DISTINCT FROM excluded.wake_at;
