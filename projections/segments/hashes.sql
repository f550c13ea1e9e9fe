-- Are two builds the same? One hash over the declared columns, in any order of rows.

-- name: memberships
-- Every column, of the versions that count: others are on their way in or out.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', segment, version, customer), 0)::numeric), 0)
FROM memberships
WHERE (segment, version) IN (
    SELECT code, coalesce(serving, 0) FROM storyline.segments WHERE state = 'active'
);
