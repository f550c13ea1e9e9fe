-- Which segments count as of now?

-- name: generation
-- How often definitions changed.
SELECT generation FROM storyline.segment_state;

-- name: active
-- Segments that are kept, whether entering and leaving are told, and which versions of their rules count or are being
-- found out.
SELECT code, kind, announce, serving, filling FROM storyline.segments WHERE state = 'active' ORDER BY code;

-- name: rules
-- The rules of those.
SELECT v.segment, v.version, v.rule, v.hash
FROM storyline.segment_versions AS v JOIN storyline.segments AS s ON s.code = v.segment
WHERE s.state = 'active' AND v.version IN (s.serving, s.filling)
ORDER BY v.segment, v.version;

-- name: kept
-- By which definitions this build was found out, if it was.
SELECT generation FROM kept;

-- name: noted
-- Is every customer a subject?
SELECT noted FROM kept;

-- name: note_noted
-- From now on, or no more.
UPDATE kept SET noted = %(noted)s WHERE noted <> %(noted)s;

-- name: note_kept
-- It was found out by these.
INSERT INTO kept (generation) VALUES (%(generation)s)
ON CONFLICT (one) DO UPDATE SET generation = excluded.generation;
