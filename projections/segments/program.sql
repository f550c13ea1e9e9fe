-- How are the verdicts of many rules on many customers found at once? Fragments, which `compiling.py` fills: each source
-- of columns is read once for each customer, along its index, and what is dear only where something cheap leaves it open.
-- OFFSET 0 keeps it so: of tables that were never analyzed the planner expects many rows of each customer, and would read
-- a whole table for every one of them.

-- name: found
-- One row for each customer: which leaves hold, as far as they are asked. rules: null for all of them; reads: what has to
-- be read, null for everything; shown: of which leaves it is known that there is an event that they mean, null for none;
-- shown_at: when the first of these happened, in microseconds since 2000.
SELECT asked.customer, asked.rules, hers.counts{lists}{leaves}
FROM (
    SELECT one.customer, one.rules, coalesce(one.reads, -1) AS reads, one.shown,
        '2000-01-01 00:00+00'::timestamptz + one.shown_at * interval '1 microsecond' AS shown_at
    FROM unnest(
        %(customers)s::uuid[], %(rules)s::bit varying[], %(reads)s::bigint[], %(shown)s::bit varying[],
        %(shown_at)s::bigint[]
    ) AS one (customer, rules, reads, shown, shown_at)
) AS asked
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(her.first_at IS NOT NULL), false) AS counts
    FROM evidences AS her WHERE her.customer = asked.customer
) AS hers
{sources}
OFFSET 0

-- name: verdicts
-- One row for each customer and rule. `wake`: the earliest moment at which time alone may change the verdict. Of whom
-- nothing that counts is known (any more) nothing holds.
SELECT leaf.customer, verdict.segment, verdict.version, verdict.held, verdict.wake
FROM ({found}) AS leaf
{segments}
CROSS JOIN LATERAL (VALUES {rules}) AS verdict (segment, version, held, wake)

-- name: answers
-- The same in one row for each customer: the places of the rules that hold of those that are asked, and the earliest wake
-- of these.
SELECT leaf.customer, leaf.rules, array_remove(ARRAY[{held}]::integer[], NULL) AS held,
    CASE WHEN leaf.counts THEN {wake} END AS wake
FROM ({found}) AS leaf
{segments}

-- name: is_asked
-- A rule is asked of this customer.
(leaf.rules IS NULL OR get_bit(leaf.rules, {place}) = 1)

-- name: held
-- The place of a rule that holds.
CASE WHEN {asked} AND leaf.counts AND {holds} THEN {place} END

-- name: gate
-- Something that is asked of this customer needs it.
((asked.reads & {bit}) <> 0)

-- name: is_shown
-- It is known that there is an event that a leaf means.
(asked.shown IS NOT NULL AND get_bit(asked.shown, {place}) = 1)

-- name: shown_at
-- When such an event happened, or before.
asked.shown_at

-- name: source
-- One row of what a source gives; nothing is read of it, and all of it is null, where no leaf that is asked needs it.
-- OFFSET 0 keeps the gate before what it is a gate to.
LEFT JOIN LATERAL (SELECT one.* FROM ({query}) AS one WHERE {gate} OFFSET 0) AS {source} ON true

-- name: always
-- The same of what is read whatever is asked.
CROSS JOIN LATERAL ({query}) AS {source}

-- name: met
-- What the sums of touchpoints come to.
SELECT {columns}
FROM (
    SELECT one.touchpoints, one.first_at, one.last_at, {chosen}
    FROM evidences AS her
    CROSS JOIN LATERAL (SELECT * FROM contacts WHERE contacts.evidence = her.evidence OFFSET 0) AS one
    WHERE her.customer = asked.customer
    OFFSET 0
) AS contact

-- name: summed
-- What purchases and refunds come to by their sums, and whether these do not tell how many orders there were.
SELECT coalesce(bool_or(sums.doubtful), false) AS doubtful, {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM trade_sums WHERE trade_sums.evidence = her.evidence OFFSET 0) AS sums
WHERE her.customer = asked.customer

-- name: doubted
-- The same by the trades themselves, where sums do not tell it.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM trades WHERE trades.evidence = her.evidence OFFSET 0) AS trades
WHERE summed.doubtful AND her.customer = asked.customer

-- name: bought
-- When purchases were: the last of each evidence, from the end along the index.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (
    SELECT trades.happened_at FROM trades
    WHERE trades.evidence = her.evidence AND trades.counts AND NOT trades.refund
    ORDER BY trades.happened_at DESC LIMIT 1
) AS purchase
WHERE her.customer = asked.customer

-- name: traded
-- What all trades say.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM trades WHERE trades.evidence = her.evidence OFFSET 0) AS trades
WHERE her.customer = asked.customer

-- name: claimed
-- What is claimed of the person.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM claims WHERE claims.evidence = her.evidence OFFSET 0) AS claims
WHERE her.customer = asked.customer

-- name: deal
-- What the customer's deals come to.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM deals WHERE deals.evidence = her.evidence OFFSET 0) AS item
WHERE her.customer = asked.customer

-- name: ticket
-- What the customer's tickets come to.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM tickets WHERE tickets.evidence = her.evidence OFFSET 0) AS item
WHERE her.customer = asked.customer

-- name: task
-- What the customer's tasks come to.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM tasks WHERE tasks.evidence = her.evidence OFFSET 0) AS item
WHERE her.customer = asked.customer

-- name: lead
-- What the customer's leads come to.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM leads WHERE leads.evidence = her.evidence OFFSET 0) AS item
WHERE her.customer = asked.customer

-- name: named
-- What the customer's identifiers come to; those that too many people have are nobody's.
SELECT {columns} FROM nodes AS node WHERE node.customer = asked.customer AND NOT node.shared

-- name: spelt
-- What the readable values of the customer's identifiers come to.
SELECT {columns}
FROM nodes AS node
CROSS JOIN LATERAL (SELECT i.value FROM identifiers AS i WHERE i.node = node.node LIMIT 1) AS spelling
WHERE node.customer = asked.customer AND NOT node.shared
    AND NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = node.node)

-- name: listed
-- Which lists the customer is on.
SELECT coalesce(array_agg(list.segment), '{{}}') AS lists
FROM nodes AS node JOIN storyline.segment_lists AS list ON list.node = node.node
WHERE node.customer = asked.customer AND list.segment = ANY ({lists})

-- name: told
-- What the contents of events come to: of those events alone that something cheaper leaves open, the newest of them
-- where somebody has very many.
WITH heard AS MATERIALIZED (
    SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction,
        CASE WHEN {reads} THEN convert_from(e.record, 'UTF8')::jsonb END AS head,
        CASE WHEN amendment.name IS NOT NULL THEN convert_from(amendment.record, 'UTF8')::jsonb -> 'public' END AS amended
    FROM (
        SELECT e.*, corrected.amended_by
        FROM evidences AS her
        CROSS JOIN LATERAL (
            SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction, e.record FROM events AS e
            WHERE e.evidence = her.evidence AND {since}
            OFFSET 0
        ) AS e
        LEFT JOIN LATERAL (SELECT * FROM corrected WHERE corrected.name = e.name OFFSET 0) AS corrected ON true
        WHERE her.customer = asked.customer AND {open} AND {matches} AND corrected.retracted IS NOT TRUE
            AND (corrected.amended_by IS NOT NULL OR {says})
        ORDER BY e.happened_at DESC, e.name DESC
        LIMIT {most}
    ) AS e
    LEFT JOIN LATERAL (
        SELECT * FROM events WHERE events.name = e.amended_by AND {reads} OFFSET 0
    ) AS amendment ON true
),
said AS MATERIALIZED (
    SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction, e.head, {content} AS content
    FROM (
        SELECT heard.name, heard.happened_at, heard.type, heard.touch, heard.channel, heard.direction, heard.head,
            {right}
        FROM heard
    ) AS e
),
{naming}matched AS MATERIALIZED (SELECT e.name, e.happened_at, {matching} FROM {source} AS e){sequences}
SELECT count(*), {columns} FROM matched AS event

-- name: naming
-- What events name, each list of it once for all conditions.
named AS MATERIALIZED (SELECT e.*, {lists} FROM said AS e),

-- name: frequent
-- What is claimed of the person most often.
SELECT {columns} OFFSET 0

-- name: worded
-- What the customer said of consent.
SELECT {columns}
FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM consents WHERE consents.evidence = her.evidence OFFSET 0) AS word
WHERE her.customer = asked.customer

-- name: allowed
-- What the customer allowed.
SELECT {columns} OFFSET 0

-- name: newest
-- When the newest of some touchpoints were, no more of them than are asked for.
SELECT {columns} OFFSET 0

-- name: last_such
-- When the last of some events were, whose contents matter, of who has very many.
SELECT {columns} OFFSET 0

-- name: derived
-- What follows from the others, and is asked for several times.
SELECT {columns} OFFSET 0

-- name: organised
-- What the organisations do that name the customer as a contact, by the last that is said of each, and the customer's
-- leads.
SELECT {columns}
FROM (
    SELECT ARRAY(
        SELECT item.industry FROM evidences AS her
CROSS JOIN LATERAL (SELECT * FROM leads WHERE leads.evidence = her.evidence OFFSET 0) AS item
        WHERE her.customer = asked.customer AND item.industry <> ''
        UNION ALL
        SELECT thing.fields ->> 'industry'
        FROM evidences AS her
        JOIN parties AS party ON party.evidence = her.evidence
        JOIN things AS thing ON thing.name = party.name AND thing.kind = 'organisation'
        WHERE her.customer = asked.customer AND thing.fields ->> 'industry' <> ''
            AND NOT EXISTS (
                SELECT FROM things AS later
                WHERE later.kind = 'organisation' AND later.ref = thing.ref
                    AND (later.happened_at, later.name) > (thing.happened_at, thing.name)
            )
    ) AS industries
) AS organisation

-- name: leaf
-- Whether a leaf holds, and when that may change.
{holds} AS {name}, {wakes} AS {wake}

-- name: segment
-- Whether the rule of a segment holds that others ask for.
CROSS JOIN LATERAL (SELECT {holds} AS holds, {wakes} AS wake OFFSET 0) AS {segment}

-- name: rule
-- A rule's verdict.
({segment}, {version}, leaf.counts AND {holds}, CASE WHEN leaf.counts THEN {wakes} END)
