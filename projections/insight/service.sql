-- How well are customers served? What happened to tickets in a period, how long it took, and what was promised.

-- name: chosen
-- The tickets that are asked about, by what they are now.
(%(team)s::text IS NULL OR team = %(team)s)
    AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
    AND (%(queue)s::text IS NULL OR queue = %(queue)s)
    AND (%(channel)s::text IS NULL OR channel = %(channel)s)
    AND (%(priority)s::text IS NULL OR priority = %(priority)s)
    AND (%(category)s::text IS NULL OR category = %(category)s)
    AND (%(product)s::text IS NULL OR product = %(product)s)
    AND (%(service_level)s::text IS NULL OR service_level = %(service_level)s)

-- name: opened
-- When the tickets were opened. What happened to tickets is told of all in this form: when, how long that took since the
-- opening and in business time, and whether what was promised was kept.
SELECT times.*, opened_at AS at, NULL::float8 AS seconds, NULL::float8 AS worked, NULL::boolean AS kept
FROM {times} AS times

-- name: responded
-- When they were answered first.
SELECT times.*, responded_at AS at, response AS seconds, NULL::float8 AS worked, responded_at <= respond_due AS kept
FROM {times} AS times WHERE responded_at IS NOT NULL

-- name: resolved
-- When they were resolved or closed: of what was resolved or closed several times the last counts.
SELECT times.*, ended_at AS at, resolution AS seconds, business AS worked,
    promised AND (resolve_due IS NULL OR ended_at <= resolve_due) AS kept
FROM {times} AS times WHERE ended_at IS NOT NULL

-- name: closed
-- When they were closed.
SELECT times.*, closed_at AS at, NULL::float8 AS seconds, NULL::float8 AS worked, NULL::boolean AS kept
FROM {times} AS times WHERE closed_at IS NOT NULL

-- name: reopened
-- When they were taken up again, each time.
SELECT times.*, turn.at, NULL::float8 AS seconds, NULL::float8 AS worked, NULL::boolean AS kept
FROM work.ticket_turns AS turn LEFT JOIN {times} AS times ON times.item = turn.item
WHERE NOT turn.ended

-- name: ended
-- When they were resolved, closed or folded into another one, each time.
SELECT times.*, turn.at, NULL::float8 AS seconds, NULL::float8 AS worked, NULL::boolean AS kept
FROM work.ticket_turns AS turn LEFT JOIN {times} AS times ON times.item = turn.item
WHERE turn.ended

-- name: response_missed
-- When an answer was due that did not come by then.
SELECT times.*, respond_due AS at, NULL::float8 AS seconds, NULL::float8 AS worked, NULL::boolean AS kept
FROM {times} AS times
WHERE respond_due < coalesce(responded_at, ended_at, %(now)s)

-- name: resolution_missed
-- When a resolution was due that did not come by then.
SELECT times.*, resolve_due AS at, NULL::float8 AS seconds, NULL::float8 AS worked, NULL::boolean AS kept
FROM {times} AS times
WHERE resolve_due < coalesce(ended_at, %(now)s)

-- name: by_time
-- Those that happened in each of the ranges, in the order of their keys: found by an index on moments, with neither a moment
-- turned into a key nor a sort.
(SELECT key, lo, hi FROM ranges ORDER BY key) AS ranges JOIN ({facts}) AS facts ON at >= lo AND at < hi

-- name: by_hour
-- The same by the hour of the day, of which a year has too many ranges: what the clock of the zone shows is added up.
(
    SELECT facts.*, date_part('hour', (at AT TIME ZONE 'UTC') + ahead)::integer AS key
    FROM shifts JOIN ({facts}) AS facts ON at >= lo AND at < hi
) AS facts

-- name: of_chosen
-- The tickets that something may have happened to in the period, of the chosen ones.
WITH chosen AS MATERIALIZED (
    SELECT * FROM work.ticket_times
    WHERE counts_until >= %(start)s AND opened_at < %(end)s
        AND {chosen}
)

-- name: by_key
-- What happened to them in the period.
(
    SELECT facts.*, {group} AS key FROM ({facts}) AS facts
    WHERE at >= %(start)s AND at < %(end)s AND item IS NOT NULL
) AS facts

-- name: counted
-- How often that happened in each group, and in all of them (`whole`).
(
    SELECT {what} AS what, grouping(key) = 1 AS whole, key, count(*) AS happened, NULL::bigint AS kept,
        NULL::float8 AS median, NULL::float8 AS p90, NULL::float8 AS mean, NULL::bigint AS worked,
        NULL::float8 AS worked_median, NULL::float8 AS worked_p90, NULL::float8 AS worked_mean
    FROM {source}
    GROUP BY GROUPING SETS ((key), ())
    ORDER BY whole DESC, key NULLS LAST
    LIMIT %(most)s
)

-- name: timed
-- The same, with how long it took, and how often what was promised was kept.
(
    SELECT {what}, grouping(key) = 1 AS whole, key, count(*), count(*) FILTER (WHERE kept),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds),
        avg(seconds), count(worked), percentile_cont(0.5) WITHIN GROUP (ORDER BY worked),
        percentile_cont(0.9) WITHIN GROUP (ORDER BY worked), avg(worked)
    FROM {source}
    GROUP BY GROUPING SETS ((key), ())
    ORDER BY whole DESC, key NULLS LAST
    LIMIT %(most)s
)

-- name: series
-- All of these, of each group.
{first}
SELECT what, whole, {label}, happened, kept, median, p90, mean, worked, worked_median, worked_p90, worked_mean
FROM ({measures}) AS told

-- name: running
-- Of the chosen tickets that are open: how many there are, of how many the first response is due and not over, and of
-- how many the resolution.
SELECT count(*), count(*) FILTER (WHERE responded_at IS NULL AND respond_by >= %(now)s),
    count(*) FILTER (WHERE resolve_by >= %(now)s)
FROM work.tickets
WHERE status = 'open'
    AND {chosen};

-- name: tickets
-- The tickets behind a figure, the latest first: `key` of which group, `keyed` false for all of them; `promised`: those of
-- which what was promised was kept.
SELECT found.item, t.ref, t.native, found.at, found.seconds, found.worked, whose.customer
FROM (
    SELECT item, at, seconds, worked FROM (SELECT facts.*, {key} AS key FROM ({facts}) AS facts) AS keyed
    WHERE at >= %(start)s AND at < %(end)s AND {chosen} AND (NOT %(promised)s OR kept)
        AND (NOT %(keyed)s OR key IS NOT DISTINCT FROM %(key)s) AND (at, item) < (%(before_at)s, %(before_name)s)
    ORDER BY at DESC, item DESC
    LIMIT %(limit)s
) AS found
JOIN work.tickets AS t USING (item)
LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence
ORDER BY found.at DESC, found.item DESC;

-- name: days
-- The days of the period in the zone.
SELECT day::date FROM generate_series(
    (%(start)s AT TIME ZONE %(zone)s)::date::timestamp,
    ((%(end)s - interval '1 microsecond') AT TIME ZONE %(zone)s)::date::timestamp, interval '1 day'
) AS day
ORDER BY day
LIMIT %(most)s;

-- name: standing
-- How many of the chosen tickets were open when the period ended: as many as are open now, less what came since. A ticket is
-- open from its first step on, and no more once it is resolved, closed or folded into another one, until a step takes it up
-- again.
SELECT (SELECT count(*) FROM work.tickets WHERE status = 'open' AND {chosen})
    - (SELECT count(*) FROM ({opened}) AS facts WHERE at >= %(end)s AND {chosen})
    - (SELECT count(*) FROM ({reopened}) AS facts WHERE at >= %(end)s AND {chosen})
    + (SELECT count(*) FROM ({ended}) AS facts WHERE at >= %(end)s AND {chosen});
