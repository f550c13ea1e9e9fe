-- How is a build of some read models filled out of the timeline? Names without a schema are found by the search path: the
-- tables that are filled in their own schemas, all others in the live ones.

-- name: chunk
-- Events of a stretch of one partition, with what puts each of them right, if something does. Of these types; `refs`: and
-- those that name something (the bytes are those of docs/record-format.md); and what does not count as it stands.
SELECT e.name, e.evidence, e.happened_at, e.recorded_at, e.log_partition, e.log_offset, e.record,
    coalesce(c.retracted, false), c.amended_by, a.record
FROM events AS e
LEFT JOIN corrected AS c ON c.name = e.name
LEFT JOIN events AS a ON a.name = c.amended_by
WHERE e.log_partition = %(partition)s AND e.log_offset >= %(start)s AND e.log_offset < %(end)s
    AND (
        e.type = ANY (%(types)s) OR c.name IS NOT NULL
        OR (%(refs)s AND position('"refs":["'::bytea IN e.record) > 0)
    );

-- name: window
-- The same of events that came, or were recorded earlier than known, within these stretches; and of those that
-- corrections among them speak of, however far back.
WITH RECURSIVE fresh AS (
    SELECT e.name
    FROM unnest(%(partitions)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[]) AS stretch (part, start, till)
    JOIN events AS e ON e.log_partition = stretch.part AND e.log_offset >= stretch.start AND e.log_offset < stretch.till
),
spoken AS (
    SELECT about.target FROM about JOIN fresh ON about.name = fresh.name
    WHERE about.relation IN ('corrects', 'retracts')
    UNION
    SELECT about.target FROM about JOIN spoken ON about.name = spoken.target
    WHERE about.relation IN ('corrects', 'retracts')
)
SELECT e.name, e.evidence, e.happened_at, e.recorded_at, e.log_partition, e.log_offset, e.record,
    coalesce(c.retracted, false), c.amended_by, a.record
FROM (SELECT name FROM fresh UNION SELECT target FROM spoken) AS asked
JOIN events AS e ON e.name = asked.name
LEFT JOIN corrected AS c ON c.name = e.name
LEFT JOIN events AS a ON a.name = c.amended_by;

-- name: rulings
-- What stewards ruled, whether it counts or not.
SELECT e.name, e.evidence, e.happened_at, e.recorded_at, e.log_partition, e.log_offset, e.record,
    coalesce(c.retracted, false), c.amended_by, NULL::bytea
FROM events AS e LEFT JOIN corrected AS c ON c.name = e.name
WHERE e.type = ANY (%(types)s);

-- name: evidences
-- Evidences of a range of ids: the earliest event of each that counts, and one that says what is in it.
WITH shown AS (
    SELECT e.evidence, e.name,
        CASE WHEN e.type <> ALL (%(rulings)s) AND c.name IS NULL THEN e.happened_at END AS at
    FROM events AS e LEFT JOIN corrected AS c ON c.name = e.name AND c.retracted
    WHERE e.evidence BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT p.evidence, p.name,
        CASE WHEN e.type <> ALL (%(rulings)s) AND c.name IS NULL THEN p.happened_at END
    FROM parties AS p JOIN events AS e ON e.name = p.name
    LEFT JOIN corrected AS c ON c.name = e.name AND c.retracted
    WHERE p.evidence BETWEEN %(first)s AND %(last)s
),
known AS (
    SELECT evidence, min(at) AS at, (array_agg(name))[1] AS name FROM shown GROUP BY evidence
)
SELECT known.evidence, known.at, events.record FROM known JOIN events ON events.name = known.name;

-- name: contacts
-- Sums of the evidences of a range of ids, over all events that count.
INSERT INTO contacts (evidence, type, channel, direction, touchpoints, first_at, last_at)
SELECT e.evidence, e.type, coalesce(e.channel, ''), coalesce(e.direction, ''), count(*), min(e.happened_at),
    max(e.happened_at)
FROM events AS e LEFT JOIN corrected AS c ON c.name = e.name AND c.retracted
WHERE e.evidence BETWEEN %(first)s AND %(last)s AND e.touch AND c.name IS NULL
GROUP BY 1, 2, 3, 4;

-- name: forget_contacts
-- Sums that may be wrong: they are made anew as a whole.
DELETE FROM contacts;

-- name: trade_sums
-- What the trades of each evidence come to, once it is known which count.
INSERT INTO trade_sums (evidence, currency, purchases, revenue, refunds, doubtful)
SELECT t.evidence, t.currency, count(*) FILTER (WHERE t.counts AND NOT t.refund),
    coalesce(sum(t.amount) FILTER (WHERE t.counts AND NOT t.refund), 0),
    coalesce(-sum(t.amount) FILTER (WHERE t.counts AND t.refund), 0),
    bool_or(NOT t.refund AND shared.order_key IS NOT NULL)
FROM trades AS t
LEFT JOIN (
    SELECT order_key FROM trades WHERE NOT refund AND ref IS NOT NULL GROUP BY order_key HAVING count(*) > 1
) AS shared USING (order_key)
WHERE t.evidence IS NOT NULL
GROUP BY t.evidence, t.currency;

-- name: forget_trade_sums
-- Sums that may be wrong, and what was noted of them: they are made anew as a whole.
WITH noted AS (DELETE FROM staged_trade_sums) DELETE FROM trade_sums;

-- name: loose
-- Evidences of which something was taken back or moved, as live remembers them; only what readers remember hangs on it.
INSERT INTO loose (evidence) SELECT evidence FROM identity.loose ON CONFLICT DO NOTHING;

-- name: items
-- The next items that steps were copied of.
SELECT DISTINCT item, kind FROM steps WHERE item > %(after)s ORDER BY item LIMIT %(limit)s;

-- name: orders
-- Orders that several sources tell of.
SELECT order_key FROM trades WHERE ref IS NOT NULL
GROUP BY order_key HAVING min(source) <> max(source) OR NOT bool_and(counts);

-- name: orders_named
-- Orders of these trades.
SELECT DISTINCT order_key FROM trades WHERE name = ANY (%(names)s::uuid[]) AND ref IS NOT NULL;

-- name: around
-- Customers whose home may be another one since events with these evidences came: all that hang together with them, or
-- could.
WITH met AS (
    SELECT DISTINCT m.evidence FROM members AS m
    WHERE m.node IN (SELECT node FROM members WHERE evidence = ANY (%(evidences)s::uuid[]))
),
homes AS (SELECT DISTINCT e.component, e.customer FROM met JOIN evidences AS e ON e.evidence = met.evidence)
SELECT customer FROM homes
UNION
SELECT e.customer FROM homes JOIN evidences AS e ON e.component = homes.component;

-- name: orders_of
-- Orders of these customers that several trades tell of.
SELECT DISTINCT t.order_key FROM trades AS t JOIN evidences AS e ON e.evidence = t.evidence
WHERE e.customer = ANY (%(customers)s::uuid[]) AND t.ref IS NOT NULL;

-- name: wake
-- These customers are to be looked at again.
INSERT INTO subjects (customer, wake_at)
SELECT customer, 'epoch' FROM unnest(%(customers)s::uuid[]) AS one (customer) ORDER BY customer
ON CONFLICT (customer) DO UPDATE SET wake_at = excluded.wake_at;
