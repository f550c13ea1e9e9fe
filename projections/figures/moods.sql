-- What does the sentiment of texts come to, by time? `starts` and `ends` are the begins and ends of times.

-- name: texts
-- Texts of customers in these times, of these types (null: of all), each with what was derived of it last.
texts AS (
    SELECT e.name, e.happened_at AS at, e.channel, e.type, m.sentiment
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM events AS e
        WHERE e.happened_at >= r.start AND e.happened_at < r.until AND e.touch AND e.direction = 'in'
            AND (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s::text[]))
        OFFSET 0
    ) AS e
    JOIN moods AS m ON m.target = e.name AND m.sentiment IS NOT NULL
    WHERE NOT EXISTS (SELECT FROM corrected AS c WHERE c.name = e.name AND c.retracted)
        AND NOT EXISTS (
            SELECT FROM moods AS later
            WHERE later.target = m.target AND (later.happened_at, later.name) > (m.happened_at, m.name)
                AND later.sentiment IS NOT NULL
        )
)

-- name: no_texts
-- No texts, where sums tell it all: the planner would read all moods to find that out.
texts AS (
    SELECT NULL::uuid AS name, NULL::timestamptz AS at, NULL::text AS channel, NULL::text AS type,
        NULL::numeric AS sentiment
    WHERE false
)

-- name: sum_quarters
-- By quarter, in all and by what a text says.
INSERT INTO mood_sums
WITH {texts}
SELECT 'q', d.dimension, date_bin('15 minutes', at, '2000-01-01 00:00+00'), coalesce(d.value, ''), count(*),
    sum(sentiment), count(*) FILTER (WHERE sentiment <= -0.05), count(*) FILTER (WHERE sentiment >= 0.05)
FROM texts CROSS JOIN LATERAL (VALUES ('', ''), ('channel', channel), ('type', type)) AS d (dimension, value)
GROUP BY 2, 3, 4;

-- name: sum_products
-- By day and product that a text speaks of.
INSERT INTO mood_sums
WITH {texts}
SELECT 'd', 'product', date_trunc('day', at, 'UTC'), coalesce(p.product, ''), count(*), sum(sentiment),
    count(*) FILTER (WHERE sentiment <= -0.05), count(*) FILTER (WHERE sentiment >= 0.05)
FROM texts LEFT JOIN mentions AS p ON p.name = texts.name
GROUP BY 3, 4;

-- name: sum_longer
-- Longer sums out of shorter ones.
INSERT INTO mood_sums
SELECT %(level)s::"char", dimension, CASE WHEN %(level)s = 'h' THEN date_trunc('hour', s.at, 'UTC')
        WHEN %(level)s = 'd' THEN date_trunc('day', s.at, 'UTC') ELSE date_trunc('month', s.at, 'UTC') END,
    value, sum(texts), sum(total), sum(negative), sum(positive)
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
CROSS JOIN LATERAL (
    SELECT * FROM mood_sums AS s
    WHERE s.level = %(of)s::"char" AND s.dimension = ANY (%(dimensions)s::text[]) AND s.at >= r.start AND s.at < r.until
    OFFSET 0
) AS s
GROUP BY 2, 3, 4;

-- name: empty
-- Nothing is summed.
DELETE FROM mood_sums;

-- name: analyze
-- What the planner has to know of sums that were made all at once.
ANALYZE mood_sums;
