-- Whose memberships are to be found out again, and when?

-- name: hold_builds
-- No build of a read model is switched in meanwhile.
SELECT pg_advisory_xact_lock_shared(7053081002);

-- name: beside_batches
-- Go side by side with batches: whoever goes alone waits until this transaction ends.
SELECT pg_advisory_xact_lock_shared(%(key)s);

-- name: alone
-- No batch is under way: those before are committed, those after see what is committed here.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: called
-- What was asked for, taken away with what comes of it.
DELETE FROM storyline.segment_wakes WHERE id IN (
    SELECT id FROM storyline.segment_wakes ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING node, evidence, why;

-- name: customers_of
-- Whose these nodes and evidences are.
SELECT customer FROM nodes WHERE node = ANY (%(nodes)s::uuid[])
UNION
SELECT customer FROM evidences WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: has_build
-- Is there such a build?
SELECT to_regclass(%(table)s) IS NOT NULL;

-- name: wake
-- These customers are to be looked at at once.
INSERT INTO subjects (customer, wake_at, why)
SELECT customer, 'epoch', %(why)s FROM unnest(%(customers)s::uuid[]) AS one (customer) ORDER BY customer
ON CONFLICT (customer) DO UPDATE SET wake_at = excluded.wake_at, why = excluded.why
WHERE subjects.wake_at IS DISTINCT FROM excluded.wake_at;

-- name: wake_all
-- So are the next ones of all customers, and of those who were; gives the last of them.
WITH next AS (
    (SELECT DISTINCT customer FROM evidences WHERE customer > %(after)s ORDER BY customer LIMIT %(limit)s)
    UNION
    (SELECT customer FROM subjects WHERE customer > %(after)s ORDER BY customer LIMIT %(limit)s)
    ORDER BY customer LIMIT %(limit)s
),
woken AS (
    INSERT INTO subjects (customer, wake_at, why) SELECT customer, 'epoch', %(why)s FROM next ORDER BY customer
    ON CONFLICT (customer) DO UPDATE SET wake_at = excluded.wake_at, why = excluded.why
)
SELECT max(customer::text)::uuid FROM next;

-- name: due
-- Customers whose moment has come, held to the end of the transaction; those that somebody else holds come with the next
-- look.
SELECT customer, why FROM subjects WHERE wake_at <= %(now)s ORDER BY wake_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: put_off
-- The first of them is looked at again after a while: it takes too long.
UPDATE subjects SET wake_at = %(now)s::timestamptz + interval '1 hour' WHERE customer = (
    SELECT customer FROM subjects WHERE wake_at <= %(now)s ORDER BY wake_at LIMIT 1 FOR UPDATE SKIP LOCKED
);

-- name: waiting
-- How many wait for it.
SELECT count(*) FROM (SELECT FROM subjects WHERE wake_at <= %(now)s LIMIT 1000000) AS waiting;

-- name: nobody
-- Those of these customers that nobody is any more, since no event that counts names them.
SELECT one.customer FROM unnest(%(customers)s::uuid[]) AS one (customer)
WHERE NOT EXISTS (
    SELECT FROM evidences WHERE evidences.customer = one.customer AND evidences.first_at IS NOT NULL
);

-- name: calm
-- Nothing is to be found out about these customers before something happens: no rule is asked.
UPDATE subjects SET wake_at = NULL, why = NULL WHERE customer = ANY (%(customers)s::uuid[]) AND wake_at <= %(now)s;
