-- Whose memberships are to be found out again, and when?

-- name: hold_builds
-- No build of a read model is switched in meanwhile.
SELECT pg_advisory_xact_lock_shared(7053081002);

-- name: wake
-- These customers are to be looked at at once.
INSERT INTO subjects (customer, wake_at, why)
SELECT customer, 'epoch', %(why)s FROM unnest(%(customers)s::uuid[]) AS one (customer) ORDER BY customer
ON CONFLICT (customer) DO UPDATE SET wake_at = excluded.wake_at, why = excluded.why
WHERE subjects.wake_at IS DISTINCT FROM excluded.wake_at;

-- name: customers_of_nodes
-- Whose these nodes are.
SELECT DISTINCT customer FROM nodes WHERE node = ANY (%(nodes)s::uuid[]);

-- name: customers_of_evidences
-- Who is at home where these evidences are.
SELECT DISTINCT customer FROM evidences WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: due
-- Customers whose moment has come, held to the end of the transaction; those that somebody else holds come with the next
-- look.
SELECT customer, why FROM subjects WHERE wake_at <= %(now)s ORDER BY wake_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: waiting
-- How many wait for it.
SELECT count(*) FROM (SELECT FROM subjects WHERE wake_at <= %(now)s LIMIT 1000000) AS waiting;

-- name: existing
-- Those of these customers that somebody is.
SELECT one.customer FROM unnest(%(customers)s::uuid[]) AS one (customer)
WHERE EXISTS (SELECT FROM evidences WHERE evidences.customer = one.customer);

-- name: calm
-- Nothing is to be found out about these customers before something happens: no rule is asked.
UPDATE subjects SET wake_at = NULL, why = NULL WHERE customer = ANY (%(customers)s::uuid[]) AND wake_at <= %(now)s;
