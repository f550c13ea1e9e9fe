-- Which campaign brought which sales? Counted purchases, shared out among the campaigns that their customers answered
-- before (see projections/figures/credits.sql, whose parts stand in braces).

-- name: grouped
-- What falls to each campaign or channel, by currency, out of the purchases of a period and the answers before.
grouped AS MATERIALIZED (
    SELECT {key} AS key, currency, count(DISTINCT name) FILTER (WHERE share <> 0) AS purchases, sum(share) AS share
    FROM shared GROUP BY 1, 2
)

-- name: turnover
-- All counted purchases of the period, by currency.
turnover AS (
    SELECT currency, count(*) AS purchases, sum(amount) AS amount FROM trades
    WHERE counts AND NOT refund AND happened_at >= %(start)s AND happened_at < %(end)s AND recorded_at <= %(recorded_by)s
    GROUP BY currency
)

-- name: turnover_summed
-- The same out of sums of sales, over pieces of their own.
turnover AS (
    SELECT currency, sum(purchases)::bigint AS purchases, sum(amount) AS amount FROM (
        SELECT t.currency, 1 AS purchases, t.amount
        FROM unnest(%(sold_levels)s::text[], %(sold_begins)s::timestamptz[], %(sold_untils)s::timestamptz[])
            AS p (level, start, until)
        JOIN trades AS t ON t.happened_at >= p.start AND t.happened_at < p.until
        WHERE p.level IS NULL AND t.counts AND NOT t.refund
        UNION ALL
        SELECT s.currency, s.purchases, s.revenue
        FROM unnest(%(sold_levels)s::text[], %(sold_begins)s::timestamptz[], %(sold_untils)s::timestamptz[])
            AS p (level, start, until)
        CROSS JOIN LATERAL (
            SELECT * FROM sales_sums AS s
            WHERE s.level = p.level::"char" AND s.dimension = '' AND s.at >= p.start AND s.at < p.until
            OFFSET 0
        ) AS s
        WHERE p.level IS NOT NULL
    ) AS part
    GROUP BY currency HAVING sum(purchases) > 0
)

-- name: attributed
-- All counted purchases of the period, by currency, and what of them falls to some campaign (`key` null, `whole`). And what
-- falls to each campaign or channel, by currency, with what a campaign cost in all by its latest descriptions.
WITH {stale}, {raw}, {grouped}, {turnover},
costs AS (
    SELECT ref,
        (array_agg(fields->>'cost' ORDER BY happened_at, name) FILTER (WHERE fields ? 'cost'))
            [count(*) FILTER (WHERE fields ? 'cost')]::numeric AS cost,
        (array_agg(fields->>'currency' ORDER BY happened_at, name) FILTER (WHERE fields ? 'currency'))
            [count(*) FILTER (WHERE fields ? 'currency')] AS currency
    FROM things
    WHERE kind = 'campaign' AND recorded_at <= %(recorded_by)s AND happened_at < %(end)s
    GROUP BY ref
),
most AS (
    SELECT grouped.*, costs.cost
    FROM grouped LEFT JOIN costs ON %(by)s = 'campaign' AND costs.ref = grouped.key
        AND costs.currency = grouped.currency
    WHERE grouped.purchases > 0
    ORDER BY grouped.share DESC, grouped.key COLLATE "C", grouped.currency COLLATE "C"
    LIMIT %(most)s
)
SELECT true AS whole, NULL AS key, t.currency COLLATE "C" AS currency, t.purchases, t.amount,
    coalesce((SELECT sum(share) FROM grouped WHERE grouped.currency = t.currency), 0) AS share, NULL::numeric
FROM turnover AS t
UNION ALL
SELECT false, key COLLATE "C", currency, purchases, NULL, share, cost FROM most
ORDER BY whole DESC, share DESC, key, currency;

-- name: purchases
-- The purchases behind what falls to a campaign or channel, the latest first.
WITH {raw}
SELECT s.name, convert_from(e.record, 'UTF8')::jsonb->>'name', s.happened_at, s.amount, s.currency, s.share, s.customer
FROM (
    SELECT name, happened_at, amount, currency, customer, sum(share) AS share FROM shared
    WHERE {key} IS NOT DISTINCT FROM %(wanted)s
    GROUP BY 1, 2, 3, 4, 5
) AS s JOIN events AS e ON e.name = s.name
WHERE s.share <> 0 AND (s.happened_at, s.name) < (%(before_at)s, %(before_name)s)
ORDER BY s.happened_at DESC, s.name DESC
LIMIT %(limit)s;
