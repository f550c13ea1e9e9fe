-- Proposals of duplicates, what stewards made of them, and how good the data is over time.

-- Two customers who may be one. `a` and `b`: the ids that they had when they were found, which are nodes, and find them
-- for ever. `reasons`: codes of domain/similarity.py with their weights, nothing personal. `nodes_a`, `nodes_b`: the
-- identifiers of both when a steward decided; who has one of each is never proposed again. A proposal is closed when
-- there is nothing left to decide: `why` says `one` (they became one customer), `ruled` (a steward ruled on them in
-- another way), `twin` (another proposal is about the same two) or `unlike`.
CREATE TABLE storyline.proposals (
    id uuid PRIMARY KEY,
    a uuid NOT NULL,
    b uuid NOT NULL,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    reasons jsonb NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'rejected', 'closed')),
    found_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    why text,
    merge text,
    nodes_a uuid[],
    nodes_b uuid[],
    UNIQUE (a, b),
    CHECK (a < b),
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK ((state IN ('accepted', 'rejected')) = (nodes_a IS NOT NULL AND nodes_b IS NOT NULL))
);
CREATE INDEX proposals_listed ON storyline.proposals (state, score DESC, id);
CREATE INDEX proposals_ranked ON storyline.proposals (score DESC, id);
CREATE INDEX proposals_b ON storyline.proposals (b);

-- Figures of data quality, one of each a day: the last that a run of that day made.
CREATE TABLE storyline.quality (
    day date NOT NULL,
    figure text NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (day, figure)
);
