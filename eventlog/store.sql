-- Which questions does the event store ask its database?

-- name: install_lock
-- Two processes that install at once do it one after the other. The number is ours, drawn once.
SELECT pg_advisory_lock(7316650264918236077);

-- name: begin
-- One statement at a time: they go to the server in one go, which takes no two as one.
BEGIN;

-- name: durable
-- Acknowledged is durable, whatever the server's default is.
SET LOCAL synchronous_commit = on;

-- name: lock
-- One writer at a time from here to the commit: so notification ids are given in the order of the commits, and whoever
-- has read up to one has missed none before it. Readers are not held up.
LOCK TABLE eventstore.events IN EXCLUSIVE MODE;

-- name: append
-- All events of a save; their notification ids in the same order.
INSERT INTO eventstore.events (originator_id, originator_version, topic, state)
SELECT id, version, topic, state
FROM unnest(%(ids)s::uuid[], %(versions)s::bigint[], %(topics)s::text[], %(states)b::bytea[])
    AS event (id, version, topic, state)
RETURNING notification_id;

-- name: commit
-- Goes to the server together with what stands before it, so that the lock is held for no round trip.
COMMIT;

-- name: events
-- Events of one aggregate, in order.
SELECT originator_id, originator_version, topic, state FROM eventstore.events
WHERE originator_id = %(id)s AND originator_version > %(after)s AND originator_version <= %(until)s
ORDER BY originator_version;

-- name: notification
-- The notification of one event.
SELECT notification_id FROM eventstore.events
WHERE originator_id = %(id)s AND originator_version = %(version)s;

-- name: notifications
-- The next notifications, in the order of the commits.
SELECT notification_id, originator_id, originator_version, topic, state FROM eventstore.events
WHERE notification_id > %(after)s
ORDER BY notification_id
LIMIT %(limit)s;

-- name: last_notification
-- The newest notification; 0 before the first.
SELECT coalesce(max(notification_id), 0) AS last FROM eventstore.events;

-- name: take_snapshot
-- A snapshot of an aggregate; of two at one version the first stays.
INSERT INTO eventstore.snapshots (originator_id, originator_version, topic, state)
VALUES (%(id)s, %(version)s, %(topic)s, %(state)s)
ON CONFLICT DO NOTHING;

-- name: snapshot
-- The newest snapshot of an aggregate.
SELECT originator_id, originator_version, topic, state FROM eventstore.snapshots
WHERE originator_id = %(id)s AND originator_version <= %(until)s
ORDER BY originator_version DESC LIMIT 1;

-- name: older_snapshots
-- All but the newest are of no use any more.
DELETE FROM eventstore.snapshots WHERE originator_id = %(id)s AND originator_version < %(version)s;
