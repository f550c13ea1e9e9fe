-- Which questions do API keys ask the durable tables?

-- name: create
-- A new key; only the hash of its secret is kept.
INSERT INTO storyline.api_keys (key_id, secret_hash, label, scopes, sources, types, created_at, expires_at)
VALUES (%(key_id)s, %(secret_hash)s, %(label)s, %(scopes)s, %(sources)s, %(types)s, %(created_at)s, %(expires_at)s);

-- name: list
-- All keys, revoked ones too, oldest first.
SELECT key_id, label, scopes, sources, types, created_at, expires_at, revoked_at
FROM storyline.api_keys
ORDER BY created_at, key_id;

-- name: revoke
-- A key is revoked once; the time stays.
UPDATE storyline.api_keys
SET revoked_at = coalesce(revoked_at, %(revoked_at)s)
WHERE key_id = %(key_id)s
RETURNING key_id, label, scopes, sources, types, created_at, expires_at, revoked_at;

-- name: find
-- One key, to compare the secret of a caller with.
SELECT key_id, label, scopes, sources, types, created_at, expires_at, revoked_at, secret_hash
FROM storyline.api_keys
WHERE key_id = %(key_id)s;
