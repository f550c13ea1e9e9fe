-- How does selling go? What is open and likely to come in, what was won and lost, and how deals walk through the stages.

-- name: open
-- Open deals by pipeline, stage and currency: how many, their amounts, and those by their probability, else that of the
-- stage. `stages`, `of`, `probabilities`: the stages of the configuration, each of its pipeline.
SELECT coalesce(t.pipeline, %(unnamed)s) AS pipeline, t.stage, t.currency, count(*), coalesce(sum(t.amount), 0),
    round(coalesce(sum(t.amount * coalesce(t.probability, s.probability, 0) / 100), 0), 2)
FROM work.deals AS t
LEFT JOIN unnest(%(of)s::text[], %(stages)s::text[], %(probabilities)s::numeric[]) AS s (pipeline, stage, probability)
    ON s.pipeline = coalesce(t.pipeline, %(unnamed)s) AND s.stage = t.stage
WHERE t.status = 'open'
    AND (%(pipeline)s::text IS NULL OR coalesce(t.pipeline, %(unnamed)s) = %(pipeline)s)
    AND (%(assignee)s::text IS NULL OR t.assignee = %(assignee)s)
    AND (%(team)s::text IS NULL OR t.team = %(team)s)
    AND (%(origin)s::text IS NULL OR t.origin = %(origin)s)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT %(most)s;

-- name: forecast
-- The same by the month in which deals are expected to close; null for those that say none.
SELECT to_char(t.expected_close, 'YYYY-MM') AS month, t.currency, count(*), coalesce(sum(t.amount), 0),
    round(coalesce(sum(t.amount * coalesce(t.probability, s.probability, 0) / 100), 0), 2)
FROM work.deals AS t
LEFT JOIN unnest(%(of)s::text[], %(stages)s::text[], %(probabilities)s::numeric[]) AS s (pipeline, stage, probability)
    ON s.pipeline = coalesce(t.pipeline, %(unnamed)s) AND s.stage = t.stage
WHERE t.status = 'open'
    AND (%(pipeline)s::text IS NULL OR coalesce(t.pipeline, %(unnamed)s) = %(pipeline)s)
    AND (%(assignee)s::text IS NULL OR t.assignee = %(assignee)s)
    AND (%(team)s::text IS NULL OR t.team = %(team)s)
    AND (%(origin)s::text IS NULL OR t.origin = %(origin)s)
GROUP BY 1, 2
ORDER BY 1 NULLS LAST, 2
LIMIT %(most)s;

-- name: facts
-- Deals that were created, won or lost in the period. A deal that was reopened since is neither won nor lost.
WITH facts AS (
    SELECT item, ref, native, evidence, coalesce(pipeline, %(unnamed)s) AS pipeline, assignee, team,
        origin, reason, amount, currency, what, at,
        extract(epoch FROM closed_at - created_at)::float8 AS seconds
    FROM (
        SELECT deals.*, 'created' AS what, created_at AS at FROM work.deals
        UNION ALL
        SELECT deals.*, status, closed_at FROM work.deals WHERE status IN ('won', 'lost')
    ) AS fact
    WHERE at >= %(start)s AND at < %(end)s
        AND (%(pipeline)s::text IS NULL OR coalesce(pipeline, %(unnamed)s) = %(pipeline)s)
        AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR team = %(team)s)
        AND (%(origin)s::text IS NULL OR origin = %(origin)s)
)

-- name: series
-- How many, and how long the won ones took, of each group and of all of them (`whole`).
{facts}
SELECT grouping(key) = 1 AS whole, {label}, count(*) FILTER (WHERE what = 'created'),
    count(*) FILTER (WHERE what = 'won'), count(*) FILTER (WHERE what = 'lost'),
    count(*) FILTER (WHERE what = 'won'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'won'),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'won'),
    avg(seconds) FILTER (WHERE what = 'won')
FROM (SELECT what, seconds, {group} AS key FROM facts) AS keyed
GROUP BY GROUPING SETS ((key), ())
ORDER BY whole DESC, key NULLS LAST
LIMIT %(most)s;

-- name: sums
-- What they were worth, by currency: created, won, lost, and how many of the won ones say an amount.
{facts}
SELECT grouping(key) = 1 AS whole, {label}, currency, coalesce(sum(amount) FILTER (WHERE what = 'created'), 0),
    coalesce(sum(amount) FILTER (WHERE what = 'won'), 0), coalesce(sum(amount) FILTER (WHERE what = 'lost'), 0),
    count(amount) FILTER (WHERE what = 'won')
FROM (SELECT what, amount, currency, {group} AS key FROM facts) AS keyed
WHERE amount IS NOT NULL AND currency IS NOT NULL
GROUP BY GROUPING SETS ((key, currency), (currency))
ORDER BY whole DESC, key NULLS LAST, currency COLLATE "C"
LIMIT %(most)s;

-- name: reasons
-- Why deals were lost in the period, and what those were worth, by currency.
{facts}
SELECT reason, currency, count(*), coalesce(sum(amount), 0)
FROM facts WHERE what = 'lost'
GROUP BY reason, currency
ORDER BY count(*) DESC, reason COLLATE "C", currency COLLATE "C"
LIMIT %(most)s;

-- name: deals
-- The deals behind a figure, the latest first.
{facts}
SELECT keyed.item, keyed.ref, keyed.native, keyed.at, keyed.amount, keyed.currency, keyed.reason, whose.customer
FROM (SELECT facts.*, {key} AS key FROM facts) AS keyed
LEFT JOIN identity.evidences AS whose ON whose.evidence = keyed.evidence
WHERE keyed.what = %(what)s AND (NOT %(keyed)s OR keyed.key IS NOT DISTINCT FROM %(wanted)s)
    AND (keyed.at, keyed.item) < (%(before_at)s, %(before_name)s)
ORDER BY keyed.at DESC, keyed.item DESC
LIMIT %(limit)s;

-- name: stages
-- The stays of the chosen deals in their stages. Told of each stage (`what` false): stays that began in the period, those
-- that ended in it with how long they took, and of the deals that were closed in the period and had been in it, how many
-- were won, and how many lost. And (true) where deals went from each stage in the period. Deals that were closed before the
-- period and not changed since are none of these.
WITH stays AS (
    SELECT coalesce(pipeline, %(unnamed)s) COLLATE "C" AS pipeline, stage COLLATE "C" AS stage, went COLLATE "C" AS went,
        since, seconds, until >= %(start)s AND until < %(end)s AS left_it,
        CASE WHEN first AND closed_at >= %(start)s AND closed_at < %(end)s
            AND NOT coalesce(pipeline IS NULL AND %(unnamed)s = ANY (named), false) THEN ended END AS ended
    FROM work.deal_stays
    WHERE counts_until >= %(start)s AND created_at < %(end)s
        AND (%(pipeline)s::text IS NULL OR coalesce(of_pipeline, %(unnamed)s) = %(pipeline)s)
        AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR team = %(team)s)
        AND (%(origin)s::text IS NULL OR origin = %(origin)s)
),
of_each AS (
    SELECT pipeline, stage, count(*) FILTER (WHERE since >= %(start)s AND since < %(end)s) AS entered,
        count(*) FILTER (WHERE ended = 'won') AS won, count(*) FILTER (WHERE ended = 'lost') AS lost,
        count(*) FILTER (WHERE left_it) AS stayed, array_agg(seconds) FILTER (WHERE left_it) AS took
    FROM stays
    GROUP BY pipeline, stage
    HAVING bool_or(since < %(end)s)
    ORDER BY pipeline, stage
    LIMIT %(most)s
),
moves AS (
    SELECT pipeline, stage, went, count(*) AS deals FROM stays WHERE left_it
    GROUP BY pipeline, stage, went
    ORDER BY pipeline, stage, deals DESC, went
    LIMIT %(most)s
)
SELECT false AS what, pipeline, stage, NULL AS went, entered, won, lost, stayed AS deals, median, p90, mean
FROM of_each CROSS JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS p90, avg(seconds) AS mean
    FROM unnest(took) AS seconds
) AS times
UNION ALL
SELECT true, pipeline, stage, went, NULL, NULL, NULL, deals, NULL, NULL, NULL FROM moves
ORDER BY what, pipeline, stage, deals DESC, went;
