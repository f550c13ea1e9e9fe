-- What does the benchmark of commands ask?

-- name: visible
-- Whether a notification is on the log, and the live read models have passed it.
SELECT EXISTS (
    SELECT FROM storyline.relayed AS placed
    JOIN storyline.positions AS position
        ON position.log_partition = placed.log_partition AND position.next_offset > placed.log_offset
    WHERE placed.notification = %(notification)s AND position.consumer = 'live' AND position.log_id = %(log_id)s
);
