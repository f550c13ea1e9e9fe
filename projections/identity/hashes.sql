-- Are two builds of `identity` the same? One hash per table over its declared columns, in any order of rows. What is
-- only in evidences that count no more, and what is only remembered for speed (`strong` of a shared node, labels of
-- components), is left out: it may depend on what was there for a while.

-- name: nodes
-- Who has which identifier, and since when.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s', node, kind, namespace,
    extract(epoch FROM first_at), shared, customer), 0)::numeric), 0)
FROM nodes WHERE first_at IS NOT NULL;

-- name: evidences
-- Where each evidence is at home, and since when.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', evidence, extract(epoch FROM first_at), customer),
    0)::numeric), 0)
FROM evidences WHERE first_at IS NOT NULL;

-- name: rulings
-- What counts of what stewards ruled.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s', name, extract(epoch FROM at), merges, nodes,
    sides), 0)::numeric), 0)
FROM rulings WHERE counts;

-- name: disputes
-- Links that were not followed.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s', a, b, reason, extract(epoch FROM first_at)),
    0)::numeric), 0)
FROM disputes;
