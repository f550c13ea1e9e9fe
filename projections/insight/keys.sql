-- By what are moments grouped? Expressions over a column `at`, in the zone of whoever asks. What is grouped by sorts as fast
-- as can be, and is told as text once per group: `…_label` makes of `key`, which is by `…_group`, what the name alone
-- makes of `at`.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: live
-- Tables are those that serve.
SET LOCAL search_path = identity, customers, figures, timeline;

-- name: room
-- A year of rows is sorted and grouped in memory.
SET LOCAL work_mem = '64MB';

-- name: day
-- The day, such as 2026-03-01.
to_char(at AT TIME ZONE %(zone)s, 'YYYY-MM-DD')

-- name: week
-- The week as ISO 8601 has it, such as 2026-W09.
to_char(at AT TIME ZONE %(zone)s, 'IYYY"-W"IW')

-- name: month
-- The month, such as 2026-03.
to_char(at AT TIME ZONE %(zone)s, 'YYYY-MM')

-- name: hour
-- The hour of the day, 00 to 23.
to_char(at AT TIME ZONE %(zone)s, 'HH24')

-- name: weekday
-- The day of the week, 1 (Monday) to 7.
to_char(at AT TIME ZONE %(zone)s, 'ID')

-- name: day_group
-- The day.
(at AT TIME ZONE %(zone)s)::date

-- name: day_label
-- As text.
to_char(key, 'YYYY-MM-DD')

-- name: week_group
-- The week, by its Monday.
date_trunc('week', at AT TIME ZONE %(zone)s)

-- name: week_label
-- As text.
to_char(key, 'IYYY"-W"IW')

-- name: month_group
-- The month, by its first day.
date_trunc('month', at AT TIME ZONE %(zone)s)

-- name: month_label
-- As text.
to_char(key, 'YYYY-MM')

-- name: hour_group
-- The hour of the day, as a number.
extract(hour FROM at AT TIME ZONE %(zone)s)::integer

-- name: hour_label
-- As text.
lpad(key::text, 2, '0')

-- name: weekday_group
-- The day of the week, as a number.
extract(isodow FROM at AT TIME ZONE %(zone)s)::integer

-- name: weekday_label
-- As text.
key::text

-- name: column_group
-- A column of text, compared byte by byte.
{} COLLATE "C"

-- name: column_label
-- It is text already.
key
