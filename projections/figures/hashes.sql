-- Are two builds of the figures the same? One hash per table over its declared columns, in any order of rows, of the
-- schema that stands first in the search path. What is summed of them is left out: it follows,
    and is made when asked for.

-- name: lines
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 9), name, place,
    extract(epoch FROM happened_at), product, category, quantity, amount, currency, refund), 0)::numeric), 0)
FROM lines;

-- name: scores
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 11), name, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), measure, score, best, code, product, channel, actor), 0)::numeric), 0)
FROM scores;

-- name: scores_republished
-- The same between two publications of one history.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 10), name, evidence,
    extract(epoch FROM happened_at), measure, score, best, code, product, channel, actor), 0)::numeric), 0)
FROM scores;

-- name: moods
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 8), name, target,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), language, sentiment, topics, method), 0)::numeric), 0)
FROM moods;

-- name: moods_republished
-- The same between two publications of one history.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 7), name, target,
    extract(epoch FROM happened_at), language, sentiment, topics, method), 0)::numeric), 0)
FROM moods;

-- name: mentions
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 9), name, product, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), type, channel, direction, category), 0)::numeric), 0)
FROM mentions;

-- name: mentions_republished
-- The same between two publications of one history.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 8), name, product, evidence,
    extract(epoch FROM happened_at), type, channel, direction, category), 0)::numeric), 0)
FROM mentions;

-- name: things
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 6), name, kind, ref,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), fields), 0)::numeric), 0)
FROM things;

-- name: things_republished
-- The same between two publications of one history.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 5), name, kind, ref,
    extract(epoch FROM happened_at), fields), 0)::numeric), 0)
FROM things;
