-- What did customers ask of products that they bought for the first time after that? Parts stand in braces; names of tables are
-- bare, so that they are of the build that stands first in the search path.

-- name: asks
-- Is a mention `p` of a product a question? To look at a page, to open a mail or to fill a cart is to ask nothing.
p.direction = 'in'
    AND p.type NOT IN (
        'review.posted', 'survey.answered', 'cart.updated', 'cart.abandoned', 'page.viewed', 'download.made',
        'webinar.registered', 'webinar.attended', 'product.used', 'email.opened', 'email.clicked',
        'email.unsubscribed', 'subscription.started', 'subscription.renewed', 'subscription.changed',
        'subscription.cancelled'
    )
    AND NOT EXISTS (SELECT FROM trades AS own WHERE own.name = p.name)

-- name: everybody
-- What all customers asked, and what they bought.
told AS MATERIALIZED (
    SELECT whose.customer, p.product, p.happened_at AS at
    FROM mentions AS p JOIN evidences AS whose ON whose.evidence = p.evidence
    WHERE {asks}
),
bought AS (
    SELECT hers.customer, l.product, t.happened_at AS bought_at
    FROM trades AS t JOIN lines AS l ON l.name = t.name JOIN evidences AS hers ON hers.evidence = t.evidence
    WHERE t.counts AND NOT t.refund AND l.product IS NOT NULL
)

-- name: some
-- The same of stale customers, one by one along the indexes. `start` and `end`: of what they asked.
homes AS MATERIALIZED (
    SELECT s.customer, e.evidence FROM stale AS s
    CROSS JOIN LATERAL (SELECT evidence FROM evidences AS e WHERE e.customer = s.customer OFFSET 0) AS e
),
told AS MATERIALIZED (
    SELECT h.customer, p.product, p.happened_at AS at
    FROM homes AS h CROSS JOIN LATERAL (
        SELECT * FROM mentions AS p
        WHERE p.evidence = h.evidence AND p.happened_at >= %(start)s AND p.happened_at < %(end)s AND {asks}
        OFFSET 0
    ) AS p
),
bought AS (
    SELECT h.customer, l.product, t.happened_at AS bought_at
    FROM (SELECT * FROM homes WHERE customer IN (SELECT customer FROM told)) AS h
    CROSS JOIN LATERAL (
        SELECT name, happened_at FROM trades AS t WHERE t.evidence = h.evidence AND t.counts AND NOT t.refund OFFSET 0
    ) AS t
    CROSS JOIN LATERAL (SELECT product FROM lines AS l WHERE l.name = t.name AND l.product IS NOT NULL OFFSET 0) AS l
)

-- name: made
-- What was asked before the first purchase. Both are put below each other and not joined: the planner takes them for few, and
-- a busy account has many of either.
made AS MATERIALIZED (
    SELECT customer, product, at, first_at
    FROM (
        SELECT customer, product, at, min(bought_at) OVER (PARTITION BY customer, product) AS first_at
        FROM (
            SELECT customer, product, at, NULL::timestamptz AS bought_at FROM told
            UNION ALL
            SELECT customer, product, NULL, bought_at FROM bought
        ) AS put
    ) AS known
    WHERE at < first_at
)

-- name: nobody
-- Nobody asked.
made AS (
    SELECT * FROM questions WHERE false
)

-- name: make
-- What these customers asked is noted as it is.
WITH {stale}, {raw}
INSERT INTO questions (customer, product, at, first_at) SELECT customer, product, at, first_at FROM made;

-- name: forget
-- What was noted of these customers.
DELETE FROM questions WHERE customer = ANY (%(customers)s::uuid[]);

-- name: empty
-- Nothing is noted.
DELETE FROM questions;

-- name: analyze
-- What the planner has to know of what was made all at once.
ANALYZE questions;
