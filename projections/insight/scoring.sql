-- What do scores come to? Over the pieces of a period (see projections/figures/pieces.py): of sums where `levels` says one, else of
-- the scores themselves.

-- name: sums
-- The figures of each group, and of all of them (`whole`). `values`: of the dimension, null for all; `team`: of actors, likewise.
WITH piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(begins)s::timestamptz[], %(untils)s::timestamptz[])
        AS p (level, start, until)
),
{scored},
part AS (
    SELECT at, coalesce(CASE %(dimension)s WHEN 'channel' THEN channel WHEN 'actor' THEN actor WHEN 'code' THEN code
            WHEN 'product' THEN product END, '') AS value,
        csat, satisfied, nps, promoters, detractors, ces, ces_total, ces_best, ces_best_total, reviews, review_total,
        review_best, review_best_total
    FROM scored
    UNION ALL
    SELECT s.at, s.value, s.csat, s.satisfied, s.nps, s.promoters, s.detractors, s.ces, s.ces_total, s.ces_best,
        s.ces_best_total, s.reviews, s.review_total, s.review_best, s.review_best_total
    FROM piece AS p CROSS JOIN LATERAL ( -- piece by piece along the index, whatever the planner thinks of how many there are
        SELECT * FROM score_sums AS s
        WHERE s.level = p.level::"char" AND s.dimension = %(dimension)s AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
),
teams AS (
    SELECT value, CASE WHEN value LIKE 'team:%%' THEN substr(value, 6)
            ELSE (SELECT p.teams[1] FROM storyline.people AS p WHERE 'user:' || p.code = value) END AS team
    FROM (SELECT DISTINCT value FROM part WHERE %(dimension)s = 'actor') AS acting
),
chosen AS (
    SELECT part.*, teams.team FROM part LEFT JOIN teams USING (value)
    WHERE (%(values)s::text[] IS NULL OR value = ANY (%(values)s))
        AND (%(team)s::text IS NULL OR teams.team = %(team)s)
)
SELECT grouping(key) = 1 AS whole, {label}, coalesce(sum(csat), 0)::bigint, coalesce(sum(satisfied), 0)::bigint,
    coalesce(sum(nps), 0)::bigint, coalesce(sum(promoters), 0)::bigint, coalesce(sum(detractors), 0)::bigint,
    coalesce(sum(ces), 0)::bigint, sum(ces_total) / nullif(sum(ces), 0), sum(ces_best_total) / nullif(sum(ces_best), 0),
    coalesce(sum(reviews), 0)::bigint, sum(review_total) / nullif(sum(reviews), 0),
    sum(review_best_total) / nullif(sum(review_best), 0)
FROM (SELECT chosen.*, {group} AS key FROM chosen) AS keyed
GROUP BY GROUPING SETS ((key), ())
ORDER BY whole DESC, key NULLS LAST
LIMIT %(most)s;

-- name: value_group
-- A value of the dimension, compared byte by byte; null for none.
nullif(value, '') COLLATE "C"

-- name: team_group
-- The team of an actor, likewise.
team COLLATE "C"

-- name: value_label
-- It is text already.
key
