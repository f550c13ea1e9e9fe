-- How well are customers served? What happened to tickets in a period, how long it took, and what was promised.

-- name: chosen
-- The tickets that are asked about, by what they are now.
(%(team)s::text IS NULL OR team = %(team)s)
    AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
    AND (%(queue)s::text IS NULL OR queue = %(queue)s)
    AND (%(channel)s::text IS NULL OR channel = %(channel)s)
    AND (%(priority)s::text IS NULL OR priority = %(priority)s)
    AND (%(category)s::text IS NULL OR category = %(category)s)
    AND (%(product)s::text IS NULL OR product = %(product)s)
    AND (%(service_level)s::text IS NULL OR service_level = %(service_level)s)

-- name: facts
-- What happened to the chosen tickets in the period, one row each. Of what was resolved or closed several times the last
-- counts. `promised`: what was due of the first response until then, and of the resolution: null while its clock stood
-- still. What was missed was missed when it was due, what was met is met when it is done.
WITH chosen AS (
    SELECT t.*, coalesce(resolved_at, closed_at) AS ended_at FROM work.tickets AS t
    WHERE opened_at < %(end)s AND (status = 'open' OR changed_at >= %(start)s)
        AND {chosen}
),
promised AS MATERIALIZED (
    SELECT c.*, due.respond_due, due.resolve_due, due.promised
    FROM chosen AS c CROSS JOIN LATERAL (
        SELECT (array_agg((s.public->>'respond_by')::timestamptz ORDER BY s.revision DESC, s.happened_at DESC, s.name DESC)
                FILTER (
                    WHERE s.public->>'respond_by' IS NOT NULL
                        AND s.happened_at <= coalesce(c.responded_at, c.ended_at, 'infinity')
                ))[1] AS respond_due,
            (array_agg((s.public->>'resolve_by')::timestamptz ORDER BY s.revision DESC, s.happened_at DESC, s.name DESC)
                FILTER (WHERE s.public ? 'resolve_by' AND until_ended))[1] AS resolve_due,
            coalesce(bool_or(s.public->>'resolve_by' IS NOT NULL AND until_ended), false) AS promised
        FROM work.steps AS s CROSS JOIN LATERAL (
            SELECT s.happened_at <= coalesce(c.ended_at, 'infinity') AND (
                s.happened_at IS DISTINCT FROM c.ended_at
                OR s.type NOT IN ('ticket.resolved', 'ticket.closed', 'ticket.folded')
            ) AS until_ended
        ) AS when_said
        WHERE s.item = c.item AND s.folds
    ) AS due
    WHERE c.service_level IS NOT NULL OR c.respond_by IS NOT NULL OR c.resolve_by IS NOT NULL
),
facts AS (
    SELECT c.item, c.ref, c.native, c.evidence, c.team, c.assignee, c.queue, c.channel, c.priority, c.category,
        c.product, c.service_level, fact.what, fact.at, extract(epoch FROM fact.took)::float8 AS seconds,
        CASE fact.what WHEN 'resolved' THEN c.clock_s::float8 END AS business
    FROM chosen AS c CROSS JOIN LATERAL (VALUES
        ('opened', opened_at, NULL::interval),
        ('responded', responded_at, responded_at - opened_at),
        ('resolved', ended_at, ended_at - opened_at),
        ('closed', closed_at, NULL)
    ) AS fact (what, at, took)
    WHERE fact.at >= %(start)s AND fact.at < %(end)s
    UNION ALL
    SELECT p.item, p.ref, p.native, p.evidence, p.team, p.assignee, p.queue, p.channel, p.priority, p.category,
        p.product, p.service_level, fact.what, fact.at, NULL, NULL
    FROM promised AS p CROSS JOIN LATERAL (VALUES
        ('response_missed',
            CASE WHEN respond_due < coalesce(responded_at, ended_at, %(now)s) THEN respond_due END),
        ('response_met', CASE WHEN responded_at <= respond_due THEN responded_at END),
        ('resolution_missed', CASE WHEN resolve_due < coalesce(ended_at, %(now)s) THEN resolve_due END),
        ('resolution_met',
            CASE WHEN promised AND (resolve_due IS NULL OR ended_at <= resolve_due) THEN ended_at END)
    ) AS fact (what, at)
    WHERE fact.at >= %(start)s AND fact.at < %(end)s
    UNION ALL
    SELECT c.item, c.ref, c.native, c.evidence, c.team, c.assignee, c.queue, c.channel, c.priority, c.category,
        c.product, c.service_level, 'reopened', s.happened_at, NULL, NULL
    FROM timeline.events AS e JOIN work.steps AS s ON s.name = e.name JOIN chosen AS c ON c.item = s.item
    WHERE e.type IN ('ticket.opened', 'ticket.state_changed', 'ticket.reopened')
        AND e.happened_at >= %(start)s AND e.happened_at < %(end)s AND s.folds
        AND (
            SELECT b.type IN ('ticket.resolved', 'ticket.closed', 'ticket.folded') FROM work.steps AS b
            WHERE b.item = s.item AND b.folds
                AND (b.revision, b.happened_at, b.name) < (s.revision, s.happened_at, s.name)
                AND b.type IN ('ticket.opened', 'ticket.state_changed', 'ticket.reopened', 'ticket.resolved',
                    'ticket.closed', 'ticket.folded')
            ORDER BY b.revision DESC, b.happened_at DESC, b.name DESC LIMIT 1
        )
)

-- name: series
-- The figures of each group, and of all of them (`whole`).
{facts}
SELECT grouping(key) = 1 AS whole, {label},
    count(*) FILTER (WHERE what = 'opened'), count(*) FILTER (WHERE what = 'resolved'),
    count(*) FILTER (WHERE what = 'closed'), count(*) FILTER (WHERE what = 'reopened'),
    count(*) FILTER (WHERE what = 'response_met'), count(*) FILTER (WHERE what = 'response_missed'),
    count(*) FILTER (WHERE what = 'resolution_met'), count(*) FILTER (WHERE what = 'resolution_missed'),
    count(*) FILTER (WHERE what = 'responded'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'responded'),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'responded'),
    avg(seconds) FILTER (WHERE what = 'responded'),
    count(*) FILTER (WHERE what = 'resolved'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'resolved'),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE what = 'resolved'),
    avg(seconds) FILTER (WHERE what = 'resolved'),
    count(business) FILTER (WHERE what = 'resolved'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY business) FILTER (WHERE what = 'resolved'),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY business) FILTER (WHERE what = 'resolved'),
    avg(business) FILTER (WHERE what = 'resolved')
FROM (SELECT what, seconds, business, {group} AS key FROM facts) AS keyed
GROUP BY GROUPING SETS ((key), ())
ORDER BY whole DESC, key NULLS LAST
LIMIT %(most)s;

-- name: running
-- Of the chosen tickets that are open: how many there are, of how many the first response is due and not over, and of
-- how many the resolution.
SELECT count(*), count(*) FILTER (WHERE responded_at IS NULL AND respond_by >= %(now)s),
    count(*) FILTER (WHERE resolve_by >= %(now)s)
FROM work.tickets
WHERE status = 'open'
    AND {chosen};

-- name: tickets
-- The tickets behind a figure, the latest first: `key` of which group, `keyed` false for all of them.
{facts}
SELECT keyed.item, keyed.ref, keyed.native, keyed.at, keyed.seconds, keyed.business, whose.customer
FROM (SELECT facts.*, {key} AS key FROM facts) AS keyed
LEFT JOIN identity.evidences AS whose ON whose.evidence = keyed.evidence
WHERE keyed.what = %(what)s AND (NOT %(keyed)s OR keyed.key IS NOT DISTINCT FROM %(key)s)
    AND (keyed.at, keyed.item) < (%(before_at)s, %(before_name)s)
ORDER BY keyed.at DESC, keyed.item DESC
LIMIT %(limit)s;

-- name: backlog
-- How many of the chosen tickets were open when each day of the period ended, or the period within it, with how many
-- were opened on it, and how many ended. A ticket is open from its first step on, and no more once it is resolved, closed
-- or folded into another one, until a step takes it up again.
WITH chosen AS (
    SELECT item, opened_at FROM work.tickets
    WHERE opened_at < %(end)s AND (status = 'open' OR changed_at >= %(start)s)
        AND {chosen}
),
moves AS (
    SELECT s.happened_at, s.type IN ('ticket.resolved', 'ticket.closed', 'ticket.folded') AS ended,
        coalesce(lag(s.type) OVER (PARTITION BY s.item ORDER BY s.revision, s.happened_at, s.name)
            IN ('ticket.resolved', 'ticket.closed', 'ticket.folded'), false) AS ended_before
    FROM chosen JOIN work.steps AS s USING (item)
    WHERE s.folds AND s.type IN ('ticket.opened', 'ticket.state_changed', 'ticket.reopened', 'ticket.resolved',
        'ticket.closed', 'ticket.folded')
),
changes AS (
    SELECT opened_at AS at, 1 AS opened, 0 AS ended FROM chosen
    UNION ALL
    SELECT happened_at, (NOT ended)::integer, ended::integer FROM moves WHERE ended <> ended_before
),
days AS (
    SELECT day::date AS day FROM generate_series(
        (%(start)s AT TIME ZONE %(zone)s)::date::timestamp,
        ((%(end)s - interval '1 microsecond') AT TIME ZONE %(zone)s)::date::timestamp, interval '1 day'
    ) AS day
),
counted AS (
    SELECT CASE WHEN at >= %(start)s THEN (at AT TIME ZONE %(zone)s)::date END AS day, sum(opened) AS opened,
        sum(ended) AS ended
    FROM changes WHERE at < %(end)s GROUP BY 1
)
SELECT day, (
        coalesce((SELECT opened - ended FROM counted WHERE day IS NULL), 0)
        + sum(coalesce(opened, 0) - coalesce(ended, 0)) OVER (ORDER BY day)
    )::bigint,
    coalesce(opened, 0)::bigint, coalesce(ended, 0)::bigint
FROM days LEFT JOIN counted USING (day)
ORDER BY day
LIMIT %(most)s;
