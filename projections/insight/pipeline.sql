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
    SELECT t.item, t.ref, t.native, t.evidence, coalesce(t.pipeline, %(unnamed)s) AS pipeline, t.assignee, t.team,
        t.origin, t.reason, t.amount, t.currency, fact.what, fact.at,
        extract(epoch FROM t.closed_at - t.created_at) AS seconds
    FROM work.deals AS t CROSS JOIN LATERAL (VALUES
        ('created', t.created_at), ('won', CASE WHEN t.status = 'won' THEN t.closed_at END),
        ('lost', CASE WHEN t.status = 'lost' THEN t.closed_at END)
    ) AS fact (what, at)
    WHERE fact.at >= %(start)s AND fact.at < %(end)s
        AND (%(pipeline)s::text IS NULL OR coalesce(t.pipeline, %(unnamed)s) = %(pipeline)s)
        AND (%(assignee)s::text IS NULL OR t.assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR t.team = %(team)s)
        AND (%(origin)s::text IS NULL OR t.origin = %(origin)s)
)

-- name: series
-- How many, and how long the won ones took, of each group and of all of them (`whole`).
{facts}
SELECT grouping(key) = 1 AS whole, key, count(*) FILTER (WHERE what = 'created'),
    count(*) FILTER (WHERE what = 'won'), count(*) FILTER (WHERE what = 'lost'),
    count(*) FILTER (WHERE what = 'won'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'won'),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'won'),
    (avg(seconds) FILTER (WHERE what = 'won'))::float8
FROM (SELECT facts.*, {key} AS key FROM facts) AS keyed
GROUP BY GROUPING SETS ((key), ())
ORDER BY whole DESC, key COLLATE "C" NULLS LAST
LIMIT %(most)s;

-- name: sums
-- What they were worth, by currency: created, won, lost, and how many of the won ones say an amount.
{facts}
SELECT grouping(key) = 1 AS whole, key, currency, coalesce(sum(amount) FILTER (WHERE what = 'created'), 0),
    coalesce(sum(amount) FILTER (WHERE what = 'won'), 0), coalesce(sum(amount) FILTER (WHERE what = 'lost'), 0),
    count(amount) FILTER (WHERE what = 'won')
FROM (SELECT facts.*, {key} AS key FROM facts) AS keyed
WHERE amount IS NOT NULL AND currency IS NOT NULL
GROUP BY GROUPING SETS ((key, currency), (currency))
ORDER BY whole DESC, key COLLATE "C" NULLS LAST, currency COLLATE "C"
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

-- name: stays
-- The stays of the chosen deals in their stages, as domain/deal_state.py tells them: a stay begins when an open deal comes
-- to another stage or pipeline or is taken up again, and ends with the next such change, or when the deal is won or lost.
-- `went`: where it went then.
WITH chosen AS (
    SELECT item FROM work.deals AS t
    WHERE created_at < %(end)s AND (status = 'open' OR changed_at >= %(start)s)
        AND (%(pipeline)s::text IS NULL OR coalesce(t.pipeline, %(unnamed)s) = %(pipeline)s)
        AND (%(assignee)s::text IS NULL OR t.assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR t.team = %(team)s)
        AND (%(origin)s::text IS NULL OR t.origin = %(origin)s)
),
walk AS (
    SELECT s.item, s.revision, s.happened_at, s.name, s.type, s.public,
        count(*) FILTER (WHERE public ? 'pipeline') OVER place AS pipelines,
        count(*) FILTER (WHERE public ? 'stage') OVER place AS stages,
        count(*) FILTER (WHERE type IN ('deal.won', 'deal.lost', 'deal.reopened')) OVER place AS ends
    FROM chosen JOIN work.steps AS s USING (item)
    WHERE s.folds
    WINDOW place AS (PARTITION BY s.item ORDER BY s.revision, s.happened_at, s.name)
),
held AS (
    SELECT item, revision, happened_at, name,
        first_value(public->>'pipeline') OVER (PARTITION BY item, pipelines ORDER BY revision, happened_at, name)
            AS pipeline,
        first_value(public->>'stage') OVER (PARTITION BY item, stages ORDER BY revision, happened_at, name) AS stage,
        CASE first_value(type) OVER (PARTITION BY item, ends ORDER BY revision, happened_at, name)
            WHEN 'deal.won' THEN 'won' WHEN 'deal.lost' THEN 'lost' ELSE 'open' END AS status
    FROM walk
),
compared AS (
    SELECT held.*, lag(pipeline) OVER place AS pipeline_before, lag(stage) OVER place AS stage_before,
        lag(status, 1, 'open') OVER place AS status_before
    FROM held
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
),
changes AS (
    SELECT item, coalesce(pipeline, %(unnamed)s) AS pipeline, stage, status, happened_at AS since,
        lead(happened_at) OVER place AS until,
        CASE WHEN lead(status) OVER place <> 'open' THEN lead(status) OVER place ELSE lead(stage) OVER place END
            AS went
    FROM compared
    WHERE pipeline IS DISTINCT FROM pipeline_before OR stage IS DISTINCT FROM stage_before
        OR status <> status_before
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
),
stays AS (
    SELECT changes.*, greatest(0, extract(epoch FROM until - since)) AS seconds FROM changes
    WHERE status = 'open' AND stage IS NOT NULL
)

-- name: stages
-- Of each stage: stays that began in the period, and those that ended in it with how long they took; and of the deals
-- that were closed in the period and had been in it, how many were won, and how many lost.
{stays},
closed AS (
    SELECT been.pipeline, been.stage, count(*) FILTER (WHERE d.status = 'won') AS won,
        count(*) FILTER (WHERE d.status = 'lost') AS lost
    FROM (SELECT DISTINCT item, pipeline, stage FROM stays) AS been JOIN work.deals AS d USING (item)
    WHERE d.status <> 'open' AND d.closed_at >= %(start)s AND d.closed_at < %(end)s
    GROUP BY been.pipeline, been.stage
)
SELECT pipeline, stage, count(*) FILTER (WHERE since >= %(start)s AND since < %(end)s),
    coalesce(min(closed.won), 0), coalesce(min(closed.lost), 0),
    count(*) FILTER (WHERE until >= %(start)s AND until < %(end)s),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE until >= %(start)s AND until < %(end)s),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE until >= %(start)s AND until < %(end)s),
    (avg(seconds) FILTER (WHERE until >= %(start)s AND until < %(end)s))::float8
FROM stays LEFT JOIN closed USING (pipeline, stage)
WHERE since < %(end)s
GROUP BY pipeline, stage
ORDER BY pipeline COLLATE "C", stage COLLATE "C"
LIMIT %(most)s;

-- name: moves
-- Where deals went from each stage in the period.
{stays}
SELECT pipeline, stage, went, count(*) FROM stays
WHERE until >= %(start)s AND until < %(end)s
GROUP BY pipeline, stage, went
ORDER BY pipeline COLLATE "C", stage COLLATE "C", count(*) DESC, went COLLATE "C"
LIMIT %(most)s;
