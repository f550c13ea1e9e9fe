-- Which questions do API keys ask the durable tables?

-- name: create
-- A new key, unless its colleague is none who is registered; only the hash of its secret is kept.
INSERT INTO storyline.api_keys
    (key_id, secret_hash, label, scopes, sources, types, created_at, expires_at, user_code)
SELECT
    %(key_id)s, %(secret_hash)s, %(label)s, %(scopes)s, %(sources)s, %(types)s, %(created_at)s, %(expires_at)s,
    %(user)s::text
WHERE %(user)s::text IS NULL OR EXISTS (SELECT FROM storyline.people WHERE code = %(user)s::text);

-- name: list
-- All keys, revoked ones too, oldest first.
SELECT key_id, label, scopes, sources, types, created_at, expires_at, revoked_at, user_code AS "user"
FROM storyline.api_keys
ORDER BY created_at, key_id;

-- name: revoke
-- A key is revoked once; the time stays.
UPDATE storyline.api_keys
SET revoked_at = coalesce(revoked_at, %(revoked_at)s)
WHERE key_id = %(key_id)s
RETURNING key_id, label, scopes, sources, types, created_at, expires_at, revoked_at, user_code AS "user";

-- name: find
-- One key, to compare the secret of a caller with.
SELECT key_id, label, scopes, sources, types, created_at, expires_at, revoked_at, user_code AS "user", secret_hash
FROM storyline.api_keys
WHERE key_id = %(key_id)s;
