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
        extract(epoch FROM t.closed_at - t.created_at)::float8 AS seconds
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
-- The stays of the chosen deals in their stages, as domain/deal_state.py tells them: a stay begins when an open deal comes
-- to another stage or pipeline or is taken up again, and ends with the next such change, or when the deal is won or lost;
-- `went`: where it went then. Told of each stage (`what` false): stays that began in the period, those that ended in it
-- with how long they took, and of the deals that were closed in the period and had been in it, how many were won, and how
-- many lost. And (true) where deals went from each stage in the period. `said`: of each field what was said of it last; a
-- deal's status stands in it under no name.
WITH chosen AS (
    SELECT item, CASE WHEN closed_at >= %(start)s AND closed_at < %(end)s THEN status END AS closed
    FROM work.deals AS t
    WHERE created_at < %(end)s AND (status = 'open' OR changed_at >= %(start)s)
        AND (%(pipeline)s::text IS NULL OR coalesce(t.pipeline, %(unnamed)s) = %(pipeline)s)
        AND (%(assignee)s::text IS NULL OR t.assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR t.team = %(team)s)
        AND (%(origin)s::text IS NULL OR t.origin = %(origin)s)
),
walk AS (
    SELECT s.item, s.revision, s.happened_at, s.name, chosen.closed, work.merged(s.public || CASE s.type
            WHEN 'deal.won' THEN '{"": "won"}' WHEN 'deal.lost' THEN '{"": "lost"}'
            WHEN 'deal.reopened' THEN '{"": "open"}' ELSE '{}'
        END::jsonb) OVER (PARTITION BY s.item ORDER BY s.revision, s.happened_at, s.name) AS said
    FROM chosen JOIN work.steps AS s USING (item)
    WHERE s.folds
),
held AS (
    SELECT item, revision, happened_at, name, closed, said->>'pipeline' AS pipeline, said->>'stage' AS stage,
        coalesce(said->>'', 'open') AS status
    FROM walk
),
compared AS (
    SELECT held.*, lag(pipeline) OVER place AS pipeline_before, lag(stage) OVER place AS stage_before,
        lag(status, 1, 'open') OVER place AS status_before
    FROM held
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
),
changes AS (
    SELECT item, closed, coalesce(pipeline, %(unnamed)s) COLLATE "C" AS pipeline, stage COLLATE "C" AS stage, status,
        happened_at AS since, lead(happened_at) OVER place AS until,
        CASE WHEN lead(status) OVER place <> 'open' THEN lead(status) OVER place ELSE lead(stage) OVER place END
            AS went
    FROM compared
    WHERE pipeline IS DISTINCT FROM pipeline_before OR stage IS DISTINCT FROM stage_before
        OR status <> status_before
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
),
stays AS MATERIALIZED (
    SELECT item, closed, pipeline, stage, since, until, went, until >= %(start)s AND until < %(end)s AS left_it,
        greatest(0, extract(epoch FROM until - since)::float8) AS seconds
    FROM changes
    WHERE status = 'open' AND stage IS NOT NULL
),
closed AS (
    SELECT pipeline, stage, count(DISTINCT item) FILTER (WHERE closed = 'won') AS won,
        count(DISTINCT item) FILTER (WHERE closed = 'lost') AS lost
    FROM stays WHERE closed IN ('won', 'lost')
    GROUP BY pipeline, stage
),
of_each AS (
    SELECT pipeline, stage, count(*) FILTER (WHERE since >= %(start)s AND since < %(end)s) AS entered,
        count(*) FILTER (WHERE left_it) AS stayed,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE left_it) AS median,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE left_it) AS p90,
        avg(seconds) FILTER (WHERE left_it) AS mean
    FROM stays WHERE since < %(end)s
    GROUP BY pipeline, stage
    ORDER BY pipeline, stage
    LIMIT %(most)s
),
moves AS (
    SELECT pipeline, stage, went COLLATE "C" AS went, count(*) AS deals FROM stays WHERE left_it
    GROUP BY 1, 2, 3
    ORDER BY pipeline, stage, deals DESC, went
    LIMIT %(most)s
)
SELECT false AS what, pipeline, stage, NULL AS went, entered, coalesce(won, 0), coalesce(lost, 0), stayed AS deals, median,
    p90, mean
FROM of_each LEFT JOIN closed USING (pipeline, stage)
UNION ALL
SELECT true, pipeline, stage, went, NULL, NULL, NULL, deals, NULL, NULL, NULL FROM moves
ORDER BY what, pipeline, stage, deals DESC, went;
