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

-- name: chosen
-- The deals that are asked about, by what they are now.
(%(pipeline)s::text IS NULL OR coalesce(pipeline, %(unnamed)s) = %(pipeline)s)
    AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
    AND (%(team)s::text IS NULL OR team = %(team)s)
    AND (%(origin)s::text IS NULL OR origin = %(origin)s)

-- name: facts
-- Deals that were created, won or lost in the period. A deal that was reopened since is neither won nor lost.
WITH facts AS (
    SELECT item, ref, native, evidence, coalesce(pipeline, %(unnamed)s) AS pipeline, assignee, team, origin, reason,
        amount, currency, what, at, extract(epoch FROM closed_at - created_at)::float8 AS seconds
    FROM (
        SELECT deals.*, 'created' AS what, created_at AS at FROM work.deals
        UNION ALL
        SELECT deals.*, status, closed_at FROM work.deals WHERE status IN ('won', 'lost')
    ) AS each
    WHERE at >= %(start)s AND at < %(end)s
        AND {chosen}
)

-- name: by_column
-- The same, by a column.
{facts},
keyed AS (
    SELECT {group} AS key, what, amount, currency, seconds FROM facts
)

-- name: by_time
-- The same, in each of the ranges.
{ranges},
keyed AS (
    SELECT key, 'created' AS what, amount, currency, NULL::float8 AS seconds
    FROM ranges JOIN work.deals ON created_at >= lo AND created_at < hi
    WHERE {chosen}
    UNION ALL
    SELECT key, status, amount, currency, extract(epoch FROM closed_at - created_at)::float8
    FROM ranges JOIN work.deals ON closed_at >= lo AND closed_at < hi
    WHERE status IN ('won', 'lost') AND closed_at IS NOT NULL
        AND {chosen}
)

-- name: series
-- Of each group and of all of them (`whole`): how many there were, how long the won ones took, and, by currency, what they
-- were worth: created, won, lost, and how many of the won ones say an amount.
{keyed},
counted AS MATERIALIZED (
    SELECT key, what, currency, count(*) AS deals, count(amount) AS sized, sum(amount) AS amount,
        array_agg(seconds) FILTER (WHERE what = 'won') AS took
    FROM keyed
    GROUP BY key, what, currency
)
SELECT part, whole, {label}, currency, created, won, lost, sized, median, p90, mean
FROM (
    (
        SELECT 'deals' AS part, grouping(key) = 1 AS whole, key, NULL AS currency,
            coalesce(sum(deals) FILTER (WHERE what = 'created'), 0) AS created,
            coalesce(sum(deals) FILTER (WHERE what = 'won'), 0) AS won,
            coalesce(sum(deals) FILTER (WHERE what = 'lost'), 0) AS lost,
            NULL::bigint AS sized, NULL::float8 AS median, NULL::float8 AS p90, NULL::float8 AS mean
        FROM counted
        GROUP BY GROUPING SETS ((key), ())
        ORDER BY whole DESC, key NULLS LAST
        LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT 'took', grouping(key) = 1 AS whole, key, NULL, NULL, NULL, NULL, NULL,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
            percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds), avg(seconds)
        FROM (SELECT key, unnest(took) AS seconds FROM counted) AS each
        GROUP BY GROUPING SETS ((key), ())
        ORDER BY whole DESC, key NULLS LAST
        LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT 'worth', grouping(key) = 1 AS whole, key, currency,
            coalesce(sum(amount) FILTER (WHERE what = 'created'), 0),
            coalesce(sum(amount) FILTER (WHERE what = 'won'), 0),
            coalesce(sum(amount) FILTER (WHERE what = 'lost'), 0),
            coalesce(sum(sized) FILTER (WHERE what = 'won'), 0)::bigint, NULL, NULL, NULL
        FROM counted
        WHERE sized > 0 AND currency IS NOT NULL
        GROUP BY GROUPING SETS ((key, currency), (currency))
        ORDER BY whole DESC, key NULLS LAST, currency COLLATE "C"
        LIMIT %(most)s
    )
) AS told;

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
told AS (
    SELECT pipeline, stage, went, count(*) FILTER (WHERE left_it) AS deals,
        count(*) FILTER (WHERE since >= %(start)s AND since < %(end)s) AS entered,
        count(*) FILTER (WHERE ended = 'won') AS won, count(*) FILTER (WHERE ended = 'lost') AS lost,
        array_agg(seconds) FILTER (WHERE left_it) AS took, bool_or(since < %(end)s) AS before
    FROM stays
    GROUP BY pipeline, stage, went
),
of_each AS (
    SELECT pipeline, stage, sum(entered)::bigint AS entered, sum(won)::bigint AS won, sum(lost)::bigint AS lost,
        sum(deals)::bigint AS stayed
    FROM told
    GROUP BY pipeline, stage
    HAVING bool_or(before)
    ORDER BY pipeline, stage
    LIMIT %(most)s
),
times AS (
    SELECT pipeline, stage, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS p90, avg(seconds) AS mean
    FROM (SELECT pipeline, stage, took FROM told ORDER BY pipeline, stage) AS told CROSS JOIN LATERAL unnest(took) AS seconds
    GROUP BY pipeline, stage
),
moves AS (
    SELECT pipeline, stage, went, deals FROM told WHERE deals > 0
    ORDER BY pipeline, stage, deals DESC, went
    LIMIT %(most)s
)
SELECT false AS what, pipeline, stage, NULL AS went, entered, won, lost, stayed AS deals, median, p90, mean
FROM of_each LEFT JOIN times USING (pipeline, stage)
UNION ALL
SELECT true, pipeline, stage, went, NULL, NULL, NULL, deals, NULL, NULL, NULL FROM moves
ORDER BY what, pipeline, stage, deals DESC, went;
