-- Tables of the read model `work`: deals, tickets, tasks and leads, native and foreign, and what colleagues are told.
-- Only public fields are in it. It does not know the configuration: what a rule forbids or a target asks for is told
-- when it is read, so that another configuration needs no rebuild.

-- name: tables
-- What happened to each item, one row for each event that is a step of it. `item`: the id of a native one, of a foreign
-- one the hash of its `ref`, which is in clear. `revision`: which change of a native one, 0 for a foreign one. `folds`:
-- false for what Storyline announced. `public`: the fields that folds read, moments in UTC, numbers as text.
CREATE TABLE steps (
    name uuid NOT NULL,
    item uuid NOT NULL,
    kind text NOT NULL,
    type text NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    revision bigint NOT NULL,
    evidence uuid,
    ref text NOT NULL,
    native boolean NOT NULL,
    folds boolean NOT NULL,
    source text NOT NULL,
    actor text,
    public jsonb NOT NULL,
    PRIMARY KEY (item, revision, happened_at, name)
);
CREATE INDEX steps_name ON steps (name);
CREATE INDEX steps_stalled ON steps (happened_at) WHERE type = 'deal.stalled';

-- The codes of a list.
CREATE FUNCTION codes_of(list jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(list) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(list)) ELSE '{}' END;

-- Of each field what the last of several contents says that says something of it; null where that empties it.
CREATE AGGREGATE merged(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}');

-- What the steps of an item come to whatever its kind. `titled`: events that may hold its title, the oldest first: of a
-- native one those that a title is given or changed by, of a foreign one any. `revision`: by all its steps.
CREATE VIEW shapes AS
SELECT item, kind, native, ref, source, evidence, first_at, last_at, fields,
    CASE WHEN cardinality(titled) > 5 THEN titled[1] || titled[cardinality(titled) - 3:] ELSE titled END AS titled,
    (SELECT max(steps.revision) FROM steps WHERE steps.item = shape.item) AS revision
FROM (
    SELECT item, kind, bool_and(native) AS native,
        (array_agg(ref ORDER BY revision, happened_at, name))[1] AS ref,
        (array_agg(source ORDER BY revision, happened_at, name))[1] AS source,
        (array_agg(evidence ORDER BY revision, happened_at, name) FILTER (WHERE evidence IS NOT NULL))[count(evidence)]
            AS evidence,
        (array_agg(happened_at ORDER BY revision, happened_at, name))[1] AS first_at,
        (array_agg(happened_at ORDER BY revision, happened_at, name))[count(*)] AS last_at,
        merged(public ORDER BY revision, happened_at, name) AS fields,
        coalesce(array_agg(name ORDER BY revision, happened_at, name) FILTER (WHERE NOT native OR type IN (
            'deal.created', 'deal.changed', 'ticket.opened', 'ticket.changed', 'task.created', 'task.changed',
            'lead.captured', 'lead.changed'
        )), '{}') AS titled
    FROM steps WHERE folds
    GROUP BY item, kind
) AS shape;

-- Of which kind an item is. Whoever folds one holds its row, so that of two projectors the second folds what the first
-- brought, too. A row stays when the steps of its item are gone.
CREATE TABLE items (item uuid PRIMARY KEY, kind text NOT NULL);

-- Common to the tables that follow: `evidence`: whom the item is about by the last step that says so; `titled`: up to
-- five events that may hold its title, the first of all and the latest; `status`: whether it is open, or how it ended.
CREATE TABLE deals (
    item uuid PRIMARY KEY,
    ref text NOT NULL,
    native boolean NOT NULL,
    source text NOT NULL,
    evidence uuid,
    status text NOT NULL,
    pipeline text,
    stage text,
    stage_since timestamptz,
    amount numeric,
    currency text,
    probability numeric,
    assignee text,
    team text,
    products text[] NOT NULL,
    expected_close date,
    next_step_on date,
    origin text,
    reason text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    closed_at timestamptz,
    revision bigint NOT NULL,
    titled uuid[] NOT NULL
);
CREATE INDEX deals_board ON deals (pipeline, status, changed_at, item);
CREATE INDEX deals_changed ON deals (status, changed_at, item);
CREATE INDEX deals_assignee ON deals (assignee, status, changed_at, item);
CREATE INDEX deals_evidence ON deals (evidence) WHERE evidence IS NOT NULL;
CREATE INDEX deals_created ON deals (created_at) INCLUDE (amount, currency);
CREATE INDEX deals_closed ON deals (closed_at) INCLUDE (status, created_at, amount, currency) WHERE closed_at IS NOT NULL;
CREATE INDEX deals_stay ON deals (pipeline, stage, stage_since, item) WHERE native AND status = 'open';

-- The stays of deals in their stages, for figures, as domain/deal_state.py tells them. A stay begins when an open deal comes
-- to another stage or pipeline or is taken up again, and ends with the next such change, or when the deal is won or lost;
-- `went`: where it went then. `first`: of the deal in this stage; `named`: where its pipeline is not named, the pipelines of
-- other stays of the deal in a stage that is called so. The columns from `of_pipeline` on are of the deal: `ended`: how;
-- `counts_until`: its last change once it is closed.
CREATE TABLE deal_stays (
    item uuid NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz,
    seconds float8,
    created_at timestamptz NOT NULL,
    counts_until timestamptz NOT NULL,
    closed_at timestamptz,
    first boolean NOT NULL,
    pipeline text,
    stage text NOT NULL,
    went text,
    named text[],
    of_pipeline text,
    assignee text,
    team text,
    origin text,
    ended text
);
CREATE INDEX deal_stays_item ON deal_stays (item);
CREATE INDEX deal_stays_until ON deal_stays (counts_until);

-- `due`: when the next thing is due of one that is open, a first response or the resolution.
CREATE TABLE tickets (
    item uuid PRIMARY KEY,
    ref text NOT NULL,
    native boolean NOT NULL,
    source text NOT NULL,
    evidence uuid,
    status text NOT NULL,
    state text,
    state_since timestamptz,
    priority text,
    queue text,
    category text,
    product text,
    channel text,
    service_level text,
    assignee text,
    team text,
    level bigint,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    responded_at timestamptz,
    resolved_at timestamptz,
    closed_at timestamptz,
    reopened integer NOT NULL,
    respond_by timestamptz,
    respond_warn timestamptz,
    resolve_by timestamptz,
    resolve_warn timestamptz,
    clock_s bigint,
    due timestamptz,
    folded_into text,
    follows text,
    reason text,
    revision bigint NOT NULL,
    titled uuid[] NOT NULL
);
CREATE INDEX tickets_due ON tickets (status, coalesce(due, 'infinity'), item);
CREATE INDEX tickets_queue ON tickets (queue, status, coalesce(due, 'infinity'), item);
CREATE INDEX tickets_assignee ON tickets (assignee, status, coalesce(due, 'infinity'), item);
CREATE INDEX tickets_evidence ON tickets (evidence) WHERE evidence IS NOT NULL;
CREATE INDEX tickets_respond_by ON tickets (respond_by, item) WHERE native AND status = 'open' AND responded_at IS NULL;
CREATE INDEX tickets_respond_warn ON tickets (respond_warn, item)
WHERE native AND status = 'open' AND responded_at IS NULL;
CREATE INDEX tickets_resolve_by ON tickets (resolve_by, item) WHERE native AND status = 'open';
CREATE INDEX tickets_resolve_warn ON tickets (resolve_warn, item) WHERE native AND status = 'open';
CREATE INDEX tickets_stay ON tickets (state, state_since, item) WHERE native;

-- When what happened to tickets, for figures: in few columns, and each moment found by an index alone. `ended_at`: the last
-- resolution that stands, else the closing. `response`, `resolution`: seconds from the opening to that; `business`: by the
-- clock of the service level. `respond_due`: what was due of the first response when it was given, or the ticket ended;
-- `resolve_due`: the same of the resolution, null where its clock stood still; `promised`: whether any was.
-- `counts_until`: the last change of a ticket that is not open. The columns from `team` on are those of the ticket.
CREATE TABLE ticket_times (
    item uuid PRIMARY KEY,
    opened_at timestamptz NOT NULL,
    responded_at timestamptz,
    ended_at timestamptz,
    closed_at timestamptz,
    respond_due timestamptz,
    resolve_due timestamptz,
    response float8,
    resolution float8,
    business float8,
    promised boolean NOT NULL,
    counts_until timestamptz NOT NULL,
    team text,
    assignee text,
    queue text,
    channel text,
    priority text,
    category text,
    product text,
    service_level text
);
CREATE INDEX ticket_times_until ON ticket_times (counts_until);
CREATE INDEX ticket_times_opened ON ticket_times (opened_at) INCLUDE (product);
CREATE INDEX ticket_times_responded ON ticket_times (responded_at) INCLUDE (response, respond_due)
WHERE responded_at IS NOT NULL;
CREATE INDEX ticket_times_ended ON ticket_times (ended_at) INCLUDE (resolution, business, resolve_due, promised)
WHERE ended_at IS NOT NULL;
CREATE INDEX ticket_times_closed ON ticket_times (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX ticket_times_respond_due ON ticket_times (respond_due) INCLUDE (responded_at, ended_at)
WHERE respond_due IS NOT NULL;
CREATE INDEX ticket_times_resolve_due ON ticket_times (resolve_due) INCLUDE (ended_at) WHERE resolve_due IS NOT NULL;

-- When a ticket ended, and when it was taken up again after that, each time.
CREATE TABLE ticket_turns (item uuid NOT NULL, at timestamptz NOT NULL, ended boolean NOT NULL);
CREATE INDEX ticket_turns_item ON ticket_turns (item);
CREATE INDEX ticket_turns_at ON ticket_turns (ended, at) INCLUDE (item);

CREATE TABLE tasks (
    item uuid PRIMARY KEY,
    ref text NOT NULL,
    native boolean NOT NULL,
    source text NOT NULL,
    evidence uuid,
    status text NOT NULL,
    kind text,
    priority text,
    assignee text,
    team text,
    due timestamptz,
    remind_at timestamptz,
    reason text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    closed_at timestamptz,
    revision bigint NOT NULL,
    titled uuid[] NOT NULL
);
CREATE INDEX tasks_due ON tasks (status, coalesce(due, 'infinity'), item);
CREATE INDEX tasks_assignee ON tasks (assignee, status, coalesce(due, 'infinity'), item);
CREATE INDEX tasks_evidence ON tasks (evidence) WHERE evidence IS NOT NULL;
CREATE INDEX tasks_remind ON tasks (remind_at, item) WHERE native AND status = 'open';

-- `deal`: the one that it became, by its id.
CREATE TABLE leads (
    item uuid PRIMARY KEY,
    ref text NOT NULL,
    native boolean NOT NULL,
    source text NOT NULL,
    evidence uuid,
    status text NOT NULL,
    origin text,
    campaign text,
    product text,
    country text,
    industry text,
    assignee text,
    team text,
    assigned_by text,
    deal text,
    reason text,
    captured_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    closed_at timestamptz,
    revision bigint NOT NULL,
    titled uuid[] NOT NULL
);
CREATE INDEX leads_captured ON leads (status, captured_at, item);
CREATE INDEX leads_assignee ON leads (assignee, status, captured_at, item);
CREATE INDEX leads_evidence ON leads (evidence) WHERE evidence IS NOT NULL;

-- What colleagues are told, one row for each of them and event. `why`: mentioned, assigned, reminded, notified. `item`,
-- `ref`: what it is about, by its id and in clear; `kind` of it.
CREATE TABLE notices (
    name uuid NOT NULL,
    user_code text NOT NULL,
    why text NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    kind text,
    item uuid,
    ref text,
    evidence uuid,
    actor text,
    PRIMARY KEY (user_code, happened_at, name)
);
CREATE INDEX notices_name ON notices (name);
