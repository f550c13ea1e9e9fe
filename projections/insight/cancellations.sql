-- Why do customers cancel, and what came before? By the subscriptions that were cancelled.

-- name: cancelled
-- The subscriptions that were cancelled in the period, with what counts of their content.
WITH cancelled AS (
    SELECT e.name, e.happened_at AS at, whose.customer, convert_from(e.record, 'UTF8')::jsonb->>'name' AS event,
        CASE WHEN c.amended_by IS NULL THEN convert_from(e.record, 'UTF8')::jsonb->'public'
            ELSE convert_from(a.record, 'UTF8')::jsonb->'public'->'content' END AS public
    FROM timeline.events AS e
    LEFT JOIN timeline.corrected AS c ON c.name = e.name
    LEFT JOIN timeline.events AS a ON a.name = c.amended_by
    LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
    WHERE e.type = 'subscription.cancelled' AND e.happened_at >= %(start)s AND e.happened_at < %(end)s
        AND e.recorded_at <= %(recorded_by)s AND NOT coalesce(c.retracted, false)
)

-- name: reasons
-- How many for each reason (`what` 0), of each plan (1), and in all (2); of how many customers.
{cancelled}
SELECT CASE WHEN grouping(reason) = 0 THEN 0 WHEN grouping(plan) = 0 THEN 1 ELSE 2 END AS what,
    coalesce(reason, plan), count(*), count(DISTINCT customer)
FROM (SELECT customer, public->>'reason' AS reason, public->>'plan' AS plan FROM cancelled) AS told
GROUP BY GROUPING SETS ((reason), (plan), ())
ORDER BY what, count(*) DESC, 2
LIMIT %(most)s;

-- name: events
-- The cancellations, the latest first; with a reason or a plan those alone.
{cancelled}
SELECT name, event, at, public->>'reason', public->>'plan', customer
FROM cancelled
WHERE (%(reason)s::text IS NULL OR public->>'reason' = %(reason)s)
    AND (%(plan)s::text IS NULL OR public->>'plan' = %(plan)s)
    AND (at, name) < (%(before_at)s, %(before_name)s)
ORDER BY at DESC, name DESC
LIMIT %(limit)s;

-- name: before
-- What happened to customers within `days` before they cancelled last in the period, beside what happened within as many
-- days before its end to customers with a subscription who had not cancelled. Of each at most `sample` customers, those
-- with the lowest ids. A signal is the type of a touchpoint, `mood.negative` for a text in a bad mood, or `score.low` for
-- half of the best score or less; each counts once per customer. `left_total`, `stayed_total`: of how many customers.
{cancelled},
leaving AS (
    SELECT customer, max(at) AS at, true AS left_us FROM cancelled WHERE customer IS NOT NULL
    GROUP BY customer ORDER BY customer LIMIT %(sample)s
),
subscribed AS (
    SELECT DISTINCT whose.customer
    FROM timeline.events AS e JOIN identity.evidences AS whose ON whose.evidence = e.evidence
    WHERE e.type IN ('subscription.started', 'subscription.renewed', 'subscription.changed')
        AND e.happened_at >= %(end)s - interval '400 days' AND e.happened_at < %(end)s
        AND e.recorded_at <= %(recorded_by)s
        AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted)
),
staying AS (
    SELECT s.customer, %(end)s AS at, false AS left_us FROM subscribed AS s
    WHERE NOT EXISTS (
        SELECT FROM identity.evidences AS hers JOIN timeline.events AS e ON e.evidence = hers.evidence
        WHERE hers.customer = s.customer AND e.type = 'subscription.cancelled' AND e.happened_at < %(end)s
            AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted)
    )
    ORDER BY s.customer LIMIT %(sample)s
),
watched AS (
    SELECT * FROM leaving UNION ALL SELECT * FROM staying
),
stories AS (
    SELECT w.customer, w.left_us, e.name, e.type, e.direction
    FROM watched AS w JOIN identity.evidences AS hers ON hers.customer = w.customer
    JOIN timeline.events AS e ON e.evidence = hers.evidence
        AND e.happened_at >= w.at - make_interval(days => %(days)s) AND e.happened_at < w.at
    WHERE e.touch AND e.recorded_at <= %(recorded_by)s
        AND NOT EXISTS (SELECT FROM timeline.corrected AS c WHERE c.name = e.name AND c.retracted)
),
signals AS (
    SELECT customer, left_us, type AS signal FROM stories
    UNION ALL
    SELECT s.customer, s.left_us, 'mood.negative' FROM stories AS s CROSS JOIN LATERAL (
        SELECT m.sentiment FROM figures.moods AS m WHERE m.target = s.name AND m.sentiment IS NOT NULL
        ORDER BY m.happened_at DESC, m.name DESC LIMIT 1
    ) AS mood
    WHERE s.direction = 'in' AND mood.sentiment <= -0.05
    UNION ALL
    SELECT s.customer, s.left_us, 'score.low' FROM stories AS s JOIN figures.scores AS f ON f.name = s.name
    WHERE 2 * f.score <= coalesce(f.best, CASE f.measure WHEN 'nps' THEN 10 ELSE 5 END)
)
SELECT signal, count(DISTINCT customer) FILTER (WHERE left_us), (SELECT count(*) FROM leaving),
    count(DISTINCT customer) FILTER (WHERE NOT left_us), (SELECT count(*) FROM staying)
FROM signals
GROUP BY signal
ORDER BY 2 DESC, signal COLLATE "C"
LIMIT %(most)s;
