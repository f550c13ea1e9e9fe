-- Erasures, and the extension that search stands on.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- Evidences whose keys were destroyed: nothing of them may come into the directory again, whatever is still in a cache.
-- The ledger of erasures, which is kept apart from this database, fills it anew after a restore.
CREATE TABLE storyline.erased (
    evidence uuid PRIMARY KEY,
    erasure uuid NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
);
