-- Whose stories did a batch touch? Their rows are held to the end of the transaction.

-- name: homes
-- Who is at home where these evidences are.
SELECT uuid_send(evidence), customer FROM evidences WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: note
-- Customers that were never held, in the order of their ids, so that two projectors do not deadlock; gives those.
INSERT INTO subjects (customer)
SELECT customer FROM unnest(%(customers)s::uuid[]) AS one (customer) ORDER BY customer
ON CONFLICT DO NOTHING RETURNING customer;

-- name: hold
-- Nobody else finds out anything of these customers until this transaction ends; what others brought before is seen by
-- the next statement.
SELECT customer FROM subjects WHERE customer = ANY (%(customers)s::uuid[]) ORDER BY customer FOR UPDATE;
