-- Which moments make a day, a week or an hour of the day in a zone? Found without asking the zone about each moment.

-- name: ranges
-- The times that each group is made of, as `key` has it, within the period. `said`: by how much the clock of the zone is
-- ahead of UTC at the beginning and at the end of each day; where that differs it is asked at each minute. Within each of
-- the `shifts`, throughout which it is the same, hours and days are `step` long.
WITH said AS (
    SELECT lo, hi, lo AT TIME ZONE %(zone)s - lo AT TIME ZONE 'UTC' AS ahead,
        hi AT TIME ZONE %(zone)s - hi AT TIME ZONE 'UTC' AS ahead_then
    FROM (
        SELECT lo, lead(lo, 1, %(end)s) OVER (ORDER BY lo) AS hi
        FROM generate_series(%(start)s, %(end)s - interval '1 microsecond', interval '1 day') AS lo
    ) AS days
),
steady AS (
    SELECT lo, hi, ahead FROM said WHERE ahead = ahead_then
    UNION ALL
    SELECT greatest(minute, lo), least(minute + interval '1 minute', hi),
        greatest(minute, lo) AT TIME ZONE %(zone)s - greatest(minute, lo) AT TIME ZONE 'UTC'
    FROM said CROSS JOIN LATERAL
        generate_series(date_trunc('minute', lo, 'UTC'), hi - interval '1 microsecond', interval '1 minute') AS minute
    WHERE ahead <> ahead_then
),
shifts AS (
    SELECT min(lo) AS lo, max(hi) AS hi, ahead FROM (
        SELECT lo, hi, ahead, count(*) FILTER (WHERE new) OVER (ORDER BY lo) AS number FROM (
            SELECT lo, hi, ahead, ahead IS DISTINCT FROM lag(ahead) OVER (ORDER BY lo) AS new FROM steady
        ) AS marked
    ) AS numbered GROUP BY number, ahead
),
ranges AS (
    SELECT {key} AS key, greatest((local - ahead) AT TIME ZONE 'UTC', lo) AS lo,
        least((local + %(step)s::interval - ahead) AT TIME ZONE 'UTC', hi) AS hi
    FROM shifts CROSS JOIN LATERAL generate_series(
        date_trunc(%(unit)s, lo AT TIME ZONE 'UTC' + ahead), hi AT TIME ZONE 'UTC' + ahead - interval '1 microsecond',
        %(step)s::interval
    ) AS local
)

-- name: hour
-- What a range of hours goes by.
extract(hour FROM local)::integer

-- name: weekday
-- What a range of days goes by.
extract(isodow FROM local)::integer

-- name: local
-- What ranges of days, weeks and months go by.
local
