-- name: install
-- The key store's tables; safe to run again.
CREATE SCHEMA IF NOT EXISTS keyring;
CREATE TABLE IF NOT EXISTS keyring.hashing (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    wrapped bytea NOT NULL,
    master text NOT NULL
);
CREATE TABLE IF NOT EXISTS keyring.keys (
    key_id uuid PRIMARY KEY,
    wrapped bytea,
    master text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);
CREATE TABLE IF NOT EXISTS keyring.generations (
    token uuid PRIMARY KEY,
    generation integer NOT NULL CHECK (generation > 0)
);
-- Entries of the ledger of erasures that were applied here, by their hash.
CREATE TABLE IF NOT EXISTS keyring.ledger (
    mark text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: lock
-- One process at a time installs.
SELECT pg_advisory_xact_lock(7053081001);

-- name: insert_hashing
-- The first process to come makes the hashing key; it never changes after.
INSERT INTO keyring.hashing (wrapped, master) VALUES (%(wrapped)s, %(master)s) ON CONFLICT DO NOTHING;

-- name: read_hashing
-- The one hashing key, wrapped.
SELECT wrapped, master FROM keyring.hashing;

-- name: update_hashing
-- Wrap the hashing key anew; itself it stays as it is.
UPDATE keyring.hashing SET wrapped = %(wrapped)s, master = %(master)s;

-- name: insert_keys
-- Make the keys that are not there yet, and say which; whoever comes second reads the first one's. Sorted, against
-- deadlocks.
INSERT INTO keyring.keys (key_id, wrapped, master)
SELECT key_id, wrapped, %(master)s FROM unnest(%(ids)s::uuid[], %(wrapped)s::bytea[]) AS made (key_id, wrapped)
ORDER BY key_id
ON CONFLICT DO NOTHING
RETURNING key_id;

-- name: read_keys
-- Wrapped keys by id; wrapped is null for an erased one.
SELECT key_id, wrapped, master FROM keyring.keys WHERE key_id = ANY (%(ids)s::uuid[]);

-- name: read_generations
-- Generations of the identifiers that were erased at least once.
SELECT token, generation FROM keyring.generations WHERE token = ANY (%(tokens)s::uuid[]);

-- name: read_foreign
-- Keys that another master key than the current one wraps, a batch at a time.
SELECT key_id, wrapped, master FROM keyring.keys
WHERE master <> %(master)s AND wrapped IS NOT NULL
ORDER BY key_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: rewrap
-- Store keys that were wrapped anew.
UPDATE keyring.keys AS keys SET wrapped = anew.wrapped, master = %(master)s
FROM unnest(%(ids)s::uuid[], %(wrapped)s::bytea[]) AS anew (key_id, wrapped)
WHERE keys.key_id = anew.key_id;

-- name: count_foreign
-- How many keys are left to wrap anew.
SELECT count(*) FROM keyring.keys WHERE master <> %(master)s AND wrapped IS NOT NULL;

-- name: destroy_keys
-- Make keys unreadable for good; a tombstone stays of each.
UPDATE keyring.keys SET wrapped = NULL, erased_at = now() WHERE key_id = ANY (%(ids)s::uuid[]) AND wrapped IS NOT NULL;

-- name: raise_generations
-- Whoever comes back with one of these identifiers is someone new. Never lowered: an older erasure may be applied again.
INSERT INTO keyring.generations (token, generation)
SELECT token, generation FROM unnest(%(tokens)s::uuid[], %(generations)s::integer[]) AS raised (token, generation)
ORDER BY token
ON CONFLICT (token) DO UPDATE SET generation = greatest(keyring.generations.generation, excluded.generation);

-- name: bury_keys
-- A tombstone for each key that is not there: it is never to be made.
INSERT INTO keyring.keys (key_id, wrapped, master, erased_at)
SELECT key_id, NULL, %(master)s, now() FROM unnest(%(ids)s::uuid[]) AS buried (key_id) ORDER BY key_id
ON CONFLICT DO NOTHING;

-- name: note_applied
-- An entry of the ledger that this store has applied.
INSERT INTO keyring.ledger (mark) VALUES (%(mark)s) ON CONFLICT DO NOTHING;

-- name: applied
-- Which of these entries were applied.
SELECT mark FROM keyring.ledger WHERE mark = ANY (%(marks)s::text[]);
