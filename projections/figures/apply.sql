-- How do rows come into the tables of `figures`? Those of new events by COPY; what has to be made anew is taken away first
-- (see projections/settling.py).

-- name: copy_lines
-- Lines of new events.
COPY lines FROM STDIN (FORMAT BINARY);

-- name: copy_scores
-- Scores of new events.
COPY scores FROM STDIN (FORMAT BINARY);

-- name: copy_moods
-- What new enrichments say.
COPY moods FROM STDIN (FORMAT BINARY);

-- name: copy_mentions
-- Products that new events speak of.
COPY mentions FROM STDIN (FORMAT BINARY);

-- name: copy_things
-- What new events say of products and campaigns.
COPY things FROM STDIN (FORMAT BINARY);

-- name: touch
-- Quarters of an hour whose sums are to be made anew.
INSERT INTO touched (quarters) VALUES (%(quarters)s::timestamptz[]);

-- name: touch_buyers
-- Of these evidences, customers and orders it is to be found out anew what was bought.
INSERT INTO touched_buyers (evidences, customers, orders, voices)
VALUES (%(evidences)s::uuid[], %(customers)s::uuid[], %(orders)s::uuid[], '{}');

-- name: touch_voices
-- Of these evidences, who answered a campaign or spoke of a product, it is to be found out anew what they bought after that.
INSERT INTO touched_buyers (evidences, customers, orders, voices) VALUES ('{}', '{}', '{}', %(voices)s::uuid[]);

-- name: give_up_buyers
-- No sums of what was bought are to be trusted, nor those that are being made.
WITH being_made AS (DELETE FROM buyers_filling)
DELETE FROM buyers_kept;

-- name: order_times
-- When trades happened of orders of which several trades tell, or of which something was taken away.
SELECT happened_at FROM (
    SELECT happened_at, order_key, count(*) OVER (PARTITION BY order_key) AS trades
    FROM trades WHERE order_key = ANY (%(orders)s::uuid[])
) AS told
WHERE trades > 1 OR order_key = ANY (%(settled)s::uuid[]);

-- name: forget_lines
-- What these events said.
DELETE FROM lines WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_scores
-- What these events said.
DELETE FROM scores WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_moods
-- What these events said.
WITH gone AS (
    DELETE FROM moods WHERE name = ANY (%(names)s::uuid[]) RETURNING target
)
INSERT INTO touched (quarters)
SELECT array_agg(DISTINCT date_bin('15 minutes', e.happened_at, '2000-01-01 00:00+00'))
FROM gone JOIN events AS e ON e.name = gone.target
HAVING count(*) > 0;

-- name: forget_mentions
-- What these events said.
DELETE FROM mentions WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_things
-- What these events said; of products it may have been the category of lines that say none themselves.
WITH gone AS (
    DELETE FROM things WHERE name = ANY (%(names)s::uuid[]) RETURNING kind, ref
)
INSERT INTO touched (quarters)
SELECT array_agg(DISTINCT date_bin('15 minutes', l.happened_at, '2000-01-01 00:00+00'))
FROM gone JOIN lines AS l ON l.product = gone.ref
WHERE gone.kind = 'product' AND l.category IS NULL
HAVING count(*) > 0;

-- name: touch_moods
-- Of these texts, whose mood is told anew, the sums are to be made anew.
INSERT INTO touched (quarters)
SELECT array_agg(DISTINCT date_bin('15 minutes', happened_at, '2000-01-01 00:00+00'))
FROM events WHERE name = ANY (%(targets)s::uuid[])
HAVING count(*) > 0;

-- name: touch_categories
-- Of products that these events describe, the sums of lines that say no category themselves are to be made anew.
INSERT INTO touched (quarters)
SELECT array_agg(DISTINCT date_bin('15 minutes', l.happened_at, '2000-01-01 00:00+00'))
FROM things AS t JOIN lines AS l ON l.product = t.ref
WHERE t.name = ANY (%(names)s::uuid[]) AND t.kind = 'product' AND l.category IS NULL
HAVING count(*) > 0;
