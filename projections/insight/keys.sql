-- By what are moments grouped? Expressions over a column `at`, in the zone of whoever asks.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

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
