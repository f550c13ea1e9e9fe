-- A history that moves from one log to another (`storyline log move`), and that moved. A process finds here that its
-- log is still being filled, and waits, or that another took its place, and says so.
CREATE TABLE storyline.log_moves (
    from_log_id text PRIMARY KEY,
    to_log_id text NOT NULL UNIQUE,
    begun_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    switched_at timestamptz,
    finished_at timestamptz
);
