-- How do staged rows come into the directory? Those that are there stay as they are, in sorted order, so that two
-- projectors do not deadlock; nothing of an erased evidence comes in again.

-- name: hold_erasures
-- An erasure takes this lock alone; so it has either emptied the directory after this transaction, or left its note
-- of what is erased before.
SELECT pg_advisory_xact_lock_shared(7053081011);

-- name: hold_names
-- Who brings claims shares this lock; see `remake_names`.
SELECT pg_advisory_xact_lock_shared(7053081013);

-- name: identifiers
-- Identifiers follow from the evidence alone.
INSERT INTO identifiers (evidence, node, kind, namespace, value)
SELECT DISTINCT ON (s.evidence, s.node) s.evidence, s.node, s.kind, s.namespace, s.value
FROM staged_identifiers AS s LEFT JOIN storyline.erased ON erased.evidence = s.evidence
WHERE erased.evidence IS NULL
ORDER BY s.evidence, s.node
ON CONFLICT DO NOTHING;

-- name: claims
-- One claim per event and person in it.
INSERT INTO claims (name, place, evidence, happened_at, recorded_at, source, fields)
SELECT s.name, s.place, s.evidence, s.happened_at, s.recorded_at, s.source, s.fields
FROM staged_claims AS s LEFT JOIN storyline.erased ON erased.evidence = s.evidence
WHERE erased.evidence IS NULL
ORDER BY s.name, s.place
ON CONFLICT DO NOTHING;

-- name: terms
-- What a search looks through.
INSERT INTO terms (evidence, kind, term)
SELECT DISTINCT s.evidence, s.kind, s.term
FROM staged_terms AS s LEFT JOIN storyline.erased ON erased.evidence = s.evidence
WHERE erased.evidence IS NULL
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: words
-- Every word of a name begins one of its terms.
INSERT INTO words (word)
SELECT DISTINCT split_part(s.term, ' ', 1)
FROM staged_terms AS s LEFT JOIN storyline.erased ON erased.evidence = s.evidence
WHERE erased.evidence IS NULL AND s.kind IN ('name', 'turned')
ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: codes
-- Codes are personal to nobody.
INSERT INTO codes (ref, kind, namespace, value, term)
SELECT DISTINCT ON (ref) ref, kind, namespace, value, term FROM staged_codes
ORDER BY ref
ON CONFLICT DO NOTHING;

-- name: has_claims
-- Does any of these events claim something?
SELECT EXISTS (SELECT FROM claims WHERE name = ANY (%(names)s::uuid[]));

-- name: remake_names
-- Keep out whoever brings claims: a name that two events claim must not be taken away with the one while the other is
-- on its way.
SELECT pg_advisory_xact_lock(7053081013);

-- name: forget_claims
-- Take away what these events claim; gives whose names have to be made anew.
DELETE FROM claims WHERE name = ANY (%(names)s::uuid[]) RETURNING evidence;

-- name: claims_left
-- What is claimed of these evidences.
SELECT evidence, fields FROM claims WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: names_held
-- Names that these evidences are found by.
SELECT evidence, kind, term FROM terms
WHERE evidence = ANY (%(evidences)s::uuid[]) AND kind IN ('name', 'turned');

-- name: forget_terms
-- Take away names that nothing claims any more.
DELETE FROM terms
USING unnest(%(evidences)s::uuid[], %(kinds)s::text[], %(terms)s::text[]) AS gone (evidence, kind, term)
WHERE terms.evidence = gone.evidence AND terms.kind = gone.kind AND terms.term = gone.term;

-- name: forget_words
-- Take away words that no name holds any more: none begins with it, where a blank or the end follows.
DELETE FROM words
USING unnest(%(words)s::text[]) AS gone (word)
WHERE words.word = gone.word AND NOT EXISTS (
    SELECT FROM terms
    WHERE terms.kind IN ('name', 'turned') AND terms.term ~>=~ gone.word AND terms.term ~<~ (gone.word || '!')
);

-- name: words_held
-- Words of the names of these evidences.
SELECT DISTINCT split_part(term, ' ', 1) FROM terms
WHERE evidence = ANY (%(evidences)s::uuid[]) AND kind IN ('name', 'turned');

-- name: claims_within
-- Events whose own person is erased: what they claim of others was sealed under the key that is gone.
SELECT DISTINCT claims.name
FROM events JOIN claims ON claims.name = events.name
WHERE events.evidence = ANY (%(evidences)s::uuid[]);

-- name: erase_identifiers
-- Identifiers of erased evidences.
DELETE FROM identifiers WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: erase_claims
-- What is claimed of erased evidences.
DELETE FROM claims WHERE evidence = ANY (%(evidences)s::uuid[]);

-- name: erase_terms
-- What erased evidences are found by.
DELETE FROM terms WHERE evidence = ANY (%(evidences)s::uuid[]);
