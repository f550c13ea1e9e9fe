-- What of the amount of each purchase falls to which answer before it, and what does that come to by time? In the way of
-- domain/attribution.py, to the last digit. Parts stand in braces; names of tables are bare, so that they are of the build that
-- stands first in the search path.

-- name: of_times
-- Answers and counted purchases of a period. `span`: what lies within so many days lies in the same span of so many days, or in
-- the one before.
answered AS (
    SELECT whose.customer, a.name, a.happened_at, substr(a.campaign, strpos(a.campaign, ':') + 1) AS campaign, a.channel,
        floor(extract(epoch FROM a.happened_at)::float8 / (%(days)s * 86400.0)) AS span
    FROM answers AS a JOIN evidences AS whose ON whose.evidence = a.evidence
    WHERE a.happened_at > %(start)s - make_interval(days => %(days)s) AND a.happened_at < %(end)s
        AND a.recorded_at <= %(recorded_by)s
),
bought AS (
    SELECT hers.customer, t.name, t.happened_at, t.amount, t.currency, greatest(2, scale(t.amount)) AS digits,
        floor(extract(epoch FROM t.happened_at)::float8 / (%(days)s * 86400.0)) AS span
    FROM trades AS t JOIN evidences AS hers ON hers.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND t.happened_at >= %(start)s AND t.happened_at < %(end)s
        AND t.recorded_at <= %(recorded_by)s
)

-- name: of_stale
-- The same of stale customers, one by one along the indexes.
homes AS MATERIALIZED (
    SELECT s.customer, e.evidence FROM stale AS s
    CROSS JOIN LATERAL (SELECT evidence FROM evidences AS e WHERE e.customer = s.customer OFFSET 0) AS e
),
answered AS (
    SELECT h.customer, a.name, a.happened_at, substr(a.campaign, strpos(a.campaign, ':') + 1) AS campaign, a.channel,
        floor(extract(epoch FROM a.happened_at)::float8 / (%(days)s * 86400.0)) AS span
    FROM homes AS h CROSS JOIN LATERAL (
        SELECT * FROM answers AS a
        WHERE a.evidence = h.evidence AND a.happened_at > %(start)s - make_interval(days => %(days)s)
            AND a.happened_at < %(end)s
        OFFSET 0
    ) AS a
),
bought AS (
    SELECT h.customer, t.name, t.happened_at, t.amount, t.currency, greatest(2, scale(t.amount)) AS digits,
        floor(extract(epoch FROM t.happened_at)::float8 / (%(days)s * 86400.0)) AS span
    FROM homes AS h CROSS JOIN LATERAL (
        SELECT * FROM trades AS t
        WHERE t.evidence = h.evidence AND t.counts AND NOT t.refund AND t.happened_at >= %(start)s
            AND t.happened_at < %(end)s
        OFFSET 0
    ) AS t
)

-- name: shared
-- Each of these purchases with each answer of the same customer within `days` before it: what part of the amount falls to it by
-- each of `models`. `units`: the amount in hundredths, or in its own last digit; `left_over`: units that nobody has yet. To
-- a single answer all of it falls.
paths AS (
    SELECT b.*, a.campaign, a.channel AS answered_on, trunc(b.amount * ('1e' || b.digits)::numeric) AS units,
        row_number() OVER (PARTITION BY b.name ORDER BY a.happened_at, a.name) AS place,
        count(*) OVER (PARTITION BY b.name) AS length,
        floor(extract(epoch FROM b.happened_at - a.happened_at) / 86400)::integer AS age
    FROM (SELECT answered.*, span + later AS reached FROM answered, (VALUES (0), (1)) AS v (later)) AS a
    JOIN bought AS b ON a.customer = b.customer AND a.reached = b.span
        AND a.happened_at <= b.happened_at AND a.happened_at > b.happened_at - make_interval(days => %(days)s)
),
weighed AS (
    SELECT paths.*, model, CASE model
        WHEN 'first' THEN (place = 1)::integer
        WHEN 'last' THEN (place = length)::integer
        WHEN 'linear' THEN 1
        WHEN 'position' THEN CASE WHEN place NOT IN (1, length) OR length < 3 THEN 1 ELSE 2 * (length - 2) END
        WHEN 'time_decay' THEN (%(decay)s::bigint[])[age + 1]
    END::numeric AS weight
    FROM paths CROSS JOIN unnest(%(models)s::text[]) AS model
    WHERE length > 1
),
totalled AS (
    SELECT weighed.*, sum(weight) OVER (PARTITION BY name, model) AS total FROM weighed
),
parted AS (
    SELECT totalled.*, div(units * weight, total) AS part FROM totalled
),
placed AS (
    SELECT parted.*, units - sum(part) OVER (PARTITION BY name, model) AS left_over,
        row_number() OVER (PARTITION BY name, model ORDER BY units * weight - part * total DESC, place) AS turn
    FROM parted
),
shared AS (
    SELECT name, customer, happened_at, amount, currency, campaign, answered_on AS channel, model,
        (part + (turn <= left_over)::integer) * ('1e-' || digits)::numeric AS share
    FROM placed
    UNION ALL
    SELECT name, customer, happened_at, amount, currency, campaign, answered_on, model, units * ('1e-' || digits)::numeric
    FROM paths CROSS JOIN unnest(%(models)s::text[]) AS model
    WHERE length = 1
)

-- name: made
-- What falls to each campaign and channel of each purchase, by every model.
made AS MATERIALIZED (
    SELECT customer, happened_at AS at, by, key, currency, coalesce(sum(share) FILTER (WHERE model = 'first'), 0) AS first,
        coalesce(sum(share) FILTER (WHERE model = 'last'), 0) AS last,
        coalesce(sum(share) FILTER (WHERE model = 'linear'), 0) AS linear,
        coalesce(sum(share) FILTER (WHERE model = 'position'), 0) AS position,
        coalesce(sum(share) FILTER (WHERE model = 'time_decay'), 0) AS time_decay
    FROM shared CROSS JOIN LATERAL (VALUES ('campaign', campaign), ('channel', channel)) AS k (by, key)
    WHERE share <> 0
    GROUP BY name, customer, happened_at, by, key, currency
)

-- name: make
-- What falls to whom of what these customers bought is noted as it is, and the sums are put right by what that changes.
WITH {stale}, {raw}, {made},
gone AS (
    DELETE FROM credits AS c USING stale WHERE c.customer = stale.customer RETURNING c.*
),
noted AS (
    INSERT INTO credits (customer, at, by, key, currency, first, last, linear, position, time_decay)
    SELECT customer, at, by, key, currency, first, last, linear, position, time_decay FROM made
),
told AS (
    SELECT 1 AS sign, made.* FROM made
    UNION ALL
    SELECT -1, gone.* FROM gone
)
INSERT INTO credit_sums AS s (level, model, by, at, key, currency, purchases, amount)
SELECT l.level, m.model, told.by, l.at, told.key, told.currency, sum(sign), sum(sign * m.share)
FROM told
CROSS JOIN LATERAL (
    VALUES ('d'::"char", date_trunc('day', told.at, 'UTC')), ('m', date_trunc('month', told.at, 'UTC'))
) AS l (level, at)
CROSS JOIN LATERAL (
    VALUES ('first', first), ('last', last), ('linear', linear), ('position', position), ('time_decay', time_decay)
) AS m (model, share)
WHERE m.share <> 0
GROUP BY 1, 2, 3, 4, 5, 6
HAVING sum(sign) <> 0 OR sum(sign * m.share) <> 0
ORDER BY 1, 2, 3, 4
{added}

-- name: added
-- To sums that are there.
ON CONFLICT (level, model, by, at, key, currency) DO UPDATE
SET purchases = s.purchases + excluded.purchases, amount = s.amount + excluded.amount

-- name: alone
-- There are none; and there is no key while all of them are made.

-- name: forget_empty
-- Sums of nothing any more.
DELETE FROM credit_sums WHERE purchases = 0;

-- name: empty
-- Nothing is noted.
WITH noted AS (DELETE FROM credits)
DELETE FROM credit_sums;

-- name: analyze
-- What the planner has to know of what was made all at once.
ANALYZE credits, credit_sums;

-- name: nothing
-- Of nobody nothing.
shared AS (
    SELECT NULL::uuid AS name, NULL::text AS campaign, NULL::text AS channel, NULL::text AS currency,
        NULL::numeric AS share
    WHERE false
)

-- name: grouped
-- What falls to whom by one model over the pieces of a period (see pieces.py): of sums where `levels` says one, else of what is
-- noted; but of stale customers what they bought, and not what is noted.
piece AS (
    SELECT * FROM unnest(%(levels)s::text[], %(begins)s::timestamptz[], %(untils)s::timestamptz[]) AS p (level, start, until)
),
part AS (
    SELECT s.key, s.currency, s.purchases, s.amount
    FROM piece AS p CROSS JOIN LATERAL ( -- piece by piece along the index, whatever the planner thinks of how many there are
        SELECT * FROM credit_sums AS s
        WHERE s.level = p.level::"char" AND s.model = %(model)s AND s.by = %(by)s AND s.at >= p.start AND s.at < p.until
        OFFSET 0
    ) AS s
    WHERE p.level IS NOT NULL
    UNION ALL
    SELECT c.key, c.currency, (c.{model} <> 0)::integer, c.{model}
    FROM piece AS p CROSS JOIN LATERAL (
        SELECT * FROM credits AS c WHERE c.by = %(by)s AND c.at >= p.start AND c.at < p.until
        OFFSET 0
    ) AS c
    WHERE p.level IS NULL
    UNION ALL
    SELECT c.key, c.currency, -(c.{model} <> 0)::integer, -c.{model}
    FROM stale AS s CROSS JOIN LATERAL (
        SELECT * FROM credits AS c
        WHERE c.customer = s.customer AND c.by = %(by)s AND c.at >= %(start)s AND c.at < %(end)s
        OFFSET 0
    ) AS c
    UNION ALL
    SELECT {key}, currency, count(DISTINCT name), sum(share) FROM shared WHERE share <> 0 GROUP BY 1, 2
),
grouped AS MATERIALIZED (
    SELECT key, currency, sum(purchases)::bigint AS purchases, sum(amount) AS share FROM part GROUP BY 1, 2
)
