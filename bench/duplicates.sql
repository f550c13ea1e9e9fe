-- How do customers who are made up for the bench come into the read models, without a log?

-- name: nodes
-- Identifiers of customers.
COPY identity.nodes (node, kind, namespace, priority, first_at, shared, strong, component, customer) FROM STDIN;

-- name: evidences
-- One evidence for each customer.
COPY identity.evidences (evidence, nodes, first_at, component, customer) FROM STDIN;

-- name: identifiers
-- In clear, as the directory has them.
COPY directory.identifiers (evidence, node, kind, namespace, value) FROM STDIN;

-- name: claims
-- What each is called, and where they live.
COPY directory.claims (name, place, evidence, happened_at, recorded_at, source, fields) FROM STDIN;

-- name: analyze
-- As autovacuum would.
ANALYZE identity.nodes, identity.evidences, directory.identifiers, directory.claims;
