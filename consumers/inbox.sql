-- What does the inbox ask of Postgres, besides its positions?

-- name: try_seat
-- One inbox is live at a time; the seat falls free with the session of who has it.
SELECT pg_try_advisory_lock(7053081003);
