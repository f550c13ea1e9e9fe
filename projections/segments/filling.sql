-- How is everybody found out about?

-- name: next
-- The next customers behind one (null: the first ones), in the order of their ids.
SELECT DISTINCT customer FROM evidences
WHERE customer > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000') AND first_at IS NOT NULL
ORDER BY customer LIMIT %(limit)s;

-- name: due
-- Customers whose moment has come, held to the end of the transaction.
SELECT customer, why FROM subjects WHERE wake_at <= %(now)s ORDER BY customer LIMIT %(limit)s FOR UPDATE;

-- name: astray
-- Take away what belongs to no version that counts or is being found out.
DELETE FROM memberships WHERE (segment, version) NOT IN (
    SELECT * FROM unnest(%(segments)s::text[], %(versions)s::integer[])
);

-- name: reconcile
-- Those who are in a segment by a build beside the one that serves and not by that, and the other way round, enter and
-- leave; nobody is told. The braces are filled with the schemas of both.
INSERT INTO storyline.segment_changes (segment, version, customer, at, entered, because)
SELECT segment, version, customer, %(now)s, new.customer IS NOT NULL, 'rebuild'
FROM (SELECT * FROM {}.memberships) AS new
FULL JOIN (SELECT * FROM {}.memberships) AS old USING (segment, version, customer)
WHERE (new.customer IS NULL OR old.customer IS NULL)
    AND (segment, version) IN (SELECT code, coalesce(serving, 0) FROM storyline.segments WHERE state = 'active')
ORDER BY segment, customer;

-- name: reconcile_history
-- The same against what was last kept of each customer: of a build that was made from nothing, and announced nothing.
INSERT INTO storyline.segment_changes (segment, version, customer, at, entered, because)
SELECT segment, coalesce(new.version, old.version), customer, %(now)s, new.customer IS NOT NULL, 'rebuild'
FROM (
    SELECT segment, version, customer FROM memberships
    WHERE (segment, version) IN (SELECT code, coalesce(serving, 0) FROM storyline.segments WHERE state = 'active')
) AS new
FULL JOIN (
    SELECT segment, version, customer FROM (
        SELECT DISTINCT ON (segment, customer) segment, version, customer, entered
        FROM storyline.segment_changes
        WHERE segment IN (SELECT code FROM storyline.segments WHERE state = 'active')
        ORDER BY segment, customer, id DESC
    ) AS latest
    WHERE entered
) AS old USING (segment, customer)
WHERE new.customer IS NULL OR old.customer IS NULL
ORDER BY segment, customer;
