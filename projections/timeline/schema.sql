-- Tables of the read model `timeline`. They are made in the schema that stands first in the search path: `timeline`
-- when it is installed, `timeline_next` while it is rebuilt.

-- name: tables
-- Every event once. `owner` is null where nobody is named, so that an invoice without a customer invents no person.
-- `record` holds the bytes of the log verbatim, personal part sealed: a page is opened from here, and so is a proof.
CREATE TABLE events (
    name uuid PRIMARY KEY,
    owner uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    future boolean NOT NULL,
    digest uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    type text NOT NULL,
    channel text,
    direction text,
    record bytea NOT NULL
);
ALTER TABLE events ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE INDEX events_story ON events (owner, happened_at, name) WHERE owner IS NOT NULL;
CREATE INDEX events_position ON events (log_partition, log_offset);

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

-- Whose story an identifier leads to. Until identity resolution, a customer is an owner token.
CREATE TABLE lookup (
    token uuid NOT NULL,
    owner uuid NOT NULL,
    PRIMARY KEY (token, owner)
);
