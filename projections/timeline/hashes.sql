-- Are two builds of the timeline the same? One hash per table over its declared columns, in any order of rows, of the
-- schema that stands first in the search path.

-- name: events
-- All but the position, which another log gives anew.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s', name, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), future, touch, digest, type, channel, direction,
    md5(record)), 0)::numeric), 0)
FROM events;

-- name: events_republished
-- The same between two publications of one history: without what each publication makes anew (recorded_at, keys
-- and blobs).
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s', name, evidence,
    extract(epoch FROM happened_at), future, touch, digest, type, channel, direction), 0)::numeric), 0)
FROM events;

-- name: refs
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', ref, extract(epoch FROM happened_at), name),
    0)::numeric), 0)
FROM refs;

-- name: about
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', target, relation, name), 0)::numeric), 0)
FROM about;

-- name: parties
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s', evidence, extract(epoch FROM happened_at), name,
    role), 0)::numeric), 0)
FROM parties;

-- name: corrected
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s', name, retracted, amended_by), 0)::numeric), 0)
FROM corrected;
