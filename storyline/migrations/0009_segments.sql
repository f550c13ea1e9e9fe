-- Segments: what they are, and who entered and left. Who is in one as of this moment is a read model.

-- What people call a set of customers. `serving`: the version of its rule that counts; `filling`: one that is being found
-- out beside it (NULL: none). Fixed lists and snapshots have no versions. `announce`: whether entering and leaving are told.
-- `revision`: how often its definition was changed, so that nobody overwrites what another did.
CREATE TABLE storyline.segments (
    code text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('dynamic', 'fixed', 'snapshot')),
    title text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'archived')),
    serving integer,
    filling integer,
    announce boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text,
    revision bigint NOT NULL DEFAULT 1
);

-- Rules, each kept as it was. `text`: the readable form; `filled_to`: up to which customer it was found out (NULL: not
-- begun); `size`: how many were in it when that was complete; `announce_existing`: whether those who are in it from the
-- start are told of. `retired`: another serves; `failed`: another came before it was complete.
CREATE TABLE storyline.segment_versions (
    segment text NOT NULL REFERENCES storyline.segments (code),
    version integer NOT NULL,
    rule jsonb NOT NULL,
    text text NOT NULL,
    hash text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text,
    state text NOT NULL DEFAULT 'filling' CHECK (state IN ('filling', 'serving', 'retired', 'failed')),
    filled_to uuid,
    size bigint,
    announce_existing boolean NOT NULL DEFAULT false,
    PRIMARY KEY (segment, version)
);

-- Fixed lists and snapshots: a node (an identifier, or an evidence by itself) of each customer, so that merges and splits
-- are followed.
CREATE TABLE storyline.segment_lists (
    segment text NOT NULL REFERENCES storyline.segments (code),
    node uuid NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    added_by text,
    PRIMARY KEY (segment, node)
);
CREATE INDEX segment_lists_node ON storyline.segment_lists (node);

-- Who entered and left, when and why: the history of a segment's size, and what is still to be announced. `at`: the moment
-- as of which it was found out; `because`: a code; `reason`: the rule's hash, and the events that led to it. `announce`:
-- whether it is told at all; `announced_at`: when it was, or was skipped; `skipped`: why it was not.
CREATE TABLE storyline.segment_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    segment text NOT NULL,
    version integer NOT NULL,
    customer uuid NOT NULL,
    at timestamptz NOT NULL,
    entered boolean NOT NULL,
    because text NOT NULL,
    reason jsonb,
    announce boolean NOT NULL DEFAULT false,
    announced_at timestamptz,
    skipped text
);
CREATE INDEX segment_changes_waiting ON storyline.segment_changes (id) WHERE announce AND announced_at IS NULL;
CREATE INDEX segment_changes_segment ON storyline.segment_changes (segment, at);
CREATE INDEX segment_changes_customer ON storyline.segment_changes (customer, id);

-- Whose memberships are to be found out again for what no event says: a node or an evidence of each, and why (`list`,
-- `erased`). Taken away when that is done.
CREATE TABLE storyline.segment_wakes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node uuid,
    evidence uuid,
    why text NOT NULL,
    CHECK ((node IS NULL) <> (evidence IS NULL))
);

-- One row. `generation` goes up with every change of a definition or of who is on a list, so that whoever keeps memberships
-- notices cheaply, within the transaction that would go by the old one. `facing`: a hash of what of the configuration
-- rules depend on, as it was when all memberships were last found out by it.
CREATE TABLE storyline.segment_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation bigint NOT NULL DEFAULT 0,
    facing text
);
INSERT INTO storyline.segment_state DEFAULT VALUES;
