-- Deals, tickets, tasks, leads and colleagues: what stands beside the event store, which makes its own tables.

-- Which colleague a key belongs to; what is done with it, they did.
ALTER TABLE storyline.api_keys ADD COLUMN user_code text;

-- Idempotency keys, each committed with the events that it made. `scope`: whose key it is; `request`: a hash of what was
-- asked for, so that one key does not stand for two things; `answer`: what was answered, without personal data.
CREATE TABLE storyline.idempotency (
    scope text NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,
    answer jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_at ON storyline.idempotency (at);
-- By the item that a rule changed: how a chain of rules is followed back.
CREATE INDEX idempotency_automation ON storyline.idempotency ((answer #>> '{done,0,1}')) WHERE scope = 'automation';

-- Who works here now, and who has what. Moved in the transaction that saves the events, so that nothing can be given to
-- somebody who leaves at that moment: the row in `people` goes, and the reference refuses it.
CREATE TABLE storyline.people (
    code text PRIMARY KEY,
    person uuid NOT NULL UNIQUE,
    teams text[] NOT NULL DEFAULT '{}',
    roles text[] NOT NULL DEFAULT '{}'
);
CREATE TABLE storyline.owned (
    item uuid PRIMARY KEY,
    kind text NOT NULL,
    assignee text REFERENCES storyline.people (code),
    team text,
    open boolean NOT NULL
);
CREATE INDEX owned_assignee ON storyline.owned (assignee, kind) WHERE assignee IS NOT NULL;

-- Whose turn it is, of each rule that assigns in turn.
CREATE TABLE storyline.turns (rule text PRIMARY KEY, turn bigint NOT NULL DEFAULT 0);

-- How far the relay has come (one row). `notification`: the last one on the log; `ends`: where the log ended then, so that
-- what was appended after it and not noted is found again; whoever takes it over raises `epoch`.
CREATE TABLE storyline.relay (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    log_id text NOT NULL,
    notification bigint NOT NULL DEFAULT 0,
    ends jsonb NOT NULL DEFAULT '{}',
    epoch bigint NOT NULL DEFAULT 0,
    holder uuid,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Where notifications came to stand on the log, for those who wait to see their own writes; kept for a while.
CREATE TABLE storyline.relayed (
    notification bigint PRIMARY KEY,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL
);

-- What time asked for: one row for each piece of due work, claimed by one scheduler, done once. `again_at`: when another
-- may take it, should there be no outcome by then. `outcome`: `done`, `skipped` (missed, and of no use late), `refused`
-- (a rule forbade it) or `failed`.
CREATE TABLE storyline.due (
    job text NOT NULL,
    item text NOT NULL,
    at timestamptz NOT NULL,
    claimed_by uuid,
    claimed_at timestamptz NOT NULL,
    again_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    outcome text,
    done_at timestamptz,
    PRIMARY KEY (job, item, at)
);
CREATE INDEX due_done ON storyline.due (done_at) WHERE outcome IS NOT NULL;

-- Automation. Since when a rule (by its code and the hash of what it says) holds: it does nothing about older events.
CREATE TABLE storyline.automation_rules (
    rule text NOT NULL,
    hash text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (rule, hash)
);

-- What a rule has done, or is to do, about an event: once for each. `event`: its name; `at`: when it is due (some wait);
-- `depth`: how many rules, each by what the one before it did, led here; `state`: `waiting`, `done`, `suppressed`,
-- `refused`, `unmet` (its conditions did not hold then) or `failed`.
CREATE TABLE storyline.automation_runs (
    rule text NOT NULL,
    event text NOT NULL,
    at timestamptz NOT NULL,
    depth integer NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'waiting',
    tries integer NOT NULL DEFAULT 0,
    again_at timestamptz NOT NULL,
    why text,
    done_at timestamptz,
    PRIMARY KEY (rule, event)
);
CREATE INDEX automation_runs_waiting ON storyline.automation_runs (again_at) WHERE state = 'waiting';

-- Webhooks on their way. The body is made when it is sent, of what is public of the event, so that nothing rests here.
-- `id`: made of rule, event and action, so that each is sent as one; `again_at`: when it is tried next; `status`: what
-- the receiver answered last.
CREATE TABLE storyline.deliveries (
    id uuid PRIMARY KEY,
    rule text NOT NULL,
    event text NOT NULL,
    url text NOT NULL,
    secret text NOT NULL,
    made_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'parked', 'discarded')),
    tries integer NOT NULL DEFAULT 0,
    again_at timestamptz NOT NULL,
    status integer,
    why text,
    done_at timestamptz
);
CREATE INDEX deliveries_waiting ON storyline.deliveries (again_at) WHERE state = 'waiting';
CREATE INDEX deliveries_parked ON storyline.deliveries (made_at, id) WHERE state = 'parked';

-- Up to where each colleague has seen what they were told.
CREATE TABLE storyline.notices_seen (
    user_code text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
