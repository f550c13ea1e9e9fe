-- Tables of the read model `identity`: who is who. A *node* is a token, an *evidence* a set of them; a *customer* is
-- named by its first node. Facts hang on evidences, so that a merge changes `customer` here and moves no history.

-- name: tables
-- Every identifier that the log knows, by its hash. `first_at`: the earliest time of an event that says it (null where
-- every one of them was taken back). `shared`: too many people have it, so it links nobody. `strong`: the stronger
-- identifiers that stood beside it, `priority:hex`, until there are too many. `direct`: of those with a limit per
-- customer the one that stood beside it first. `component`: whom it could be one with; null for a shared one.
CREATE TABLE nodes (
    node uuid PRIMARY KEY,
    kind text NOT NULL,
    namespace text NOT NULL,
    priority smallint NOT NULL,
    first_at timestamptz,
    shared boolean NOT NULL,
    strong text[] NOT NULL,
    direct uuid,
    direct_at timestamptz,
    component uuid,
    customer uuid NOT NULL
);
CREATE INDEX nodes_customer ON nodes (customer);
CREATE INDEX nodes_component ON nodes (component) WHERE component IS NOT NULL;

-- Sets of identifiers that stood together in one event. `first_at`: the earliest such event that still counts; null
-- where none does (the evidence links nobody, but its events have a home all the same).
CREATE TABLE evidences (
    evidence uuid PRIMARY KEY,
    nodes uuid[] NOT NULL,
    first_at timestamptz,
    component uuid,
    customer uuid NOT NULL
);
CREATE INDEX evidences_customer ON evidences (customer);
CREATE INDEX evidences_component ON evidences (component) WHERE component IS NOT NULL;

-- Which evidences an identifier is in.
CREATE TABLE members (
    node uuid NOT NULL,
    evidence uuid NOT NULL,
    PRIMARY KEY (node, evidence)
);

-- Components that are too large to be resolved link by link.
CREATE TABLE stars (component uuid PRIMARY KEY);

-- Components that are one customer as a whole, because nothing in them can be refused: `priority` and `first_at` of the
-- node that names it, how large it is, and the kind and namespace of each number in it. What is missing here is resolved
-- link by link.
CREATE TABLE plain (
    component uuid PRIMARY KEY,
    customer uuid NOT NULL,
    priority smallint NOT NULL,
    first_at timestamptz NOT NULL,
    nodes integer NOT NULL,
    links integer NOT NULL,
    numbers text[] NOT NULL
) WITH (fillfactor = 70);

-- Evidences of which an event was taken back, or moved: their earliest time is looked up whenever one comes.
CREATE TABLE loose (evidence uuid PRIMARY KEY);

-- What stewards ruled: `nodes` of the sides, `sides` says which side each is on (0 the event's `who`, 1 its first
-- party …). `counts`: it was not taken back.
CREATE TABLE rulings (
    name uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    merges boolean NOT NULL,
    counts boolean NOT NULL,
    nodes uuid[] NOT NULL,
    sides smallint[] NOT NULL
);
CREATE INDEX rulings_nodes ON rulings USING gin (nodes);

-- Links that were not followed (a < b), and why: `limit` or `split`.
CREATE TABLE disputes (
    a uuid NOT NULL,
    b uuid NOT NULL,
    reason text NOT NULL,
    first_at timestamptz NOT NULL,
    component uuid NOT NULL,
    PRIMARY KEY (a, b)
);
CREATE INDEX disputes_b ON disputes (b);
CREATE INDEX disputes_component ON disputes (component);

-- The rules that these tables were resolved by (one row), see domain/identity_rules.py.
CREATE TABLE rules (rules jsonb NOT NULL);
