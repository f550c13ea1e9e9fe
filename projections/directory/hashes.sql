-- Are two builds of the directory the same? One hash per table over its declared columns, in any order of rows, of the
-- schema that stands first in the search path.

-- name: identifiers
-- Every column. Of evidences that some event names: one that a repeat brought may be of nobody any more.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s', evidence, node, kind, namespace, value),
    0)::numeric), 0)
FROM identifiers
WHERE EXISTS (SELECT FROM events WHERE events.evidence = identifiers.evidence)
    OR EXISTS (SELECT FROM parties WHERE parties.evidence = identifiers.evidence);

-- name: claims
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s', name, place, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), source, fields), 0)::numeric), 0)
FROM claims;

-- name: claims_republished
-- The same between two publications of one history, each of which is recorded anew.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s', name, place, evidence,
    extract(epoch FROM happened_at), source, fields), 0)::numeric), 0)
FROM claims;

-- name: terms
-- Every column, of the same.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', evidence, kind, term), 0)::numeric), 0)
FROM terms
WHERE EXISTS (SELECT FROM events WHERE events.evidence = terms.evidence)
    OR EXISTS (SELECT FROM parties WHERE parties.evidence = terms.evidence);

-- name: words
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(word, 0)::numeric), 0) FROM words;

-- name: codes
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s', ref, kind, namespace, value, term),
    0)::numeric), 0)
FROM codes;
