-- How far has the relay come, who holds it, and what does it take to the log next?

-- name: lock_session
-- Held for as long as this session lives: whoever finds it free knows that we are gone.
SELECT pg_advisory_lock(%(session_key)s);

-- name: begin
-- The one row, where there is none yet.
INSERT INTO storyline.relay (log_id) VALUES (%(log_id)s) ON CONFLICT DO NOTHING;

-- name: take
-- Take the relay under a higher epoch where nobody has it, its holder's session is gone, or he was not seen for a
-- lease. Whoever had it is refused from now on, however late he wakes up.
UPDATE storyline.relay SET holder = %(holder)s, epoch = epoch + 1, seen_at = clock_timestamp()
WHERE holder IS NULL OR holder = %(holder)s
    OR seen_at < clock_timestamp() - make_interval(secs => %(lease)s)
    OR NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32) + objid::bigint
                = ('x' || left(replace(holder::text, '-', ''), 15))::bit(60)::bigint
    )
RETURNING log_id, notification, ends, epoch;

-- name: adopt
-- The history moved to another log; where on it ours stands nobody knows yet.
UPDATE storyline.relay SET log_id = %(log_id)s, ends = '{}' WHERE epoch = %(epoch)s;

-- name: beat
-- We are here; and what was appended so far is noted, so that nobody has to look before these ends.
UPDATE storyline.relay SET seen_at = clock_timestamp(), ends = %(ends)s
WHERE epoch = %(epoch)s RETURNING true;

-- name: keep
-- We are here.
UPDATE storyline.relay SET seen_at = clock_timestamp() WHERE epoch = %(epoch)s RETURNING true;

-- name: leave
-- Give it back, so that nobody has to wait for the lease.
UPDATE storyline.relay SET holder = NULL WHERE epoch = %(epoch)s;

-- name: next
-- What comes after a notification, cut off where it has more bytes than asked for (but at least one event). With a
-- position: what is on the log already, because a repair took it from there.
SELECT event.notification_id, event.state, noted.log_partition, noted.log_offset
FROM (
    SELECT notification_id, state,
        sum(octet_length(state)) OVER (ORDER BY notification_id) - octet_length(state) AS bytes_before
    FROM (
        SELECT notification_id, state FROM eventstore.events
        WHERE notification_id > %(after)s ORDER BY notification_id LIMIT %(limit)s
    ) AS following
) AS event
LEFT JOIN storyline.relayed AS noted ON noted.notification = event.notification_id
WHERE event.bytes_before < %(bytes)s
ORDER BY event.notification_id;

-- name: note
-- These are on the log: in one go the compare-and-set, and where each came to stand. Gives 1, or 0 where another has
-- taken the relay.
WITH moved AS (
    UPDATE storyline.relay
    SET notification = %(notification)s, ends = %(ends)s, seen_at = clock_timestamp()
    WHERE epoch = %(epoch)s AND notification = %(before)s
    RETURNING notification
),
noted AS (
    INSERT INTO storyline.relayed (notification, log_partition, log_offset)
    SELECT placed.notification, placed.partition, placed."offset"
    FROM unnest(%(notifications)s::bigint[], %(partitions)s::integer[], %(offsets)s::bigint[])
        AS placed (notification, partition, "offset"), moved
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM moved;

-- name: prune
-- Nobody waits any more for what was written so long ago.
DELETE FROM storyline.relayed WHERE notification <= %(notification)s - 100000;

-- name: known
-- Which of these events the store has.
SELECT asked.place, event.notification_id, event.state
FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[]) WITH ORDINALITY AS asked (id, version, place)
JOIN eventstore.events AS event ON (event.originator_id, event.originator_version) = (asked.id, asked.version);

-- name: status
-- All there is to say of the relay: log, the last notification on it and the last in the store, holder, since when he
-- was not seen, events set aside.
SELECT relay.log_id, relay.notification, (SELECT coalesce(max(notification_id), 0) FROM eventstore.events) AS last,
    (SELECT count(*) FROM eventstore.events WHERE notification_id > relay.notification) AS lag,
    relay.holder, extract(epoch FROM clock_timestamp() - relay.seen_at)::float8 AS unseen, relay.epoch,
    (SELECT count(*) FROM eventstore.set_aside) AS set_aside
FROM storyline.relay;

-- name: repair_begin
-- What the log holds of ours and the store does not, or has otherwise, while the log is read.
CREATE TEMPORARY TABLE lost (
    id uuid NOT NULL,
    version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    PRIMARY KEY (id, version)
);

-- name: repair_found
-- Note some of these. Of a record that is on the log twice the first counts.
INSERT INTO lost (id, version, topic, state, log_partition, log_offset)
SELECT id, version, topic, state, log_partition, log_offset
FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[], %(topics)s::text[], %(states)b::bytea[], %(partitions)s::integer[],
            %(offsets)s::bigint[]) AS found (id, version, topic, state, log_partition, log_offset)
ON CONFLICT DO NOTHING;

-- name: repair_lock
-- Nobody saves while the store is mended.
LOCK TABLE eventstore.events IN EXCLUSIVE MODE;

-- name: repair_conflicts
-- Events that the store made in the place of what the log holds, and what was built on them: all of an aggregate from
-- the first version on that the log has otherwise.
SELECT event.originator_id, event.originator_version, event.topic
FROM eventstore.events AS event
JOIN (
    SELECT lost.id, min(lost.version) AS version FROM lost
    JOIN eventstore.events AS other ON (other.originator_id, other.originator_version) = (lost.id, lost.version)
    GROUP BY lost.id
) AS first ON first.id = event.originator_id AND event.originator_version >= first.version
ORDER BY event.originator_id, event.originator_version;

-- name: repair_set_aside
-- Take those out, sealed as they are.
WITH taken AS (
    DELETE FROM eventstore.events AS event
    USING unnest(%(ids)s::uuid[], %(versions)s::bigint[]) AS chosen (id, version)
    WHERE (event.originator_id, event.originator_version) = (chosen.id, chosen.version)
    RETURNING event.originator_id, event.originator_version, event.topic, event.state
)
INSERT INTO eventstore.set_aside (originator_id, originator_version, topic, state)
SELECT originator_id, originator_version, topic, state FROM taken;

-- name: repair_snapshots
-- Snapshots of what has another history now.
DELETE FROM eventstore.snapshots AS snapshot USING lost
WHERE lost.id = snapshot.originator_id AND lost.version <= snapshot.originator_version;

-- name: repair_put_back
-- The records of the log as events of the store, as notifications of which the relay knows where they stand.
WITH put AS (
    INSERT INTO eventstore.events (originator_id, originator_version, topic, state)
    SELECT id, version, topic, state FROM lost ORDER BY log_partition, log_offset
    RETURNING notification_id, originator_id, originator_version
)
INSERT INTO storyline.relayed (notification, log_partition, log_offset)
SELECT put.notification_id, lost.log_partition, lost.log_offset
FROM put JOIN lost ON (lost.id, lost.version) = (put.originator_id, put.originator_version)
ON CONFLICT (notification) DO UPDATE
    SET log_partition = excluded.log_partition, log_offset = excluded.log_offset;

-- name: repair_holes
-- Aggregates that still lack a version, because the log does not have it either.
SELECT DISTINCT event.originator_id FROM eventstore.events AS event JOIN lost ON lost.id = event.originator_id
WHERE event.originator_version > 1 AND NOT EXISTS (
    SELECT FROM eventstore.events AS before
    WHERE before.originator_id = event.originator_id
        AND before.originator_version = event.originator_version - 1
);
