-- What do texts come to? Over the pieces of a period (see projections/figures/pieces.py): of sums where `levels` says one, else of
-- the texts themselves.

-- name: sums
-- By group and, where that is asked for, by value of the dimension: how many, the sum of their sentiment, how many in a bad
-- mood, and in a good one. `values`: of the dimension, null for all.
WITH piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(begins)s::timestamptz[], %(untils)s::timestamptz[])
        AS p (level, start, until)
),
{texts},
part AS (
    SELECT texts.at, coalesce(CASE %(dimension)s WHEN 'channel' THEN texts.channel WHEN 'type' THEN texts.type
            WHEN 'product' THEN p.product END, '') AS value, 1 AS texts, sentiment AS total,
        (sentiment <= -0.05)::integer AS negative, (sentiment >= 0.05)::integer AS positive
    FROM texts LEFT JOIN mentions AS p ON p.name = texts.name AND %(dimension)s = 'product'
    UNION ALL
    SELECT s.at, s.value, s.texts, s.total, s.negative, s.positive
    FROM piece AS p CROSS JOIN LATERAL ( -- piece by piece along the index, whatever the planner thinks of how many there are
        SELECT * FROM mood_sums AS s
        WHERE s.level = p.level::"char" AND s.dimension = %(dimension)s AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
)
SELECT {label}, sum(texts)::bigint, sum(total) / sum(texts), sum(negative)::bigint, sum(positive)::bigint
FROM (SELECT part.*, {group} AS key FROM part WHERE %(values)s::text[] IS NULL OR value = ANY (%(values)s)) AS keyed
GROUP BY key
ORDER BY key NULLS LAST
LIMIT %(most)s;

-- name: value_group
-- A value of the dimension, compared byte by byte; null for none.
nullif(value, '') COLLATE "C"

-- name: value_label
-- It is text already.
key

-- name: all_group
-- All of them.
NULL::text

-- name: all_label
-- They have no name.
key
