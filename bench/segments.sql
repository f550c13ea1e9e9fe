-- How does a benchmark define segments, fill a million customers, and see who came into a segment?

-- name: define
-- A dynamic segment whose rule serves; nobody is in it yet.
WITH made AS (
    INSERT INTO storyline.segments (code, kind, title, serving, announce)
    VALUES (%(code)s, 'dynamic', %(code)s, 1, false)
)
INSERT INTO storyline.segment_versions (segment, version, rule, text, hash, state, size)
VALUES (%(code)s, 1, %(rule)s, %(text)s, %(hash)s, 'serving', 0);

-- name: notice
-- Whoever keeps memberships looks again which segments there are.
UPDATE storyline.segment_state SET generation = generation + 1;

-- name: evidences
-- Customers who are there and quiet.
INSERT INTO identity.evidences (evidence, nodes, first_at, component, customer)
SELECT md5('evidence ' || number)::uuid, ARRAY[md5('customer ' || number)::uuid], now() - interval '2 years',
    md5('customer ' || number)::uuid, md5('customer ' || number)::uuid
FROM generate_series(1, %(customers)s::integer) AS number;

-- name: nodes
-- The number of each.
INSERT INTO identity.nodes (node, kind, namespace, priority, first_at, shared, strong, component, customer)
SELECT md5('customer ' || number)::uuid, 'customer_no', '', 0, now() - interval '2 years', false, '{}',
    md5('customer ' || number)::uuid, md5('customer ' || number)::uuid
FROM generate_series(1, %(customers)s::integer) AS number;

-- name: events
-- Each bought something within the last 300 days.
INSERT INTO timeline.events (
    name, evidence, happened_at, recorded_at, future, digest, log_partition, log_offset, type, channel, direction, touch,
    record
)
SELECT md5('order ' || number)::uuid, md5('evidence ' || number)::uuid, now() - number %% 432000 * interval '1 minute',
    now(), false, md5('digest ' || number)::uuid, 0, -number, 'purchase.made', 'web', 'in', true,
    convert_to(jsonb_build_object('v', 1, 'type', 'purchase.made', 'version', 1, 'public', jsonb_build_object(
        'amount', (number %% 500)::text || '.99', 'currency', 'GBP',
        'lines', jsonb_build_array(jsonb_build_object('product', 'PK-' || 100 + number %% 60, 'quantity', '1'))
    ))::text, 'UTF8')
FROM generate_series(1, %(customers)s::integer) AS number;

-- name: contacts
-- How often each was met.
INSERT INTO customers.contacts (evidence, type, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, type, channel, 'in', 1, happened_at, happened_at FROM timeline.events WHERE log_offset < 0;

-- name: trades
-- What each bought.
INSERT INTO customers.trades (
    name, evidence, happened_at, recorded_at, order_key, ref, refund, amount, currency, source, type, channel, counts
)
SELECT md5('order ' || number)::uuid, md5('evidence ' || number)::uuid, now() - number %% 432000 * interval '1 minute',
    now(), md5('ref ' || number)::uuid, 'order:' || number, false, number %% 500 + 0.99, 'GBP', 'shop', 'purchase.made',
    'web', true
FROM generate_series(1, %(customers)s::integer) AS number;

-- name: trade_sums
-- What that comes to.
INSERT INTO customers.trade_sums (evidence, currency, purchases, revenue, refunds, doubtful)
SELECT evidence, currency, count(*), sum(amount), 0, false FROM customers.trades
GROUP BY evidence, currency;

-- name: settle
-- What autovacuum would have done by then.
VACUUM ANALYZE;

-- name: changes
-- Who came into a segment or left it since, and as of when that was found out.
SELECT id, customer, entered FROM storyline.segment_changes WHERE segment = %(segment)s AND id > %(after)s ORDER BY id;

-- name: seen
-- Which of these events stand on the timeline.
SELECT name FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);

-- name: sizes
-- How many memberships there are.
SELECT count(*), count(DISTINCT segment) FROM segments.memberships;
