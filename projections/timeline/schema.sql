-- Tables of the read model `timeline`. They are made in the schema that stands first in the search path: `timeline`
-- when it is installed, `timeline_next` while it is rebuilt.

-- name: tables
-- Every event once. `evidence`: the set of identifiers of whom it is about, null where nobody is named, so that an
-- invoice without a customer invents no person; whose it is says the read model `identity`. `touch`: a touchpoint.
-- `record` holds the bytes of the log verbatim, personal part sealed: a page is opened from here, and so is a proof.
CREATE TABLE events (
    name uuid PRIMARY KEY,
    evidence uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    future boolean NOT NULL,
    touch boolean NOT NULL,
    digest uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    type text NOT NULL,
    channel text,
    direction text,
    record bytea NOT NULL
);
ALTER TABLE events ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE INDEX events_story ON events (evidence, happened_at, name) WHERE evidence IS NOT NULL;
CREATE INDEX events_position ON events (log_partition, log_offset);
CREATE INDEX events_happened ON events (type, happened_at);

-- The timelines of refs: an order, a ticket, a conversation.
CREATE TABLE refs (
    ref uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    name uuid NOT NULL,
    PRIMARY KEY (ref, happened_at, name)
);

-- Which events speak of which: corrections, enrichments, answers.
CREATE TABLE about (
    target uuid NOT NULL,
    relation text NOT NULL,
    name uuid NOT NULL,
    PRIMARY KEY (target, relation, name)
);

CREATE INDEX about_corrected ON about (target) WHERE relation IN ('corrects', 'retracts');
CREATE INDEX about_correcting ON about (name) WHERE relation IN ('corrects', 'retracts');

-- Events that name somebody as a party: the evidence of that party, and its role.
CREATE TABLE parties (
    evidence uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    name uuid NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (evidence, happened_at, name, role)
);
CREATE INDEX parties_name ON parties (name);

-- Events that do not count as they stand: taken back, or put right by another event, by its name.
CREATE TABLE corrected (
    name uuid PRIMARY KEY,
    retracted boolean NOT NULL,
    amended_by uuid
);
