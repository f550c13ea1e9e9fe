-- Are two builds the same? One hash over the declared columns, in any order of rows.

-- name: memberships
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', segment, version, customer), 0)::numeric), 0)
FROM memberships;
