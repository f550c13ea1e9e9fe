-- How is a customer found by a few typed letters? Each query reads a bounded number of rows, whatever was typed.

-- name: at_once
-- Evidences by an exact term (`rank` 1: an identifier, 2: a name), by the number of an order (3: exact, 4: its beginning)
-- and by the beginning of a term (4). Of terms with one beginning the first ones are walked to from one to the next,
-- so that one that many evidences have does not hide the others.
WITH RECURSIVE wanted (prefix, above) AS (
    SELECT prefix, prefix || U&'\+10FFFF' FROM unnest(%(prefixes)s::text[]) AS asked (prefix)
),
walk (prefix, above, term, step) AS (
    SELECT wanted.prefix, wanted.above, first.term, 1
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT terms.term FROM directory.terms
        WHERE terms.term ~>=~ wanted.prefix AND terms.term ~<~ wanted.above
        ORDER BY terms.term USING ~<~ LIMIT 1
    ) AS first
    UNION ALL
    SELECT walk.prefix, walk.above, next.term, walk.step + 1
    FROM walk
    CROSS JOIN LATERAL (
        SELECT terms.term FROM directory.terms
        WHERE terms.term ~>~ walk.term AND terms.term ~<~ walk.above
        ORDER BY terms.term USING ~<~ LIMIT 1
    ) AS next
    WHERE walk.step < %(terms)s
),
numbers AS (
    SELECT codes.ref, codes.kind, codes.value, CASE WHEN codes.term = %(code)s THEN 3 ELSE 4 END AS rank
    FROM directory.codes
    WHERE codes.term ~>=~ %(code)s::text AND codes.term ~<~ (%(code)s::text || U&'\+10FFFF')
        AND %(code)s::text <> ''
    ORDER BY codes.term USING ~<~, codes.ref LIMIT %(terms)s
),
hits (evidence, rank, kind, found) AS (
    SELECT hit.evidence, CASE WHEN exact.kind IN ('name', 'turned') THEN 2 ELSE 1 END, exact.kind, exact.term
    FROM unnest(%(kinds)s::text[], %(exact)s::text[]) AS exact (kind, term)
    CROSS JOIN LATERAL (
        SELECT terms.evidence FROM directory.terms
        WHERE terms.term = exact.term AND terms.kind = exact.kind LIMIT %(each)s
    ) AS hit
    UNION ALL
    SELECT events.evidence, numbers.rank, numbers.kind, numbers.value
    FROM numbers
    CROSS JOIN LATERAL (
        SELECT refs.name FROM timeline.refs
        WHERE refs.ref = numbers.ref
        ORDER BY refs.happened_at DESC, refs.name DESC LIMIT %(spread)s
    ) AS told
    JOIN timeline.events ON events.name = told.name AND events.evidence IS NOT NULL
    UNION ALL
    SELECT hit.evidence, 4, hit.kind, walk.term
    FROM walk
    CROSS JOIN LATERAL (
        SELECT terms.evidence, terms.kind FROM directory.terms WHERE terms.term = walk.term LIMIT %(spread)s
    ) AS hit
    LIMIT %(each)s
)
SELECT evidences.customer, hits.rank, hits.kind, hits.found, 1.0::real AS likeness
FROM hits JOIN identity.evidences ON evidences.evidence = hits.evidence;

-- name: be_tolerant
-- How alike counts as alike, and how long to look, for one transaction.
SELECT set_config('pg_trgm.similarity_threshold', %(words)s, true),
    set_config('pg_trgm.word_similarity_threshold', %(addresses)s, true),
    set_config('statement_timeout', %(patience)s, true);

-- name: likely_words
-- Words of names that share letters in a row with a typed one, the likeliest first.
SELECT typed.word, likely.word
FROM unnest(%(typed)s::text[]) AS typed (word)
CROSS JOIN LATERAL (
    SELECT words.word FROM directory.words
    WHERE words.word %% typed.word
    ORDER BY similarity(words.word, typed.word) DESC, words.word LIMIT %(likely)s
) AS likely;

-- name: named
-- Evidences by the beginnings of names, each between two bounds, the likeliest first.
SELECT evidences.customer, 5 AS rank, hits.kind, hits.term AS found, hits.likeness
FROM (
    SELECT hit.evidence, hit.kind, hit.term, span.likeness
    FROM unnest(%(low)s::text[], %(high)s::text[], %(likeness)s::real[]) AS span (low, high, likeness)
    CROSS JOIN LATERAL (
        SELECT terms.evidence, terms.kind, terms.term FROM directory.terms
        WHERE terms.term ~>=~ span.low AND terms.term ~<~ span.high AND terms.kind IN ('name', 'turned')
        LIMIT %(spread)s
    ) AS hit
    LIMIT %(each)s
) AS hits
JOIN identity.evidences ON evidences.evidence = hits.evidence;

-- name: addressed
-- Evidences by e-mail addresses that hold something like it before their @: of the first ones the likeliest.
SELECT evidences.customer, 5 AS rank, 'email' AS kind, hits.term AS found, hits.likeness
FROM (
    SELECT close.evidence, close.term, similarity(%(address)s, split_part(close.term, '@', 1)) AS likeness
    FROM (
        SELECT terms.evidence, terms.term FROM directory.terms
        WHERE terms.kind = 'email' AND %(address)s <%% split_part(terms.term, '@', 1) LIMIT %(close)s
    ) AS close
    ORDER BY likeness DESC, close.term, close.evidence LIMIT %(each)s
) AS hits
JOIN identity.evidences ON evidences.evidence = hits.evidence;

-- name: by_node
-- Whose identifier is it? For kinds that no term holds.
SELECT nodes.customer, 1 AS rank, nodes.kind, NULL::text AS found, 1.0::real AS likeness
FROM identity.nodes WHERE nodes.node = ANY (%(nodes)s::uuid[]);

-- name: contacts
-- When were these customers met last, and how often? Over the first evidences of each.
SELECT asked.customer, max(contacts.last_at), coalesce(sum(contacts.touchpoints), 0)::bigint
FROM unnest(%(customers)s::uuid[]) AS asked (customer)
CROSS JOIN LATERAL (
    SELECT evidences.evidence FROM identity.evidences WHERE evidences.customer = asked.customer LIMIT %(evidences)s
) AS hers
JOIN customers.contacts ON contacts.evidence = hers.evidence
GROUP BY asked.customer;

-- name: names
-- What is claimed of the names of these customers, newest first; each part is JSON, absent where the claim has none.
SELECT asked.customer, claim.name, claim.given_name, claim.family_name
FROM unnest(%(customers)s::uuid[]) AS asked (customer)
CROSS JOIN LATERAL (
    SELECT (claims.fields -> 'name')::text AS name, (claims.fields -> 'given_name')::text AS given_name,
        (claims.fields -> 'family_name')::text AS family_name
    FROM (
        SELECT evidences.evidence FROM identity.evidences
        WHERE evidences.customer = asked.customer LIMIT %(evidences)s
    ) AS hers
    JOIN directory.claims ON claims.evidence = hers.evidence
    WHERE claims.fields ?| ARRAY['name', 'given_name', 'family_name']
    ORDER BY claims.happened_at DESC, claims.name DESC LIMIT %(claims)s
) AS claim;

-- name: identifiers
-- Some identifiers of these customers, the strongest kinds first; without what is of somebody who was erased, and
-- stands in an event of theirs by a disputed link.
SELECT asked.customer, known.kind, known.value, known.namespace
FROM unnest(%(customers)s::uuid[]) AS asked (customer)
CROSS JOIN LATERAL (
    SELECT DISTINCT array_position(%(order)s::text[], identifiers.kind) AS place,
        identifiers.kind, identifiers.value, identifiers.namespace
    FROM (
        SELECT evidences.evidence FROM identity.evidences
        WHERE evidences.customer = asked.customer LIMIT %(evidences)s
    ) AS hers
    JOIN directory.identifiers ON identifiers.evidence = hers.evidence
    WHERE NOT EXISTS (SELECT FROM storyline.erased_nodes AS gone WHERE gone.node = identifiers.node)
    ORDER BY place, identifiers.value, identifiers.namespace LIMIT %(identifiers)s
) AS known;
