-- What does each leaf of a rule ask its source for? Fragments, which the compilers of leaves fill.

-- name: of_type
-- An event is of this type.
{row}.type = {type}

-- name: of_types
-- An event is of one of these types.
{row}.type = ANY ({types})

-- name: touch
-- An event is a touchpoint.
e.touch

-- name: says_text
-- A text stands in the bytes of an event.
(position({text} IN e.record) > 0)

-- name: how_many
-- Sums of touchpoints that are meant.
coalesce(sum(contact.touchpoints) FILTER (WHERE contact.{chosen}), 0)::bigint

-- name: first_met
-- The first of them.
min(contact.first_at) FILTER (WHERE contact.{chosen})

-- name: last_met
-- The last of them.
max(contact.last_at) FILTER (WHERE contact.{chosen})

-- name: contact_text
-- A channel or direction of a sum; unknown is kept as an empty text there.
nullif(one.{column}, '')

-- name: in_bounds
-- What a sum of touchpoints says of how many of them lie in a window: all, at least one, or none.
CASE WHEN {last} IS NULL OR {outside} THEN 0 WHEN {inside} THEN {many} ELSE 1 END

-- name: leaves_at
-- When what lies in the last while begins to leave it, if anything does.
CASE WHEN {last} > {lower} THEN CASE WHEN {first} > {lower} THEN {first} ELSE {last} END + {length} END

-- name: last_leaves_at
-- When the last of what lies in the last while leaves it.
CASE WHEN {last} > {lower} THEN {last} + {length} END

-- name: straddles
-- Sums alone do not say how many lie in a window.
({last} IS NOT NULL AND NOT {outside} AND NOT {inside} AND {undecided})

-- name: may_be
-- Sums say that some may lie in a window.
({last} IS NOT NULL AND NOT {outside})

-- name: where
-- Only where it is asked for.
CASE WHEN {chosen} THEN {x} END

-- name: case
-- One of two ways.
CASE WHEN {open} THEN {first} ELSE {second} END

-- name: counted
-- How many events are meant.
count(*) FILTER (WHERE event.{chosen})

-- name: newest_at
-- When the newest events that are meant were, the newest first: along the index of each story, up to as many as make a
-- difference, so that it makes none how many there are.
CASE WHEN {open} THEN ARRAY(
    SELECT newest.happened_at
    FROM evidences AS her
    CROSS JOIN LATERAL (
        SELECT e.happened_at
        FROM (
            SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction FROM events AS e
            WHERE e.evidence = her.evidence AND {span}
            ORDER BY e.happened_at DESC, e.name DESC
            OFFSET 0
        ) AS e
        WHERE {chosen} AND NOT EXISTS (SELECT FROM corrected WHERE corrected.name = e.name AND corrected.retracted)
        ORDER BY e.happened_at DESC, e.name DESC
        LIMIT {most}
    ) AS newest
    WHERE her.customer = asked.customer
    ORDER BY newest.happened_at DESC
    LIMIT {most}
) END

-- name: last_such_at
-- When the last event was that is meant, read one by one along the index of each story, the newest first, up to the first
-- that is: so that it makes no difference how long a story is in which such events are not rare.
CASE WHEN {open} THEN (
    SELECT max(found.happened_at)
    FROM evidences AS her
    CROSS JOIN LATERAL (
        SELECT e.happened_at
        FROM (
            SELECT e.*{lists}
            FROM (
                SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction, e.head, {content} AS content
                FROM (
                    SELECT heard.name, heard.happened_at, heard.type, heard.touch, heard.channel, heard.direction,
                        heard.head, {right}
                    FROM (
                        SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction,
                            convert_from(e.record, 'UTF8')::jsonb AS head,
                            CASE WHEN amendment.name IS NOT NULL
                                THEN convert_from(amendment.record, 'UTF8')::jsonb -> 'public' END AS amended
                        FROM (
                            SELECT e.name, e.happened_at, e.type, e.touch, e.channel, e.direction, e.record
                            FROM events AS e
                            WHERE e.evidence = her.evidence AND {matches}
                            ORDER BY e.happened_at DESC, e.name DESC
                            LIMIT {most}
                        ) AS e
                        LEFT JOIN LATERAL (
                            SELECT * FROM corrected WHERE corrected.name = e.name OFFSET 0
                        ) AS corrected ON true
                        LEFT JOIN LATERAL (
                            SELECT * FROM events WHERE events.name = corrected.amended_by OFFSET 0
                        ) AS amendment ON true
                        WHERE corrected.retracted IS NOT TRUE AND (corrected.amended_by IS NOT NULL OR {says})
                    ) AS heard
                ) AS e
            ) AS e
        ) AS e
        WHERE {chosen}
        ORDER BY e.happened_at DESC, e.name DESC
        LIMIT 1
    ) AS found
    WHERE her.customer = asked.customer
) END

-- name: right
-- The version and the content of an event that count: what it says itself, or what was said to be right.
CASE WHEN heard.amended ->> 'type' = heard.type THEN coalesce((heard.amended ->> 'version')::integer, 1)
    ELSE (heard.head ->> 'version')::integer END AS version,
CASE WHEN heard.amended ->> 'type' = heard.type THEN heard.amended -> 'content'
    ELSE heard.head -> 'public' END AS content

-- name: is_long
-- A story is so long that it is not read whole for a single event.
({many} > {most})

-- name: one_or
-- One, where the moment of one is known.
CASE WHEN {at} IS NOT NULL THEN 1 ELSE {many} END

-- name: how_many_newest
-- How many there are.
cardinality({newest})

-- name: oldest_of_newest
-- The oldest of them.
{newest}[cardinality({newest})]

-- name: earliest
-- The first of them.
min(event.happened_at) FILTER (WHERE event.{chosen})

-- name: latest
-- The last of them.
max(event.happened_at) FILTER (WHERE event.{chosen})

-- name: sum_of
-- The sum of a number of theirs; of what is no number nothing.
coalesce(sum(event.{value}) FILTER (WHERE event.{chosen}), 0)

-- name: min_of
-- The least of a number of theirs.
min(event.{value}) FILTER (WHERE event.{chosen})

-- name: max_of
-- The greatest of a number of theirs.
max(event.{value}) FILTER (WHERE event.{chosen})

-- name: first_of
-- What the first of them says.
(array_agg(event.{value} ORDER BY event.happened_at, event.name) FILTER (WHERE event.{chosen}))[1]

-- name: last_of
-- What the last of them says.
(array_agg(event.{value} ORDER BY event.happened_at DESC, event.name DESC) FILTER (WHERE event.{chosen}))[1]

-- name: whole_days
-- Whole days of 24 hours since a moment.
floor(extract(epoch FROM %(now)s::timestamptz - {moment}) / 86400)

-- name: event_text
-- What the record says in clear beside its content.
(e.head ->> {name})

-- name: campaigns
-- The campaigns that an event names, in clear and by their values.
ARRAY(
    SELECT spelling FROM jsonb_array_elements_text(e.head -> 'refs') AS named (ref)
    CROSS JOIN LATERAL (VALUES (named.ref), (substr(named.ref, strpos(named.ref, ':') + 1))) AS both_ways (spelling)
    WHERE named.ref LIKE 'campaign:%%' OR named.ref LIKE 'campaign/%%'
)

-- name: products
-- The products that an event names.
ARRAY(
    SELECT substr(named.ref, strpos(named.ref, ':') + 1) FROM jsonb_array_elements_text(e.head -> 'refs') AS named (ref)
    WHERE named.ref LIKE 'product:%%' OR named.ref LIKE 'product/%%'
    UNION ALL
    SELECT e.content ->> 'product' WHERE e.content ->> 'product' <> ''
    UNION ALL
    SELECT line.value ->> 'product'
    FROM jsonb_array_elements(CASE jsonb_typeof(e.content -> 'lines') WHEN 'array' THEN e.content -> 'lines' END) AS line
    WHERE line.value ->> 'product' <> ''
)

-- name: categories
-- The categories that an event names, and those of its products.
ARRAY(
    SELECT e.content ->> 'category' WHERE e.content ->> 'category' <> ''
    UNION ALL
    SELECT line.value ->> 'category'
    FROM jsonb_array_elements(CASE jsonb_typeof(e.content -> 'lines') WHEN 'array' THEN e.content -> 'lines' END) AS line
    WHERE line.value ->> 'category' <> ''
    UNION ALL
    SELECT described.category
    FROM unnest({products}) AS one (product)
    CROSS JOIN LATERAL (
        SELECT things.fields ->> 'category' AS category FROM things
        WHERE things.kind = 'product' AND things.ref = one.product AND things.fields ? 'category'
        ORDER BY things.happened_at DESC, things.name DESC
        LIMIT 1
    ) AS described
    WHERE described.category <> ''
)

-- name: path
-- A field of a content.
{x} -> {name}

-- name: raised_rename
-- A field that has another name since.
CASE WHEN {x} ? {old} THEN ({x} - {old}) || jsonb_build_object({new}, {x} -> {old}) ELSE {x} END

-- name: raised_default
-- Fields that are there since.
({defaults} || {x})

-- name: raised_removed
-- Fields that are there no more.
({x} - {names})

-- name: raised
-- The content of an older version as the present one has it.
CASE WHEN e.type = {type} AND e.version <= {version} AND jsonb_typeof({x}) = 'object' THEN {anew} ELSE {x} END

-- name: sequence
-- The events that matter to a sequence, numbered in their order.
{name} AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY happened_at, name) AS n, happened_at, {marks} FROM matched WHERE {any_mark}
),
{first} AS MATERIALIZED (
    SELECT one.*, CASE WHEN s1 THEN n END AS begun, CASE WHEN s1 THEN happened_at END AS begun_at FROM {name} AS one
)

-- name: step
-- A further step: where the chain begins that ends here. Of the chains before, that which ends last begins last, too; so
-- it is the one to go on from, if it is not too long ago.
{name} AS MATERIALIZED (
    SELECT one.n, one.happened_at, {marks},
        CASE WHEN one.{mark} AND {in_time} THEN one.last_begun END AS begun,
        CASE WHEN one.{mark} AND {in_time} THEN one.last_begun_at END AS begun_at
    FROM (
        SELECT one.*, max(begun) OVER before AS last_begun, max(begun_at) OVER before AS last_begun_at,
            max(happened_at) FILTER (WHERE begun IS NOT NULL) OVER before AS last_ended_at
        FROM {before} AS one
        WINDOW before AS (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) AS one
)

-- name: in_time
-- Not too long ago.
one.happened_at - one.last_ended_at <= {length}

-- name: ended
-- The chains that reached their end, with when they began, and when after them the first came that must not.
{name} AS MATERIALIZED (
    SELECT one.happened_at, one.begun_at, one.then_at
    FROM (SELECT n, happened_at, begun, begun_at, {between} AS between_n, {then_at} AS then_at FROM {before}) AS one
    WHERE one.begun IS NOT NULL AND (one.between_n IS NULL OR one.between_n <= one.begun)
)

-- name: last_between
-- The last before this one that must not lie between.
max(n) FILTER (WHERE w) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)

-- name: next_absent
-- The first after this one that must not come.
min(happened_at) FILTER (WHERE a) OVER (ORDER BY n DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)

-- name: sequence_holds
-- There is a chain.
(SELECT count(*) > 0 FROM {name} AS ended WHERE {over})

-- name: sequence_over
-- Nothing of what must not come came in its time, which is over.
(ended.then_at IS NULL OR ended.then_at > ended.happened_at + {length})
    AND ended.happened_at + {length} <= %(now)s::timestamptz

-- name: sequence_over_at
-- When that time is over for a chain that nothing came after yet.
(
    SELECT min(ended.happened_at + {length}) FROM {name} AS ended
    WHERE (ended.then_at IS NULL OR ended.then_at > ended.happened_at + {length})
        AND ended.happened_at + {length} > %(now)s::timestamptz
)

-- name: sequence_leaves_at
-- When the last chain leaves the window.
(SELECT max(ended.begun_at) + {length} FROM {name} AS ended WHERE {over})

-- name: orders
-- Distinct orders with a purchase that counts.
count(DISTINCT trades.order_key) FILTER (WHERE trades.counts AND NOT trades.refund AND {currency})

-- name: revenue
-- What was bought, of what counts.
coalesce(sum(trades.amount) FILTER (WHERE trades.counts AND NOT trades.refund AND {currency}), 0)

-- name: refunds
-- What was given back, of what counts; positive.
coalesce(-sum(trades.amount) FILTER (WHERE trades.counts AND trades.refund AND {currency}), 0)

-- name: orders_summed
-- The same by sums, where each purchase is an order of its own.
coalesce(sum(sums.purchases) FILTER (WHERE {currency}), 0)::bigint

-- name: revenue_summed
-- What was bought, by sums.
coalesce(sum(sums.revenue) FILTER (WHERE {currency}), 0)

-- name: refunds_summed
-- What was given back, by sums.
coalesce(sum(sums.refunds) FILTER (WHERE {currency}), 0)

-- name: is_doubtful
-- Sums do not tell how many orders there were.
summed.doubtful

-- name: average
-- Revenue for each order, rounded half to even at the cent; unknown without an order.
CASE WHEN {orders} > 0 THEN (
    SELECT (whole + CASE
        WHEN 2 * (cents - whole * {orders}) > {orders} THEN 1
        WHEN 2 * (cents - whole * {orders}) = {orders} THEN mod(whole, 2)
        ELSE 0
    END) / 100
    FROM (SELECT {revenue} * 100 AS cents, div({revenue} * 100, {orders}) AS whole) AS split
) END

-- name: of_currency
-- In one currency.
{row}.currency = {currency}

-- name: bought_last
-- When the last purchase that counts was.
max(purchase.happened_at)

-- name: trade_country
-- The country of the last trade that says one.
(array_agg(trades.country ORDER BY trades.happened_at DESC, trades.name DESC) FILTER (WHERE trades.country <> ''))[1]

-- name: reached
-- How many edges a figure has reached.
({edges})

-- name: edge
-- Whether one is reached: 1 or 0.
({x} >= {edge})::integer

-- name: since_last
-- How long ago a moment is.
(%(now)s::timestamptz - {moment})

-- name: claims_of
-- What the latest claim says that says something of these fields.
(array_agg({value} ORDER BY claims.happened_at DESC, claims.name DESC, claims.place DESC) FILTER (WHERE {says}))[1]

-- name: says
-- A claim says something of a field.
claims.fields ? {field}

-- name: claimed_field
-- A field as it is claimed.
claims.fields -> {field}

-- name: known_json
-- A JSON value, null where it is cleared.
nullif({x}, 'null'::jsonb)

-- name: node_is
-- An identifier of a kind.
node.kind = {kind} AND {namespace}

-- name: node_space
-- In a namespace.
node.namespace = {namespace}

-- name: any_node
-- One of the identifiers is so.
coalesce(bool_or({holds}), false)

-- name: how_many_items
-- How many items are so.
count(*) FILTER (WHERE {holds})

-- name: next_turn
-- When the next of them may be so, or no more.
min({moment})

-- name: on_list
-- The customer is on a list.
({code} = ANY (leaf.lists))

-- name: first_text
-- The first of three texts that says something.
coalesce(nullif({one}, ''), nullif({two}, ''), {three})

-- name: node_counts
-- An event that counts names it.
node.first_at IS NOT NULL

-- name: is_cleared
-- A claim says nothing of a field, or that there is nothing.
coalesce({value}, 'null'::jsonb) = 'null'::jsonb

-- name: not_cleared
-- There is such a claim, and it says something.
({cleared}) IS FALSE

-- name: of_source
-- A claim is of a source, or of one below it.
(claims.source = {source} OR starts_with(claims.source, {source} || '/'))

-- name: most_frequent
-- The value that was claimed most often since it was cleared last.
(
    SELECT (array_agg(told.value ORDER BY told.place))[1]
    FROM (
        SELECT {value} AS value, jsonb_build_array({parts})::text AS spelling,
            row_number() OVER (ORDER BY claims.happened_at DESC, claims.name DESC, claims.place DESC) AS place,
            bool_or({cleared}) OVER (
                ORDER BY claims.happened_at DESC, claims.name DESC, claims.place DESC
            ) AS is_over
        FROM evidences AS her
        CROSS JOIN LATERAL (SELECT * FROM claims WHERE claims.evidence = her.evidence OFFSET 0) AS claims
        WHERE her.customer = asked.customer AND {says}
    ) AS told
    WHERE NOT told.is_over
    GROUP BY told.spelling
    ORDER BY count(*) DESC, min(told.place)
    LIMIT 1
)

-- name: stands
-- What stands is this.
({standing} = {wanted})

-- name: on_purpose
-- A word on a purpose, on a channel or on every one.
word.purpose = {purpose} AND word.channel = ANY ({channels})

-- name: last_word
-- When the last such word was.
max(word.happened_at) FILTER (WHERE {granted} AND {chosen})

-- name: standing
-- What stands by the last grant and the last withdrawal, where those say it all.
CASE
    WHEN {taken} IS NULL THEN CASE WHEN {given} IS NULL THEN 'unknown' ELSE 'granted' END
    WHEN {given} IS NULL OR {given} <= {taken} THEN 'withdrawn'
    ELSE {by_evidence}
END

-- name: by_evidence
-- What stands where a grant came after a withdrawal: of each evidence its last grant and its last withdrawal say it all
-- (see domain/consents.py). A grant takes back an earlier withdrawal on another evidence only if the two were known to
-- be one person by then: joined by links (evidences, and stewards' merges) that are no later than the grant.
(
    WITH word AS MATERIALIZED (
        SELECT DISTINCT ON (word.evidence, word.granted) word.evidence, word.granted, word.happened_at
        FROM evidences AS her
        CROSS JOIN LATERAL (SELECT * FROM consents WHERE consents.evidence = her.evidence OFFSET 0) AS word
        WHERE her.customer = asked.customer AND {chosen}
        ORDER BY word.evidence, word.granted, word.happened_at DESC, word.name DESC
    )
    SELECT CASE WHEN EXISTS (
        SELECT FROM word AS taken
        WHERE NOT taken.granted AND NOT EXISTS (
            SELECT FROM word AS given
            WHERE given.granted AND given.happened_at > taken.happened_at
                AND (given.evidence = taken.evidence OR given.happened_at >= ({all_joined}) OR ({joined}))
        )
    ) THEN 'withdrawn' ELSE 'granted' END
)

-- name: all_joined
-- Since when all that is the customer's was known to be.
SELECT greatest(
    (SELECT max(e.first_at) FROM evidences AS e WHERE e.customer = asked.customer),
    (
        SELECT max(ruling.at) FROM rulings AS ruling
        WHERE ruling.merges AND ruling.counts
            AND ruling.nodes && ARRAY(SELECT node.node FROM nodes AS node WHERE node.customer = asked.customer)
    )
)

-- name: joined
-- Whether two evidences were joined by links until a moment.
WITH RECURSIVE own AS MATERIALIZED (
    SELECT node.node FROM nodes AS node WHERE node.customer = asked.customer AND NOT node.shared
),
linked AS MATERIALIZED (
    SELECT e.evidence, e.first_at AS at, ARRAY(
        SELECT own.node FROM own WHERE own.node = ANY (e.nodes) ORDER BY own.node
    ) AS nodes
    FROM evidences AS e WHERE e.customer = asked.customer
    UNION ALL
    SELECT NULL, ruling.at, ARRAY(SELECT own.node FROM own WHERE own.node = ANY (ruling.nodes))
    FROM rulings AS ruling
    WHERE ruling.merges AND ruling.counts AND ruling.nodes && ARRAY(SELECT own.node FROM own)
),
reached (node) AS (
    SELECT linked.nodes[1] FROM linked WHERE linked.evidence = given.evidence
    UNION
    SELECT further.node
    FROM reached JOIN linked ON linked.at <= given.happened_at AND reached.node = ANY (linked.nodes)
    CROSS JOIN unnest(linked.nodes) AS further (node)
)
SELECT EXISTS (
    SELECT FROM reached JOIN linked ON linked.evidence = taken.evidence AND linked.nodes[1] = reached.node
)
