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

-- name: forget_lines
-- What these events said.
DELETE FROM lines WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_scores
-- What these events said.
DELETE FROM scores WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_moods
-- What these events said.
DELETE FROM moods WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_mentions
-- What these events said.
DELETE FROM mentions WHERE name = ANY (%(names)s::uuid[]);

-- name: forget_things
-- What these events said.
DELETE FROM things WHERE name = ANY (%(names)s::uuid[]);
