-- What do the deployment's own metrics come to? Queries whose braces are filled by compiling.py; and what is summed how far.

-- name: counted
-- The events of a metric, each with its values: those of some times, as they count by now.
WITH said AS (
    SELECT e.name, e.evidence, e.happened_at, e.recorded_at, e.type, e.channel, e.direction, e.record, e.log_partition,
        e.log_offset, e.head,
        CASE WHEN e.amended ->> 'type' = e.type THEN coalesce((e.amended ->> 'version')::integer, 1)
            ELSE (e.head ->> 'version')::integer END AS version,
        CASE WHEN e.amended ->> 'type' = e.type THEN e.amended -> 'content' ELSE e.head -> 'public' END AS content
    FROM (
        SELECT e.*, convert_from(e.record, 'UTF8')::jsonb AS head,
            CASE WHEN a.name IS NOT NULL THEN convert_from(a.record, 'UTF8')::jsonb -> 'public' END AS amended
        FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
        CROSS JOIN LATERAL (
            SELECT * FROM events AS e
            WHERE e.happened_at >= r.start AND e.happened_at < r.until AND e.type = ANY (%(types)s::text[])
            OFFSET 0
        ) AS e
        LEFT JOIN corrected AS c ON c.name = e.name
        LEFT JOIN events AS a ON a.name = c.amended_by
        WHERE c.retracted IS NOT TRUE
    ) AS e
),
told AS (SELECT e.*, {content} AS right_content FROM said AS e),
counted AS (
    SELECT e.name, e.evidence, e.happened_at, e.type, e.record, e.log_partition, e.log_offset, {value} AS value,
        jsonb_build_array({dimensions}) AS dimensions
    FROM told AS e WHERE {where}
)

-- name: content_field
-- A field of the content.
(e.right_content -> {field})

-- name: event_text
-- A field of the event, as JSON.
to_jsonb(e.{field})

-- name: event_source
-- The source that an event's name begins with.
to_jsonb(left(e.head ->> 'name', -33))

-- name: event_actor
-- Who did it.
(e.head -> 'actor')

-- name: plain_text
-- A value as a text: null for what is nothing, a list or an object.
CASE WHEN jsonb_typeof({x}) IN ('string', 'number', 'boolean') THEN nullif({x} #>> '{{}}', '') END

-- name: contains
-- A text has another in it, small and capital letters alike, as conditions have it everywhere; else as rules have it.
CASE
    WHEN jsonb_typeof({field}) = 'string' THEN strpos(lower({field} #>> '{{}}'), lower({wanted})) > 0
    ELSE {otherwise}
END

-- name: sum
-- Sums by quarter and dimensions. It follows the query `counted`.
INSERT INTO metric_sums (metric, version, at, dimensions, events, total, least, most, told, evidences)
{counted}
SELECT %(metric)s, %(version)s, date_bin('15 minutes', happened_at, '2000-01-01 00:00+00'), dimensions, count(*),
    sum(value), min(value), max(value), count(value), CASE WHEN %(whose)s THEN array_agg(DISTINCT evidence) END
FROM counted
GROUP BY 3, 4;

-- name: value
-- By bucket and value of a dimension: events, sum, least, most, how many had a value, and how many customers.
{counted},
part AS (
    SELECT happened_at AS at, dimensions, 1 AS events, value AS total, value AS least, value AS most,
        (value IS NOT NULL)::integer AS told, CASE WHEN %(whose)s THEN ARRAY[evidence] END AS evidences
    FROM counted
    UNION ALL
    SELECT s.at, s.dimensions, s.events, s.total, s.least, s.most, s.told, s.evidences
    FROM unnest(%(sum_starts)s::timestamptz[], %(sum_ends)s::timestamptz[]) AS p (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM metric_sums AS s
        WHERE s.metric = %(metric)s AND s.version = %(version)s AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
),
chosen AS (
    SELECT CASE %(unit)s::text
            WHEN 'all' THEN NULL::timestamp
            WHEN 'hour' THEN timestamp '2000-01-03' + (date_trunc('hour', l.local) - date_trunc('day', l.local))
            WHEN 'weekday' THEN timestamp '2000-01-03' + (date_trunc('day', l.local) - date_trunc('week', l.local))
            ELSE date_trunc(%(unit)s::text, l.local)
        END AS bucket,
        CASE WHEN %(place)s::integer >= 0 THEN coalesce(part.dimensions ->> %(place)s::integer, '') ELSE '' END AS value,
        part.*
    FROM part, LATERAL (SELECT part.at AT TIME ZONE %(zone)s AS local) AS l
    WHERE NOT EXISTS (
        SELECT FROM unnest(%(places)s::integer[], %(wanted)s::text[]) AS f (place, wanted)
        WHERE coalesce(part.dimensions ->> f.place, '') <> f.wanted
    )
),
whose AS (
    SELECT c.bucket, c.value, count(DISTINCT i.customer) AS customers
    FROM chosen AS c, unnest(c.evidences) AS one (evidence) JOIN evidences AS i ON i.evidence = one.evidence
    WHERE %(whose)s
    GROUP BY 1, 2
)
SELECT c.bucket, c.value, sum(events)::bigint, sum(total), min(least), max(most), sum(told)::bigint,
    coalesce(any_value(w.customers), 0)
FROM chosen AS c LEFT JOIN whose AS w ON w.bucket IS NOT DISTINCT FROM c.bucket AND w.value = c.value
GROUP BY 1, 2;

-- name: events
-- The events behind a figure, the latest first, from a place on.
{counted}
SELECT c.name, c.happened_at, c.type, i.customer, c.value, NULL, c.record, c.log_partition, c.log_offset
FROM counted AS c LEFT JOIN evidences AS i ON i.evidence = c.evidence
WHERE (c.happened_at, c.name) < (%(at)s, %(name)s)
    AND NOT EXISTS (
        SELECT FROM unnest(%(places)s::integer[], %(wanted)s::text[]) AS f (place, wanted)
        WHERE coalesce(c.dimensions ->> f.place, '') <> f.wanted
    )
ORDER BY c.happened_at DESC, c.name DESC
LIMIT %(limit)s;

-- name: definitions
-- All definitions that are summed, the newest of each metric first.
SELECT metric, version, definition FROM storyline.metrics ORDER BY metric, since DESC, version;

-- name: define
-- A definition from now on; the newest of its metric, also when it was one before.
INSERT INTO storyline.metrics (metric, version, definition) VALUES (%(metric)s, %(version)s, %(definition)s)
ON CONFLICT (metric, version) DO UPDATE SET definition = excluded.definition,
    since = CASE WHEN NOT EXISTS (
        SELECT FROM storyline.metrics AS o WHERE o.metric = excluded.metric AND o.since > metrics.since
    ) THEN metrics.since ELSE clock_timestamp() END;

-- name: undefine
-- What is not wanted any more: metrics that are gone.
DELETE FROM storyline.metrics WHERE metric <> ALL (%(metrics)s::text[]);

-- name: retire
-- Definitions that a newer one took the place of, which has counted all of the past.
DELETE FROM storyline.metrics AS m
WHERE EXISTS (
    SELECT FROM storyline.metrics AS o JOIN metric_fills AS f ON f.metric = o.metric AND f.version = o.version
    WHERE o.metric = m.metric AND o.since > m.since AND f.next_at >= f.until
);

-- name: forget_fills
-- Sums and progress of definitions that are gone.
WITH gone AS (
    DELETE FROM metric_fills AS f
    WHERE NOT EXISTS (SELECT FROM storyline.metrics AS m WHERE m.metric = f.metric AND m.version = f.version)
    RETURNING metric, version
)
DELETE FROM metric_sums AS s USING gone WHERE s.metric = gone.metric AND s.version = gone.version;

-- name: begin_fill
-- How much of the past is there to count? From the first event of its types to the last there is by now.
INSERT INTO metric_fills (metric, version, begun_at, next_at, until)
SELECT %(metric)s, %(version)s, t.first, t.first, t.last
FROM (
    SELECT coalesce(date_bin('15 minutes', min(e.first), '2000-01-01 00:00+00'), 'epoch') AS first,
        coalesce(date_bin('15 minutes', max(e.last), '2000-01-01 00:00+00') + interval '15 minutes', 'epoch') AS last
    FROM unnest(%(types)s::text[]) AS one (type)
    CROSS JOIN LATERAL (
        SELECT min(happened_at) AS first, max(happened_at) AS last FROM events WHERE events.type = one.type
    ) AS e
) AS t
ON CONFLICT DO NOTHING;

-- name: fills
-- How far the past was counted.
SELECT metric, version, begun_at, next_at, until FROM metric_fills;

-- name: fill_to
-- The past was counted up to here.
UPDATE metric_fills SET next_at = %(next_at)s WHERE metric = %(metric)s AND version = %(version)s;

-- name: end_of_chunk
-- Where a piece of the past ends that holds about so many events of these types.
SELECT happened_at FROM events
WHERE type = ANY (%(types)s::text[]) AND happened_at >= %(next_at)s AND happened_at < %(until)s
ORDER BY happened_at OFFSET %(most)s LIMIT 1;
