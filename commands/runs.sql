-- What is each rule of automation to do, and what did it do? One row for each rule and event.

-- name: begin_at_the_end
-- The first time of all automation begins where the log ends; later, on another log, it goes through all of it, and finds
-- what it has done already.
INSERT INTO storyline.positions (consumer, log_id, log_partition, next_offset)
SELECT 'automation', %(log_id)s, place.log_partition, place.next_offset
FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS place (log_partition, next_offset)
WHERE NOT EXISTS (SELECT FROM storyline.positions WHERE consumer = 'automation')
ON CONFLICT DO NOTHING;

-- name: begin_rules
-- Rules hold from now on, unless they did before.
INSERT INTO storyline.automation_rules (rule, hash, since)
SELECT told.rule, told.hash, %(now)s FROM unnest(%(rules)s::text[], %(hashes)s::text[]) AS told (rule, hash)
ON CONFLICT DO NOTHING;

-- name: rules
-- Since when each of these rules holds.
SELECT r.rule, r.since
FROM storyline.automation_rules AS r
JOIN unnest(%(rules)s::text[], %(hashes)s::text[]) AS told (rule, hash) USING (rule, hash);

-- name: add
-- What rules are to do about events; once for each.
INSERT INTO storyline.automation_runs (rule, event, at, depth, again_at)
SELECT run.rule, run.event, run.at, run.depth, run.at
FROM unnest(%(rules)s::text[], %(events)s::text[], %(moments)s::timestamptz[], %(depths)s::integer[])
    AS run (rule, event, at, depth)
ORDER BY run.rule, run.event
ON CONFLICT (rule, event) DO NOTHING;

-- name: depth
-- How deep is the chain that led to a revision of an item? By the key under which a rule made it.
SELECT r.depth
FROM storyline.idempotency AS i
JOIN storyline.automation_runs AS r
    ON r.rule = split_part(i.key, ' ', 1) AND r.event = split_part(i.key, ' ', 2)
WHERE i.scope = 'automation' AND i.answer #>> '{done,0,1}' = %(item)s
    AND (i.answer #>> '{done,0,2}')::bigint >= %(revision)s
ORDER BY (i.answer #>> '{done,0,2}')::bigint LIMIT 1;

-- name: next
-- The next one that is to be carried out, ours until the transaction ends.
SELECT rule, event, at, depth, tries FROM storyline.automation_runs
WHERE state = 'waiting' AND again_at <= %(now)s
ORDER BY again_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: settle
-- What became of it.
UPDATE storyline.automation_runs SET state = %(state)s, why = %(why)s, tries = tries + 1, done_at = %(now)s
WHERE rule = %(rule)s AND event = %(event)s;

-- name: again
-- It is tried again later.
UPDATE storyline.automation_runs SET again_at = %(again)s, why = %(why)s, tries = tries + %(counted)s
WHERE rule = %(rule)s AND event = %(event)s;

-- name: counts
-- How many runs there are in each state but those that are well and over, and since when the oldest waits.
SELECT state, count(*), min(again_at) FROM storyline.automation_runs
WHERE state IN ('waiting', 'failed') GROUP BY state;
