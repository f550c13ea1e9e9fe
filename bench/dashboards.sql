-- How do the tables of a company with millions of events come about, straight by SQL, and what is the least that a figure
-- could be asked for? They tell of the year before now.

-- name: customers
-- Who there is: an evidence with a number each.
INSERT INTO identity.evidences (evidence, nodes, first_at, component, customer)
SELECT md5('evidence ' || n)::uuid, ARRAY[md5('customer ' || n)::uuid], now() - interval '1 year',
    md5('customer ' || n)::uuid, md5('customer ' || n)::uuid
FROM generate_series(1, %(customers)s::integer) AS n;

-- name: nodes
-- The number of each.
INSERT INTO identity.nodes (node, kind, namespace, priority, first_at, shared, strong, component, customer)
SELECT md5('customer ' || n)::uuid, 'customer_no', '', 0, now() - interval '1 year', false, '{}',
    md5('customer ' || n)::uuid, md5('customer ' || n)::uuid
FROM generate_series(1, %(customers)s::integer) AS n;

-- name: drawn
-- What happened, to whom, when: few customers are busy. Of twenty events six are purchases.
CREATE UNLOGGED TABLE drawn AS
SELECT n, md5('event ' || n)::uuid AS name,
    md5('evidence ' || (1 + floor(power(random(), 2) * %(customers)s))::integer)::uuid AS evidence,
    date_trunc('second', now() - interval '365 days' * (1 - n::double precision / %(events)s)) AS happened_at,
    (ARRAY['purchase.made', 'purchase.made', 'purchase.made', 'purchase.made', 'purchase.made', 'purchase.made',
        'page.viewed', 'page.viewed', 'page.viewed', 'page.viewed', 'page.viewed', 'page.viewed', 'email.opened',
        'email.opened', 'email.received', 'chat.message_received', 'call.ended', 'cart.updated', 'cart.updated',
        'survey.answered'])[1 + n %% 20] AS type,
    (ARRAY['web', 'shop', 'phone', 'email', 'chat'])[1 + (n / 7) %% 5] AS channel,
    (ARRAY['GB', 'DE', 'FR', 'IE', 'US', 'PL', 'ES', 'IT'])[1 + (n / 11) %% 8] AS country,
    'PK-' || (1000 + (n::bigint * 7919) %% 2000) AS product,
    round((1 + random() * 200)::numeric, 2) AS amount
FROM generate_series(1, %(events)s::integer) AS n;

-- name: events
-- The timeline, without the bytes: no dashboard reads them.
INSERT INTO timeline.events (
    name, evidence, happened_at, recorded_at, future, touch, digest, log_partition, log_offset, type, channel, direction,
    record
)
SELECT name, evidence, happened_at, happened_at, false, true, name, 0, n, type, channel, 'in', '{}' FROM drawn;

-- name: trades
-- What was bought; one in forty was given back.
INSERT INTO customers.trades (
    name, evidence, happened_at, recorded_at, order_key, ref, refund, amount, currency, source, type, channel, country,
    actor, campaign, counts
)
SELECT name, evidence, happened_at, happened_at, name, 'order:' || n, n %% 40 = 0,
    CASE WHEN n %% 40 = 0 THEN -amount ELSE amount END, 'GBP', 'shop', type, channel, country, 'user:rep' || n %% 30,
    CASE WHEN n %% 3 = 0 THEN 'campaign:C' || n %% 20 END, true
FROM drawn WHERE type = 'purchase.made';

-- name: lines
-- A line of each.
INSERT INTO figures.lines (name, place, happened_at, product, category, quantity, amount, currency, refund)
SELECT name, 0, happened_at, product, NULL, 1 + n %% 4, CASE WHEN n %% 40 = 0 THEN -amount ELSE amount END, 'GBP',
    n %% 40 = 0
FROM drawn WHERE type = 'purchase.made';

-- name: things
-- What products and campaigns are.
INSERT INTO figures.things (name, kind, ref, happened_at, recorded_at, fields)
SELECT md5('product ' || n)::uuid, 'product', 'PK-' || (999 + n), now() - interval '1 year', now() - interval '1 year',
    jsonb_build_object('category', 'kind-' || n %% 25)
FROM generate_series(1, 2000) AS n
UNION ALL
SELECT md5('campaign ' || n)::uuid, 'campaign', 'C' || n, now() - interval '1 year', now() - interval '1 year',
    jsonb_build_object('cost', '1500.00', 'currency', 'GBP')
FROM generate_series(0, 19) AS n;

-- name: answers
-- Campaigns that were answered.
INSERT INTO customers.answers (name, evidence, happened_at, recorded_at, campaign, channel)
SELECT name, evidence, happened_at, happened_at, 'campaign:C' || n %% 20, channel FROM drawn
WHERE type = 'page.viewed' AND n %% 4 = 0;

-- name: contacts
-- How often each was met.
INSERT INTO customers.contacts (evidence, type, channel, direction, touchpoints, first_at, last_at)
SELECT evidence, type, channel, 'in', count(*), min(happened_at), max(happened_at) FROM drawn GROUP BY 1, 2, 3;

-- name: scores
-- What customers think, by three measures.
INSERT INTO figures.scores (
    name, evidence, happened_at, recorded_at, measure, score, best, code, product, channel, actor
)
SELECT name, evidence, happened_at, happened_at, (ARRAY['csat', 'nps', 'ces'])[1 + n / 20 %% 3],
    CASE n / 20 %% 3 WHEN 0 THEN 1 + n %% 5 WHEN 1 THEN n / 20 %% 11 ELSE 1 + n %% 7 END,
    CASE n / 20 %% 3 WHEN 0 THEN 5 WHEN 1 THEN 10 ELSE 7 END, 'after-sale', product, channel, 'user:rep' || n %% 30
FROM drawn WHERE type = 'survey.answered';

-- name: moods
-- The sentiment of what they write.
INSERT INTO figures.moods (name, target, happened_at, recorded_at, language, sentiment, topics, method)
SELECT md5('mood ' || n)::uuid, name, happened_at, happened_at, 'en', round((random() * 2 - 1)::numeric, 4), '{}',
    'vader-3.3.2'
FROM drawn WHERE type IN ('email.received', 'chat.message_received');

-- name: mentions
-- Which products they write of: some that are bought.
INSERT INTO figures.mentions (name, product, evidence, happened_at, recorded_at, type, channel, direction, category)
SELECT name, 'PK-' || (1000 + ((n::bigint + 8) * 7919) %% 2000), evidence, happened_at, happened_at, type, channel, 'in', NULL
FROM drawn WHERE type IN ('email.received', 'chat.message_received') AND n %% 3 = 0;

-- name: tickets
-- Tickets with what happened to each: opened, answered, resolved, some of them reopened and resolved again.
INSERT INTO work.steps (
    name, item, kind, type, happened_at, recorded_at, revision, evidence, ref, native, folds, source, actor, public
)
SELECT md5('step ' || n || ' ' || step)::uuid, md5('ticket ' || n)::uuid, 'ticket', type,
    at + length * (1 + n %% 17), at + length * (1 + n %% 17), 0, evidence, 'ticket:' || n, false, true, 'desk', NULL, public
FROM (SELECT n, evidence, happened_at AS at FROM drawn WHERE type = 'call.ended') AS of_calls
CROSS JOIN LATERAL (
    VALUES (1, 'ticket.opened', interval '0', jsonb_build_object('priority', 'p' || n / 20 %% 3, 'queue', 'q' || n / 20 %% 8,
        'team', 'team-' || n / 20 %% 6, 'channel', 'phone', 'category', 'c' || n / 20 %% 12, 'product', 'PK-' || 1000 + n %% 2000)),
        (2, 'ticket.commented', interval '10 minutes', '{"by": "company"}'::jsonb),
        (3, 'ticket.resolved', interval '5 hours', '{"state": "resolved"}'),
        (4, 'ticket.reopened', interval '9 hours', '{"state": "open"}'),
        (5, 'ticket.resolved', interval '12 hours', '{"state": "resolved"}')
) AS steps (step, type, length, public)
WHERE (step <= 3 OR n / 20 %% 10 = 0) AND at + length * (1 + n %% 17) < now();

-- name: deals
-- Deals with what happened to each: created, moved on, most of them won or lost.
INSERT INTO work.steps (
    name, item, kind, type, happened_at, recorded_at, revision, evidence, ref, native, folds, source, actor, public
)
SELECT md5('step ' || n || ' ' || step)::uuid, md5('deal ' || n)::uuid, 'deal', type,
    at + length * (1 + n %% 13), at + length * (1 + n %% 13), 0, evidence, 'deal:' || n, false, true, 'crm', NULL, public
FROM (SELECT n, evidence, happened_at AS at, amount FROM drawn WHERE type = 'chat.message_received' AND n %% 4 = 3) AS of_chats
CROSS JOIN LATERAL (
    VALUES (1, 'deal.created', interval '0', jsonb_build_object('pipeline', 'sales', 'stage', 'new', 'amount', amount * 100,
        'currency', 'GBP', 'assignee', 'rep' || n %% 30, 'team', 'team-' || n / 20 %% 6, 'origin', 'o' || n / 20 %% 5)),
        (2, 'deal.stage_changed', interval '1 day', '{"stage": "proposal"}'::jsonb),
        (3, CASE WHEN n %% 3 = 0 THEN 'deal.lost' ELSE 'deal.won' END, interval '3 days',
            jsonb_build_object('reason', 'r' || n %% 7))
) AS steps (step, type, length, public)
WHERE (step < 3 OR n / 20 %% 5 <> 0) AND at + length * (1 + n %% 13) < now();

-- name: items
-- Which of them are to be folded.
INSERT INTO work.items (item, kind) SELECT item, min(kind) FROM work.steps GROUP BY item;

-- name: unfolded
-- Some of them, by their ids.
SELECT item FROM work.items WHERE kind = %(kind)s AND item > %(after)s ORDER BY item LIMIT %(limit)s;

-- name: settle
-- What autovacuum would have done by then.
VACUUM ANALYZE;

-- name: bare_sales
-- Revenue by day of a year, out of the rows themselves.
SELECT (happened_at AT TIME ZONE 'Europe/London')::date, currency, sum(amount), count(*) FROM customers.trades
WHERE counts AND happened_at >= now() - interval '365 days'
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: bare_products
-- The products of a year that brought most, out of the rows themselves.
SELECT product, sum(amount) FROM figures.lines WHERE happened_at >= now() - interval '365 days'
GROUP BY product ORDER BY 2 DESC LIMIT 10;
