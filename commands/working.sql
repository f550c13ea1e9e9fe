-- Which questions do commands ask the durable tables, and what do they change beside the events that they save?

-- name: answered
-- What was answered under an idempotency key, and what it was asked for with.
SELECT request, answer, at FROM storyline.idempotency WHERE scope = %(scope)s AND key = %(key)s;

-- name: notifications
-- The notifications of events, by aggregate and version.
SELECT e.originator_id, e.originator_version, e.notification_id FROM eventstore.events AS e
JOIN unnest(%(ids)s::uuid[], %(versions)s::bigint[]) AS asked (id, version)
    ON e.originator_id = asked.id AND e.originator_version = asked.version;

-- name: keep
-- An answer under its key, in the transaction that saves the events. Of two at once the second waits, and then breaks here.
INSERT INTO storyline.idempotency (scope, key, request, answer, at)
VALUES (%(scope)s, %(key)s, %(request)s, %(answer)s, %(at)s);

-- name: begin_note
-- A note's key, before the note is published: what is sent again is then the same event, at the same time.
INSERT INTO storyline.idempotency (scope, key, request, answer, at)
VALUES (%(scope)s, %(key)s, %(request)s, %(answer)s, %(at)s)
ON CONFLICT (scope, key) DO NOTHING;

-- name: end_note
-- Where the note came to stand.
UPDATE storyline.idempotency SET answer = %(answer)s WHERE scope = %(scope)s AND key = %(key)s;

-- name: people
-- Those of these codes who work here, with their teams and roles.
SELECT code, teams, roles FROM storyline.people WHERE code = ANY(%(codes)s);

-- name: members
-- Who is in a team.
SELECT code FROM storyline.people WHERE %(team)s = ANY(teams) ORDER BY code;

-- name: colleagues
-- Those who work here, in order of their codes, behind one of them.
SELECT code FROM storyline.people WHERE code > %(after)s ORDER BY code LIMIT %(limit)s;

-- name: everybody
-- All who work here.
SELECT code FROM storyline.people ORDER BY code;

-- name: loads
-- How many open items of a kind each colleague has.
SELECT assignee, count(*) FROM storyline.owned
WHERE assignee IS NOT NULL AND kind = %(kind)s AND open
GROUP BY assignee;

-- name: turns
-- Whose turn it is, by rule.
SELECT rule, turn FROM storyline.turns;

-- name: turn
-- Turns were taken, with what was given in them.
INSERT INTO storyline.turns (rule, turn) VALUES (%(rule)s, %(taken)s)
ON CONFLICT (rule) DO UPDATE SET turn = turns.turn + %(taken)s;

-- name: hold_share
-- Nobody else gives out by rule what is of this kind, until this session lets go.
SELECT pg_advisory_lock(hashtextextended('share:' || %(kind)s, 7053081041));

-- name: free_share
-- Let the next one give out.
SELECT pg_advisory_unlock(hashtextextended('share:' || %(kind)s, 7053081041));

-- name: leaving
-- Is one of these colleagues leaving just now? Whoever gives them something waits without holding anything. This spares a
-- leave from trying again and again; that nothing stays with who left rests on the reference from `owned` to `people`.
SELECT bool_or(NOT pg_try_advisory_xact_lock_shared(hashtextextended('leave:' || code, 7053081042)))
FROM unnest(%(codes)s::text[]) AS given (code);

-- name: hold_leave
-- This colleague is leaving, until this session lets go.
SELECT pg_advisory_lock(hashtextextended('leave:' || %(code)s, 7053081042));

-- name: free_leave
-- Let those who wait go on.
SELECT pg_advisory_unlock(hashtextextended('leave:' || %(code)s, 7053081042));

-- name: own
-- Who has what after this, in order of the items, so that two of these never wait for each other. What is closed is
-- nobody's to do any more.
INSERT INTO storyline.owned (item, kind, assignee, team, open)
SELECT o.item, o.kind, CASE WHEN o.open THEN o.assignee END, o.team, o.open
FROM unnest(%(items)s::uuid[], %(kinds)s::text[], %(assignees)s::text[], %(teams)s::text[], %(opens)s::boolean[])
    AS o (item, kind, assignee, team, open)
ORDER BY o.item
ON CONFLICT (item) DO UPDATE SET assignee = excluded.assignee, team = excluded.team, open = excluded.open
WHERE (owned.assignee, owned.team, owned.open) IS DISTINCT FROM (excluded.assignee, excluded.team, excluded.open);

-- name: owned_by
-- What a colleague has, open.
SELECT kind, item FROM storyline.owned WHERE assignee = %(code)s ORDER BY kind, item;

-- name: join
-- A colleague works here from now on.
INSERT INTO storyline.people (code, person, teams, roles)
VALUES (%(code)s, %(person)s, %(teams)s, %(roles)s)
ON CONFLICT (code) DO UPDATE SET teams = excluded.teams, roles = excluded.roles;

-- name: leave
-- A colleague works here no more. Refused while anything is theirs.
DELETE FROM storyline.people WHERE code = %(code)s;

-- name: lock_out
-- The keys of a colleague who leaves are of no use from now on.
UPDATE storyline.api_keys SET revoked_at = %(at)s WHERE user_code = %(code)s AND revoked_at IS NULL;

-- name: seen_at
-- Up to where a colleague has seen what they were told.
SELECT seen_at FROM storyline.notices_seen WHERE user_code = %(code)s;

-- name: seen
-- A colleague has seen what they were told, up to here; never less than before.
INSERT INTO storyline.notices_seen (user_code, seen_at) VALUES (%(code)s, %(at)s)
ON CONFLICT (user_code) DO UPDATE SET seen_at = greatest(notices_seen.seen_at, excluded.seen_at)
RETURNING seen_at;

-- name: relayed
-- Where notifications came to stand on the log: of each partition the last position.
SELECT log_partition, max(log_offset) FROM storyline.relayed
WHERE notification = ANY(%(notifications)s) GROUP BY log_partition;

-- name: relay
-- How far the relay is, and whether one is at work.
SELECT notification, holder IS NOT NULL AND seen_at > clock_timestamp() - interval '15 seconds' FROM storyline.relay;
