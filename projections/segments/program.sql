-- How are the verdicts of many rules on many customers found at once? Fragments, which `compiling.py` fills: each source
-- of columns is read once for each customer, along its index, and what is dear only where something cheap leaves it open.

-- name: verdicts
-- One row for each customer and rule. `wake`: the earliest moment at which time alone may change the verdict. Of whom
-- nothing that counts is known (any more) nothing holds.
SELECT asked.customer, verdict.segment, verdict.version, verdict.held, verdict.wake
FROM unnest(%(customers)s::uuid[]) AS asked (customer)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(e.evidence), '{{}}') AS evidences, coalesce(bool_or(e.first_at IS NOT NULL), false) AS counts
    FROM evidences AS e WHERE e.customer = asked.customer
) AS hers
{sources}
CROSS JOIN LATERAL (SELECT {leaves} OFFSET 0) AS leaf
CROSS JOIN LATERAL (VALUES {rules}) AS verdict (segment, version, held, wake)

-- name: source
-- One row of what a source gives.
CROSS JOIN LATERAL ({query}) AS {source}

-- name: met
-- What the sums of touchpoints come to.
SELECT {columns} FROM contacts WHERE contacts.evidence = ANY (hers.evidences)

-- name: traded
-- What purchases and refunds come to.
SELECT {columns} FROM trades WHERE trades.evidence = ANY (hers.evidences)

-- name: claimed
-- What is claimed of the person.
SELECT {columns} FROM claims WHERE claims.evidence = ANY (hers.evidences)

-- name: deal
-- What the customer's deals come to.
SELECT {columns} FROM deals AS item WHERE item.evidence = ANY (hers.evidences)

-- name: ticket
-- What the customer's tickets come to.
SELECT {columns} FROM tickets AS item WHERE item.evidence = ANY (hers.evidences)

-- name: task
-- What the customer's tasks come to.
SELECT {columns} FROM tasks AS item WHERE item.evidence = ANY (hers.evidences)

-- name: lead
-- What the customer's leads come to.
SELECT {columns} FROM leads AS item WHERE item.evidence = ANY (hers.evidences)

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
-- What the contents of events come to: of those events alone that something cheaper leaves open.
WITH heard AS MATERIALIZED (
    SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction,
        CASE WHEN {reads} THEN convert_from(e.record, 'UTF8')::jsonb END AS head,
        CASE WHEN amendment.name IS NOT NULL THEN convert_from(amendment.record, 'UTF8')::jsonb -> 'public' END AS amended
    FROM events AS e
    LEFT JOIN corrected ON corrected.name = e.name
    LEFT JOIN events AS amendment ON amendment.name = corrected.amended_by AND {reads}
    WHERE {open} AND e.evidence = ANY (hers.evidences) AND {since} AND {matches} AND corrected.retracted IS NOT TRUE
),
said AS MATERIALIZED (
    SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction, e.head, {content} AS content
    FROM (
        SELECT heard.name, heard.happened_at, heard.type, heard.touch, heard.channel, heard.direction, heard.head,
            CASE WHEN heard.amended ->> 'type' = heard.type THEN coalesce((heard.amended ->> 'version')::integer, 1)
                ELSE (heard.head ->> 'version')::integer END AS version,
            CASE WHEN heard.amended ->> 'type' = heard.type THEN heard.amended -> 'content'
                ELSE heard.head -> 'public' END AS content
        FROM heard
    ) AS e
),
matched AS MATERIALIZED (SELECT e.name, e.happened_at, {matching} FROM said AS e){sequences}
SELECT count(*), {columns} FROM matched AS event

-- name: frequent
-- What is claimed of the person most often.
SELECT {columns}

-- name: allowed
-- What the customer allowed.
SELECT {columns}

-- name: organised
-- What the organisations do that name the customer as a contact, by the last that is said of each, and the customer's
-- leads.
SELECT {columns}
FROM (
    SELECT ARRAY(
        SELECT item.industry FROM leads AS item
        WHERE item.evidence = ANY (hers.evidences) AND item.industry <> ''
        UNION ALL
        SELECT thing.fields ->> 'industry'
        FROM parties AS party JOIN things AS thing ON thing.name = party.name AND thing.kind = 'organisation'
        WHERE party.evidence = ANY (hers.evidences) AND thing.fields ->> 'industry' <> ''
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

-- name: rule
-- A rule's verdict.
({segment}, {version}, hers.counts AND {holds}, CASE WHEN hers.counts THEN {wakes} END)
