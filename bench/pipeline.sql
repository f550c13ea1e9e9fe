-- What do the peers of the pipeline do in Postgres?

-- name: bare_tables
-- The timeline's own indexed table and a place for offsets, in a schema of the bare pipe.
CREATE SCHEMA bare;
CREATE TABLE bare.events (LIKE timeline.events INCLUDING ALL);
CREATE TABLE bare.positions (log_partition integer PRIMARY KEY, next_offset bigint NOT NULL);

-- name: copy_bare
-- The same rows in the same format as they are staged, straight into the indexed table.
COPY bare.events (
    name, evidence, happened_at, recorded_at, future, touch, digest, log_partition, log_offset, type, channel,
    direction, record
) FROM STDIN (FORMAT BINARY);

-- name: offsets
-- The offsets, in the transaction of the rows.
INSERT INTO bare.positions SELECT * FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[])
ON CONFLICT (log_partition) DO UPDATE SET next_offset = excluded.next_offset;

-- name: row
-- One row at a time.
INSERT INTO bare.events (
    name, evidence, happened_at, recorded_at, future, touch, digest, log_partition, log_offset, type, channel,
    direction, record
) VALUES (%s, %s, %s, %s, %s, true, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO NOTHING;

-- name: empty_bare
-- Start a run afresh.
TRUNCATE bare.events, bare.positions;

-- name: empty_live
-- Start a run afresh.
TRUNCATE timeline.events, timeline.refs, timeline.about, timeline.parties, timeline.corrected,
    identity.nodes, identity.evidences, identity.members, identity.stars, identity.loose, identity.rulings,
    identity.disputes, customers.contacts, customers.trades, customers.trade_sums, customers.consents,
    customers.answers,
    directory.identifiers, directory.claims, directory.terms, directory.codes, work.steps, work.items, work.deals,
    work.tickets, work.tasks, work.leads, work.notices, figures.lines, figures.scores, figures.moods, figures.mentions,
    figures.things, figures.touched, segments.subjects, segments.memberships, storyline.positions;

-- name: checkpoint
-- No run pays for what another has written.
CHECKPOINT;

-- name: analyze
-- What autovacuum would have learnt by then.
ANALYZE timeline.events, timeline.refs, identity.nodes, identity.evidences, identity.members, customers.contacts,
    customers.trades, directory.identifiers, directory.terms, directory.codes;
