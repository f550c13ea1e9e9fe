-- How many touchpoints were there, on which channel and in which direction? Over the pieces of a period (see pieces.py).

-- name: channels
-- By bucket, channel and direction.
WITH piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS p (level, start, until)
),
part AS (
    SELECT s.at, s.channel, s.direction, s.touchpoints
    FROM piece AS p
    CROSS JOIN LATERAL (
        SELECT * FROM figures.contact_sums AS s
        WHERE s.level = p.level::"char" AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL AND (%(channel)s::text IS NULL OR s.channel = %(channel)s)
        AND (%(direction)s::text IS NULL OR s.direction = %(direction)s)
    UNION ALL
    SELECT e.happened_at, coalesce(e.channel, ''), coalesce(e.direction, ''), 1
    FROM piece AS p
    JOIN timeline.events AS e ON e.happened_at >= p.start AND e.happened_at < p.until AND e.type = ANY (%(types)s::text[])
    WHERE p.level IS NULL AND e.touch AND (%(channel)s::text IS NULL OR e.channel = %(channel)s)
        AND (%(direction)s::text IS NULL OR e.direction = %(direction)s)
        AND (%(recorded_by)s::timestamptz IS NULL OR e.recorded_at <= %(recorded_by)s)
        AND e.name <> ALL (%(retracted)s::uuid[])
        AND (%(then)s OR NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted))
)
SELECT CASE %(unit)s::text
        WHEN 'all' THEN NULL::timestamp
        WHEN 'hour' THEN timestamp '2000-01-03' + (date_trunc('hour', l.local) - date_trunc('day', l.local))
        WHEN 'weekday' THEN timestamp '2000-01-03' + (date_trunc('day', l.local) - date_trunc('week', l.local))
        ELSE date_trunc(%(unit)s::text, l.local)
    END AS bucket,
    channel, direction, sum(touchpoints)::bigint
FROM part, LATERAL (SELECT part.at AT TIME ZONE %(zone)s AS local) AS l
GROUP BY 1, 2, 3;

-- name: types
-- The types that were ever seen, found one after the other along the index.
WITH RECURSIVE found AS (
    (SELECT type FROM timeline.events ORDER BY type LIMIT 1)
    UNION ALL
    SELECT (SELECT e.type FROM timeline.events AS e WHERE e.type > found.type ORDER BY e.type LIMIT 1)
    FROM found WHERE found.type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL;

-- name: spoken
-- Touchpoints of a period that corrections retract, by whatever was said of them until now.
SELECT DISTINCT e.name
FROM timeline.about AS a JOIN timeline.events AS e ON e.name = a.target
WHERE a.relation = 'retracts' AND e.happened_at >= %(start)s AND e.happened_at < %(end)s AND e.touch
LIMIT %(most)s;

-- name: events
-- The touchpoints behind a figure, the latest first, from a place on.
SELECT e.name, e.happened_at, e.type, i.customer, NULL, NULL, e.record, e.log_partition, e.log_offset
FROM timeline.events AS e LEFT JOIN identity.evidences AS i ON i.evidence = e.evidence
WHERE e.happened_at >= %(start)s AND e.happened_at < %(end)s AND (e.happened_at, e.name) < (%(at)s, %(name)s)
    AND e.type = ANY (%(types)s::text[]) AND e.touch AND (%(channel)s::text IS NULL OR e.channel = %(channel)s)
    AND (%(direction)s::text IS NULL OR e.direction = %(direction)s)
    AND (%(weekday)s::integer IS NULL OR extract(isodow FROM e.happened_at AT TIME ZONE %(zone)s) = %(weekday)s)
    AND (%(hour)s::integer IS NULL OR extract(hour FROM e.happened_at AT TIME ZONE %(zone)s) = %(hour)s)
    AND (%(recorded_by)s::timestamptz IS NULL OR e.recorded_at <= %(recorded_by)s)
    AND e.name <> ALL (%(retracted)s::uuid[])
    AND (%(then)s OR NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted))
ORDER BY e.happened_at DESC, e.name DESC
LIMIT %(limit)s;
