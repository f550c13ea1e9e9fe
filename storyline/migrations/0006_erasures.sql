-- Erasures, and the extension that search stands on: in `public`, where the read models look for it, not in a schema
-- that happens to be called as the role.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;

-- Evidences whose keys were destroyed: nothing of them may come into the directory again, whatever is still in a cache.
-- The ledger of erasures, which is kept apart from this database, fills it anew after a restore.
CREATE TABLE storyline.erased (
    evidence uuid PRIMARY KEY,
    erasure uuid NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now()
);

-- Nodes that were erased: nothing that is said of them from now on is of anyone; what was on its way is erased, too.
CREATE TABLE storyline.erased_nodes (
    node uuid PRIMARY KEY,
    erasure uuid NOT NULL
);
CREATE INDEX erased_nodes_of ON storyline.erased_nodes (erasure);
CREATE INDEX erased_of ON storyline.erased (erasure);

-- Which entries of the ledger this database has taken up, as they stand in the ledger: each can mend the other.
CREATE TABLE storyline.ledger (
    number bigint PRIMARY KEY,
    kind text NOT NULL,
    erasure uuid NOT NULL,
    line text NOT NULL
);
CREATE INDEX ledger_of ON storyline.ledger (erasure, number);

-- Erasures and how far each has come; one that is not `certified` is gone on with at every start.
CREATE TABLE storyline.erasures (
    id uuid PRIMARY KEY,
    customer uuid NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL,
    why text NOT NULL,
    step text NOT NULL DEFAULT 'recorded'
        CHECK (step IN ('recorded', 'destroyed', 'searched', 'emptied', 'certified')),
    certificate jsonb
);
CREATE INDEX erasures_page ON storyline.erasures (at, id);
CREATE INDEX erasures_open ON storyline.erasures (at) WHERE step <> 'certified';
