-- Which campaign brought which sales? Counted purchases, shared out among the campaigns that their customers answered
-- before; in the way of domain/attribution.py, to the last digit.

-- name: shared
-- Each counted purchase of the period with each answer of the same customer within `days` before it: what part of the
-- amount falls to it. `units`: the amount in hundredths, or in its own last digit; `left`: units that nobody has yet.
WITH answered AS (
    SELECT whose.customer, a.name, a.happened_at, substr(a.campaign, strpos(a.campaign, ':') + 1) AS campaign, a.channel,
        floor(extract(epoch FROM a.happened_at)::float8 / (%(days)s * 86400.0)) AS span
    FROM customers.answers AS a JOIN identity.evidences AS whose ON whose.evidence = a.evidence
    WHERE a.happened_at > %(start)s - make_interval(days => %(days)s) AND a.happened_at < %(end)s
        AND a.recorded_at <= %(recorded_by)s
),
bought AS (
    SELECT hers.customer, t.name, t.happened_at, t.amount, t.currency, greatest(2, scale(t.amount)) AS digits,
        floor(extract(epoch FROM t.happened_at)::float8 / (%(days)s * 86400.0)) AS span
    FROM customers.trades AS t JOIN identity.evidences AS hers ON hers.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND t.happened_at >= %(start)s AND t.happened_at < %(end)s
        AND t.recorded_at <= %(recorded_by)s
),
paths AS ( -- what lies within so many days lies in the same span of so many days, or in the one before
    SELECT b.*, a.campaign, a.channel AS answered_on, trunc(b.amount * ('1e' || b.digits)::numeric) AS units,
        row_number() OVER (PARTITION BY b.name ORDER BY a.happened_at, a.name) AS place,
        count(*) OVER (PARTITION BY b.name) AS length,
        floor(extract(epoch FROM b.happened_at - a.happened_at) / 86400)::integer AS age
    FROM (SELECT answered.*, span + later AS reached FROM answered, (VALUES (0), (1)) AS v (later)) AS a
    JOIN bought AS b ON a.customer = b.customer AND a.reached = b.span
        AND a.happened_at <= b.happened_at AND a.happened_at > b.happened_at - make_interval(days => %(days)s)
),
weighed AS (
    SELECT paths.*, CASE %(model)s::text
        WHEN 'first' THEN (place = 1)::integer
        WHEN 'last' THEN (place = length)::integer
        WHEN 'linear' THEN 1
        WHEN 'position' THEN CASE WHEN place NOT IN (1, length) OR length < 3 THEN 1 ELSE 2 * (length - 2) END
        WHEN 'time_decay' THEN (%(decay)s::bigint[])[age + 1]
    END::numeric AS weight
    FROM paths
),
totalled AS (
    SELECT weighed.*, sum(weight) OVER (PARTITION BY name) AS total FROM weighed
),
parted AS (
    SELECT totalled.*, div(units * weight, total) AS part FROM totalled
),
placed AS (
    SELECT parted.*, units - sum(part) OVER (PARTITION BY name) AS left_over,
        row_number() OVER (PARTITION BY name ORDER BY units * weight - part * total DESC, place) AS turn
    FROM parted
),
shared AS (
    SELECT name, customer, happened_at, amount, currency, campaign, answered_on AS channel,
        (part + (turn <= left_over)::integer) * ('1e-' || digits)::numeric AS share
    FROM placed
)

-- name: attributed
-- All counted purchases of the period, by currency, and what of them falls to some campaign (`key` null, `whole`). And what
-- falls to each campaign or channel, by currency, with what a campaign cost in all by its latest descriptions.
{shared},
costs AS (
    SELECT ref,
        (array_agg(fields->>'cost' ORDER BY happened_at, name) FILTER (WHERE fields ? 'cost'))
            [count(*) FILTER (WHERE fields ? 'cost')]::numeric AS cost,
        (array_agg(fields->>'currency' ORDER BY happened_at, name) FILTER (WHERE fields ? 'currency'))
            [count(*) FILTER (WHERE fields ? 'currency')] AS currency
    FROM figures.things
    WHERE kind = 'campaign' AND recorded_at <= %(recorded_by)s AND happened_at < %(end)s
    GROUP BY ref
),
grouped AS MATERIALIZED (
    SELECT {key} AS key, currency, count(DISTINCT name) FILTER (WHERE share <> 0) AS purchases, sum(share) AS share
    FROM shared GROUP BY 1, 2
),
most AS (
    SELECT grouped.*, costs.cost
    FROM grouped LEFT JOIN costs ON %(by)s = 'campaign' AND costs.ref = grouped.key
        AND costs.currency = grouped.currency
    WHERE grouped.purchases > 0
    ORDER BY grouped.share DESC, grouped.key COLLATE "C", grouped.currency COLLATE "C"
    LIMIT %(most)s
)
SELECT true AS whole, NULL AS key, t.currency COLLATE "C" AS currency, count(*) AS purchases, sum(t.amount),
    coalesce((SELECT sum(share) FROM grouped WHERE grouped.currency = t.currency), 0) AS share, NULL::numeric
FROM customers.trades AS t
WHERE t.counts AND NOT t.refund AND t.happened_at >= %(start)s AND t.happened_at < %(end)s
    AND t.recorded_at <= %(recorded_by)s
GROUP BY t.currency
UNION ALL
SELECT false, key COLLATE "C", currency, purchases, NULL, share, cost FROM most
ORDER BY whole DESC, share DESC, key, currency;

-- name: purchases
-- The purchases behind what falls to a campaign or channel, the latest first.
{shared}
SELECT s.name, convert_from(e.record, 'UTF8')::jsonb->>'name', s.happened_at, s.amount, s.currency, s.share, s.customer
FROM (
    SELECT name, happened_at, amount, currency, customer, sum(share) AS share FROM shared
    WHERE {key} IS NOT DISTINCT FROM %(wanted)s
    GROUP BY 1, 2, 3, 4, 5
) AS s JOIN timeline.events AS e ON e.name = s.name
WHERE s.share <> 0 AND (s.happened_at, s.name) < (%(before_at)s, %(before_name)s)
ORDER BY s.happened_at DESC, s.name DESC
LIMIT %(limit)s;
