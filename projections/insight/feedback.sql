-- What do customers say? Scores of surveys and reviews, and the sentiment of what they write.

-- name: scores
-- The scores of the period. `team`: of whoever acted for the company, a team itself or the first one of a colleague.
WITH facts AS (
    SELECT s.name, s.evidence, s.happened_at AS at, s.measure, s.score, s.best, s.code, s.product, s.channel,
        CASE WHEN s.actor LIKE 'team:%%' THEN substr(s.actor, 6)
            ELSE (SELECT p.teams[1] FROM storyline.people AS p WHERE 'user:' || p.code = s.actor) END AS team
    FROM figures.scores AS s
    WHERE s.happened_at >= %(start)s AND s.happened_at < %(end)s AND s.recorded_at <= %(recorded_by)s
        AND s.score IS NOT NULL
        AND (%(product)s::text IS NULL OR s.product = %(product)s)
        AND (%(channel)s::text IS NULL OR s.channel = %(channel)s)
        AND (%(code)s::text IS NULL OR s.code = %(code)s)
        AND (%(customer)s::uuid IS NULL OR s.evidence IN (
            SELECT e.evidence FROM identity.nodes AS n JOIN identity.evidences AS e ON e.customer = n.customer
            WHERE n.node = %(customer)s
        ))
),
chosen AS (
    SELECT facts.*,
        measure = 'csat' AS csat, measure = 'csat' AND score >= 0.8 * coalesce(best, 5) AS satisfied,
        measure = 'nps' AND coalesce(best, 10) = 10 AND score BETWEEN 0 AND 10 AS nps
    FROM facts WHERE %(team)s::text IS NULL OR team = %(team)s
)

-- name: feedback
-- The figures of each group, and of all of them (`whole`).
{facts}
SELECT grouping(key) = 1 AS whole, {label},
    count(*) FILTER (WHERE csat), count(*) FILTER (WHERE satisfied),
    count(*) FILTER (WHERE nps), count(*) FILTER (WHERE nps AND score >= 9), count(*) FILTER (WHERE nps AND score <= 6),
    count(*) FILTER (WHERE measure = 'ces'), avg(score) FILTER (WHERE measure = 'ces'),
    avg(score / nullif(best, 0)) FILTER (WHERE measure = 'ces'),
    count(*) FILTER (WHERE measure = 'review'), avg(score) FILTER (WHERE measure = 'review'),
    avg(score / nullif(best, 0)) FILTER (WHERE measure = 'review')
FROM (SELECT chosen.*, {group} AS key FROM chosen) AS keyed
GROUP BY GROUPING SETS ((key), ())
ORDER BY whole DESC, key NULLS LAST
LIMIT %(most)s;

-- name: feedback_events
-- The events behind a figure, the latest first: `measure` null for all; `keyed` false for all groups.
{facts}
SELECT keyed.name, convert_from(e.record, 'UTF8')::jsonb->>'name', keyed.at, keyed.measure, keyed.score, keyed.best,
    whose.customer
FROM (SELECT chosen.*, {key} AS key FROM chosen) AS keyed
JOIN timeline.events AS e ON e.name = keyed.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = keyed.evidence
WHERE (%(measure)s::text IS NULL OR keyed.measure = %(measure)s)
    AND (NOT %(keyed)s OR keyed.key IS NOT DISTINCT FROM %(keyed_by)s)
    AND (keyed.at, keyed.name) < (%(before_at)s, %(before_name)s)
ORDER BY keyed.at DESC, keyed.name DESC
LIMIT %(limit)s;

-- name: moods
-- The sentiment of what customers wrote in the period: of each of their touchpoints what was derived last, by one method
-- if one is asked for.
WITH facts AS (
    SELECT m.target AS name, e.evidence, e.happened_at AS at, m.sentiment, m.method, e.type, e.channel
    FROM timeline.events AS e JOIN figures.moods AS m ON m.target = e.name
    WHERE e.happened_at >= %(start)s AND e.happened_at < %(end)s AND e.recorded_at <= %(recorded_by)s
        AND e.touch AND e.direction = 'in' AND m.sentiment IS NOT NULL AND m.recorded_at <= %(recorded_by)s
        AND (%(method)s::text IS NULL OR m.method = %(method)s)
        AND (%(channel)s::text IS NULL OR e.channel = %(channel)s)
        AND (%(type)s::text IS NULL OR e.type = %(type)s)
        AND (%(customer)s::uuid IS NULL OR e.evidence IN (
            SELECT w.evidence FROM identity.nodes AS n JOIN identity.evidences AS w ON w.customer = n.customer
            WHERE n.node = %(customer)s
        ))
        AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted)
        AND (%(product)s::text IS NULL OR EXISTS (
            SELECT FROM figures.mentions AS p WHERE p.name = e.name AND p.product = %(product)s
        ))
        AND NOT EXISTS (
            SELECT FROM figures.moods AS later
            WHERE later.target = m.target AND (later.happened_at, later.name) > (m.happened_at, m.name)
                AND later.sentiment IS NOT NULL AND later.recorded_at <= %(recorded_by)s
                AND (%(method)s::text IS NULL OR later.method = %(method)s)
        )
),
chosen AS (
    SELECT facts.*, sentiment <= -0.05 AS negative, sentiment >= 0.05 AS positive FROM facts
)

-- name: each_product
-- The same for each product that a touchpoint speaks of; null for those that speak of none.
, spoken AS (
    SELECT chosen.*, p.product FROM chosen LEFT JOIN figures.mentions AS p ON p.name = chosen.name
    WHERE %(product)s::text IS NULL OR p.product = %(product)s
)

-- name: sentiment
-- The figures of each group, and of all of them (`whole`).
{facts}
SELECT false, {label}, count(*), avg(sentiment), count(*) FILTER (WHERE negative), count(*) FILTER (WHERE positive)
FROM (SELECT {source}.*, {group} AS key FROM {source}) AS keyed
GROUP BY key
UNION ALL
SELECT true, NULL, count(*), avg(sentiment), count(*) FILTER (WHERE negative), count(*) FILTER (WHERE positive)
FROM chosen
ORDER BY 1 DESC, 2
LIMIT %(most)s;

-- name: sentiment_events
-- The touchpoints behind a figure, the latest first. `tone`: negative, positive, or null for all.
{facts}
SELECT keyed.name, convert_from(e.record, 'UTF8')::jsonb->>'name', keyed.at, keyed.sentiment, keyed.method,
    whose.customer
FROM (SELECT {source}.*, {key} AS key FROM {source}) AS keyed
JOIN timeline.events AS e ON e.name = keyed.name
LEFT JOIN identity.evidences AS whose ON whose.evidence = keyed.evidence
WHERE (%(tone)s::text IS NULL OR (%(tone)s = 'negative' AND keyed.negative)
        OR (%(tone)s = 'positive' AND keyed.positive))
    AND (NOT %(keyed)s OR keyed.key IS NOT DISTINCT FROM %(keyed_by)s)
    AND (keyed.at, keyed.name) < (%(before_at)s, %(before_name)s)
ORDER BY keyed.at DESC, keyed.name DESC
LIMIT %(limit)s;
