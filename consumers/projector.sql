-- Who projects?

-- name: try_seat
-- The one live seat, for as long as this session lives.
SELECT pg_try_advisory_lock(7053081004);

-- name: still_seated
-- Raises when the session is gone, and the seat with it.
SELECT 1;
