-- How do the tables of a million customers come about, and what does the benchmark of search ask Postgres? They are
-- filled straight by SQL: what is measured is reading.

-- name: people
-- Who there is. A few names are common, most are rare, as on any list of customers.
CREATE UNLOGGED TABLE people AS
WITH drawn AS (
    SELECT number, power(random(), 3) AS given_at, power(random(), 2) AS family_at, random() < 0.4 AS common,
        random() AS first_at, random() AS second_at, random() AS third_at, random() AS host_at
    FROM generate_series(1, %(customers)s::integer) AS number
),
named AS (
    SELECT drawn.*, (%(given)s::text[])[1 + floor(given_at * cardinality(%(given)s::text[]))::integer] AS given_name,
        CASE WHEN common THEN (%(common)s::text[])[1 + floor(family_at * cardinality(%(common)s::text[]))::integer]
        ELSE (%(first)s::text[])[1 + floor(first_at * cardinality(%(first)s::text[]))::integer]
            || (%(second)s::text[])[1 + floor(second_at * cardinality(%(second)s::text[]))::integer]
            || (%(third)s::text[])[1 + floor(third_at * cardinality(%(third)s::text[]))::integer]
        END AS family_name
    FROM drawn
)
SELECT number, given_name, family_name, given_name || ' ' || family_name AS name,
    'c-' || (1000000 + number) AS customer_no,
    given_name || '.' || family_name || number %% 1000 || '@'
        || (%(hosts)s::text[])[1 + floor(host_at * cardinality(%(hosts)s::text[]))::integer] AS email,
    '44' || (7400000000 + number * 37 %% 500000000)::text AS phone,
    'o-' || (20000000 + number * 7 %% 10000000) AS order_no,
    md5('customer ' || number)::uuid AS customer,
    md5('evidence ' || number)::uuid AS evidence,
    md5('further ' || number)::uuid AS further
FROM named;

-- name: evidences
-- Everybody has an evidence with a number, an address and a phone, a third of them one more with address and cookie.
INSERT INTO identity.evidences (evidence, nodes, first_at, component, customer)
SELECT evidence, ARRAY[customer, md5('email ' || number)::uuid, md5('phone ' || number)::uuid], now(), customer, customer
FROM people
UNION ALL
SELECT further, ARRAY[md5('email ' || number)::uuid, md5('cookie ' || number)::uuid], now(), customer, customer
FROM people WHERE number %% 3 = 0;

-- name: nodes
-- The identifiers of all.
INSERT INTO identity.nodes (node, kind, namespace, priority, first_at, shared, strong, component, customer)
SELECT node, kind, '', place, now(), false, '{}', customer, customer
FROM people CROSS JOIN LATERAL (
    VALUES (customer, 'customer_no', 0), (md5('email ' || number)::uuid, 'email', 2),
        (md5('phone ' || number)::uuid, 'phone', 3), (md5('cookie ' || number)::uuid, 'cookie', 6)
) AS held (node, kind, place)
WHERE kind <> 'cookie' OR number %% 3 = 0;

-- name: identifiers
-- The identifiers by evidence, readable.
INSERT INTO directory.identifiers (evidence, node, kind, namespace, value)
SELECT evidence, customer, 'customer_no', '', customer_no FROM people
UNION ALL
SELECT evidence, md5('email ' || number)::uuid, 'email', '', email FROM people
UNION ALL
SELECT evidence, md5('phone ' || number)::uuid, 'phone', '', '+' || phone FROM people
UNION ALL
SELECT further, md5('email ' || number)::uuid, 'email', '', email FROM people WHERE number %% 3 = 0
UNION ALL
SELECT further, md5('cookie ' || number)::uuid, 'cookie', '', md5(email) FROM people WHERE number %% 3 = 0;

-- name: claims
-- A profile of each.
INSERT INTO directory.claims (name, place, evidence, happened_at, recorded_at, source, fields)
SELECT md5('profile ' || number)::uuid, 0, evidence, now() - number * interval '1 minute', now(), 'crm',
    jsonb_build_object('given_name', initcap(given_name), 'family_name', initcap(family_name),
        'address', jsonb_build_object('city', 'Leeds', 'country', 'GB'), 'language', 'en-GB')
FROM people;

-- name: terms
-- What a search looks through.
INSERT INTO directory.terms (evidence, kind, term)
SELECT evidence, kind, term
FROM people CROSS JOIN LATERAL (
    VALUES ('customer_no', customer_no), ('email', email), ('phone', phone), ('name', name),
        ('turned', family_name || ' ' || given_name)
) AS held (kind, term)
UNION ALL
SELECT further, 'email', email FROM people WHERE number %% 3 = 0;

-- name: words
-- The words of all names.
INSERT INTO directory.words (word)
SELECT given_name FROM people UNION SELECT family_name FROM people;

-- name: codes
-- An order of each.
INSERT INTO directory.codes (ref, kind, namespace, value, term)
SELECT md5('ref ' || order_no)::uuid, 'order', '', upper(order_no), order_no FROM people
ON CONFLICT DO NOTHING;

-- name: refs
-- Where its order stands on the timeline.
INSERT INTO timeline.refs (ref, happened_at, name)
SELECT md5('ref ' || order_no)::uuid, now() - number * interval '1 minute', md5('order ' || number)::uuid FROM people;

-- name: events
-- The event of the order, without its bytes: nothing here reads them.
INSERT INTO timeline.events (
    name, evidence, happened_at, recorded_at, future, digest, log_partition, log_offset, type, channel, direction, touch,
    record
)
SELECT md5('order ' || number)::uuid, evidence, now() - number * interval '1 minute', now(), false,
    md5('digest ' || number)::uuid, 0, number, 'purchase.made', 'web', 'in', true, '\x'
FROM people;

-- name: contacts
-- How often each was met, on two channels.
INSERT INTO customers.contacts (evidence, type, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, CASE channel WHEN 'email' THEN 'email.sent' ELSE 'page.viewed' END, channel, direction, 1 + number %% 20, now() - interval '900 days',
    now() - (number %% 900000) * interval '1 minute'
FROM people CROSS JOIN (VALUES ('email', 'out'), ('web', 'in')) AS on_channel (channel, direction);

-- name: trades
-- What each bought.
INSERT INTO customers.trades (
    name, evidence, happened_at, recorded_at, order_key, ref, refund, amount, currency, source, type, counts
)
SELECT md5('order ' || number)::uuid, evidence, now() - number * interval '1 minute', now(),
    md5('ref ' || order_no)::uuid, 'order:' || upper(order_no), false, number %% 500 + 0.99, 'GBP', 'shop',
    'purchase.made', true
FROM people;

-- name: settle
-- What autovacuum would have done by then, so that no run pays for it.
VACUUM ANALYZE;

-- name: checkpoint
-- No run pays for what another has written.
CHECKPOINT;

-- name: some
-- People to search for.
SELECT number, customer, name, given_name, family_name, email, phone, customer_no, order_no
FROM people WHERE number = ANY (%(numbers)s::integer[]);

-- name: bare_profile
-- The least that a profile reads: whose an id is, what is claimed of her, her identifiers, contacts and trades.
SELECT
    (SELECT jsonb_agg(fields) FROM directory.claims WHERE evidence = ANY (hers.evidences)),
    (SELECT array_agg(DISTINCT value) FROM directory.identifiers WHERE evidence = ANY (hers.evidences)),
    (SELECT sum(touchpoints) FROM customers.contacts WHERE evidence = ANY (hers.evidences)),
    (SELECT sum(amount) FROM customers.trades WHERE evidence = ANY (hers.evidences))
FROM (
    SELECT ARRAY(SELECT evidence FROM identity.evidences WHERE evidences.customer = nodes.customer) AS evidences
    FROM identity.nodes WHERE nodes.node = %(node)s
) AS hers;
