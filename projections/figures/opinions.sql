-- What do scores come to, and what speaks against products, by time? `starts` and `ends` are the begins and ends of times.

-- name: scored
-- Scores in these times, each with what it adds to a sum.
scored AS (
    SELECT s.happened_at AS at, s.product, s.channel, s.actor, s.code,
        (measure = 'csat')::integer AS csat,
        (measure = 'csat' AND score >= 0.8 * coalesce(best, 5))::integer AS satisfied,
        (measure = 'nps' AND coalesce(best, 10) = 10 AND score BETWEEN 0 AND 10)::integer AS nps,
        (measure = 'nps' AND coalesce(best, 10) = 10 AND score BETWEEN 9 AND 10)::integer AS promoters,
        (measure = 'nps' AND coalesce(best, 10) = 10 AND score BETWEEN 0 AND 6)::integer AS detractors,
        (measure = 'ces')::integer AS ces,
        CASE WHEN measure = 'ces' THEN score END AS ces_total,
        (measure = 'ces' AND coalesce(best, 0) <> 0)::integer AS ces_best,
        CASE WHEN measure = 'ces' THEN score / nullif(best, 0) END AS ces_best_total,
        (measure = 'review')::integer AS reviews,
        CASE WHEN measure = 'review' THEN score END AS review_total,
        (measure = 'review' AND coalesce(best, 0) <> 0)::integer AS review_best,
        CASE WHEN measure = 'review' THEN score / nullif(best, 0) END AS review_best_total
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT * FROM scores AS s
        WHERE s.happened_at >= r.start AND s.happened_at < r.until AND s.score IS NOT NULL
        OFFSET 0
    ) AS s
)

-- name: added
-- What some of them come to.
sum(csat) AS csat, sum(satisfied) AS satisfied, sum(nps) AS nps, sum(promoters) AS promoters,
    sum(detractors) AS detractors, sum(ces) AS ces, sum(ces_total) AS ces_total, sum(ces_best) AS ces_best,
    sum(ces_best_total) AS ces_best_total, sum(reviews) AS reviews, sum(review_total) AS review_total,
    sum(review_best) AS review_best, sum(review_best_total) AS review_best_total

-- name: sum_scores
-- By quarter or day, in all and by what a score says.
INSERT INTO score_sums
WITH {scored}
SELECT %(level)s::"char", d.dimension,
    CASE WHEN %(level)s = 'q' THEN date_bin('15 minutes', at, '2000-01-01 00:00+00') ELSE date_trunc('day', at, 'UTC') END,
    coalesce(d.value, ''), {added}
FROM scored CROSS JOIN LATERAL (
    VALUES ('', ''), ('channel', channel), ('actor', actor), ('code', code), ('product', product)
) AS d (dimension, value)
WHERE (d.dimension = 'product') = (%(level)s = 'd')
GROUP BY 2, 3, 4;

-- name: sum_score_sums
-- Longer sums out of shorter ones.
INSERT INTO score_sums
SELECT %(level)s::"char", dimension, CASE WHEN %(level)s = 'h' THEN date_trunc('hour', s.at, 'UTC')
        WHEN %(level)s = 'd' THEN date_trunc('day', s.at, 'UTC') ELSE date_trunc('month', s.at, 'UTC') END,
    value, {added}
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
CROSS JOIN LATERAL (
    SELECT * FROM score_sums AS s
    WHERE s.level = %(of)s::"char" AND s.dimension = ANY (%(dimensions)s::text[]) AND s.at >= r.start AND s.at < r.until
    OFFSET 0
) AS s
GROUP BY 2, 3, 4;

-- name: empty_scores
-- Nothing is summed.
DELETE FROM score_sums;

-- name: analyze_scores
-- What the planner has to know of sums that were made all at once.
ANALYZE score_sums;

-- name: voices
-- Events in these times that speak against a product: bad reviews (half of the best or less), counted refunds of it, and texts
-- of customers in a bad mood that mention it; each once, however it speaks. A text within a ticket counts as the ticket.
voices AS (
    SELECT product, name, at, bool_or(how = 'review')::integer AS reviews, bool_or(how = 'refund')::integer AS refunds,
        bool_or(how = 'mood')::integer AS moods
    FROM (
        SELECT s.product, s.name, 'review' AS how, s.happened_at AS at
        FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
        CROSS JOIN LATERAL (
            SELECT * FROM scores AS s WHERE s.happened_at >= r.start AND s.happened_at < r.until OFFSET 0
        ) AS s
        WHERE s.measure = 'review' AND s.product IS NOT NULL AND 2 * s.score <= coalesce(s.best, 5)
        UNION ALL
        SELECT l.product, t.name, 'refund', t.happened_at
        FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
        CROSS JOIN LATERAL (
            SELECT * FROM trades AS t
            WHERE t.happened_at >= r.start AND t.happened_at < r.until AND t.refund AND t.counts
            OFFSET 0
        ) AS t
        JOIN lines AS l ON l.name = t.name
        WHERE l.product IS NOT NULL
        UNION ALL
        SELECT p.product, p.name, 'mood', p.happened_at
        FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
        CROSS JOIN LATERAL (
            SELECT * FROM mentions AS p WHERE p.happened_at >= r.start AND p.happened_at < r.until OFFSET 0
        ) AS p
        CROSS JOIN LATERAL (
            SELECT m.sentiment FROM moods AS m WHERE m.target = p.name AND m.sentiment IS NOT NULL
            ORDER BY m.happened_at DESC, m.name DESC LIMIT 1
        ) AS mood
        WHERE p.direction = 'in' AND p.type NOT LIKE 'ticket.%%' AND mood.sentiment <= -0.05
    ) AS told
    GROUP BY product, name, at
)

-- name: no_voices
-- None, where sums tell it all.
voices AS (
    SELECT NULL::text AS product, NULL::timestamptz AS at, 0 AS reviews, 0 AS refunds, 0 AS moods WHERE false
)

-- name: sum_complaints
-- By day and product, of which there may be as many as events.
INSERT INTO complaint_sums
WITH {voices}
SELECT 'd', date_trunc('day', at, 'UTC'), product, count(*), sum(reviews), sum(refunds), sum(moods)
FROM voices GROUP BY 2, 3;

-- name: sum_complaint_sums
-- By month out of that.
INSERT INTO complaint_sums
SELECT 'm', date_trunc('month', s.at, 'UTC'), product, sum(complaints), sum(reviews), sum(refunds), sum(moods)
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
CROSS JOIN LATERAL (
    SELECT * FROM complaint_sums AS s WHERE s.level = 'd' AND s.at >= r.start AND s.at < r.until
    OFFSET 0
) AS s
GROUP BY 2, 3;

-- name: empty_complaints
-- Nothing is summed.
DELETE FROM complaint_sums;

-- name: analyze_complaints
-- What the planner has to know of sums that were made all at once.
ANALYZE complaint_sums;
