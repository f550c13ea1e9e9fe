-- How do events become rows of `work`? Steps and notices of new events by COPY; then each item that they touch is
-- folded anew, whole, out of all its steps. The order of steps is that of domain/work.py: revision, moment, name. Each
-- part of a fold says for itself which items it is for: what a join leaves out would have been read before.

-- name: copy_steps
-- Steps of new events.
COPY steps (
    name, item, kind, type, happened_at, recorded_at, revision, evidence, ref, native, folds, source, actor, public
) FROM STDIN (FORMAT BINARY);

-- name: copy_notices
-- Whom new events tell.
COPY notices (name, user_code, why, happened_at, recorded_at, kind, item, ref, evidence, actor)
FROM STDIN (FORMAT BINARY);

-- name: forget_steps
-- The steps that these events were; gives the items that have to be folded anew.
DELETE FROM steps WHERE name = ANY (%(names)s::uuid[]) RETURNING item, kind;

-- name: forget_notices
-- Whom these events told.
DELETE FROM notices WHERE name = ANY (%(names)s::uuid[]);

-- name: note_items
-- Items that were never met, in the order of their ids, so that two projectors do not deadlock.
INSERT INTO items (item, kind)
SELECT item, min(kind) FROM unnest(%(items)s::uuid[], %(kinds)s::text[]) AS one (item, kind)
GROUP BY item ORDER BY item
ON CONFLICT DO NOTHING;

-- name: hold_items
-- Nobody else folds these items until this transaction ends; what others brought before is seen by the next statement.
SELECT item FROM items WHERE item = ANY (%(items)s::uuid[]) ORDER BY item FOR UPDATE;

-- name: fold_in_one
-- What follows joins sets of one row an item, of which the planner cannot know how many there are; where it takes them for
-- few it would hold each against each.
SET LOCAL enable_nestloop = off;

-- name: as_before
-- And what comes after does not.
SET LOCAL enable_nestloop TO DEFAULT;

-- name: forget_deals
-- Deals that are folded anew, with what their figures stand on.
WITH stays AS (
    DELETE FROM deal_stays WHERE item = ANY (%(items)s::uuid[])
)
DELETE FROM deals WHERE item = ANY (%(items)s::uuid[]);

-- name: fold_deals
-- What their steps come to. `walk` numbers the spans within which a field stays what it is, `held` says what that is;
-- the stage is new where it, or the pipeline, differs from the step before, or where the deal was reopened. `changes` are
-- those, and where the deal was won or lost: between two of them it stays where it is.
WITH shape AS (
    SELECT * FROM shapes WHERE item = ANY (%(items)s::uuid[]) AND kind = 'deal'
),
walk AS (
    SELECT item, revision, happened_at, name, type, public,
        count(*) FILTER (WHERE public ? 'pipeline') OVER place AS pipelines,
        count(*) FILTER (WHERE public ? 'stage') OVER place AS stages,
        count(*) FILTER (WHERE type IN ('deal.won', 'deal.lost', 'deal.reopened')) OVER place AS ends
    FROM steps
    WHERE item = ANY (%(items)s::uuid[]) AND kind = 'deal' AND folds
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
),
held AS (
    SELECT item, revision, happened_at, name,
        first_value(public->>'pipeline') OVER (PARTITION BY item, pipelines ORDER BY revision, happened_at, name)
            AS pipeline,
        first_value(public->>'stage') OVER (PARTITION BY item, stages ORDER BY revision, happened_at, name) AS stage,
        CASE first_value(type) OVER (PARTITION BY item, ends ORDER BY revision, happened_at, name)
            WHEN 'deal.won' THEN 'won' WHEN 'deal.lost' THEN 'lost' ELSE 'open' END AS status,
        first_value(happened_at) OVER (PARTITION BY item, ends ORDER BY revision, happened_at, name) AS status_at
    FROM walk
),
compared AS (
    SELECT held.*, lag(pipeline) OVER place AS pipeline_before, lag(stage) OVER place AS stage_before,
        lag(status, 1, 'open') OVER place AS status_before
    FROM held
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
),
last AS (
    SELECT item, (array_agg(status ORDER BY revision, happened_at, name))[count(*)] AS status,
        (array_agg(status_at ORDER BY revision, happened_at, name))[count(*)] AS status_at,
        array_agg(happened_at ORDER BY revision, happened_at, name) FILTER (
            WHERE pipeline IS DISTINCT FROM pipeline_before OR stage IS DISTINCT FROM stage_before
            OR (status = 'open' AND status_before <> 'open')
        ) AS moved
    FROM compared
    GROUP BY item
),
folded AS (
    INSERT INTO deals (
        item, ref, native, source, evidence, status, pipeline, stage, stage_since, amount, currency, probability,
        assignee, team, products, expected_close, next_step_on, origin, reason, created_at, changed_at, closed_at,
        revision, titled
    )
    SELECT item, ref, native, source, evidence, status, fields->>'pipeline', fields->>'stage',
        CASE WHEN fields->>'stage' IS NOT NULL THEN moved[cardinality(moved)] END,
        (fields->>'amount')::numeric, fields->>'currency', (fields->>'probability')::numeric, fields->>'assignee',
        fields->>'team', codes_of(fields->'products'), (fields->>'expected_close')::date,
        (fields->>'next_step_on')::date, fields->>'origin', fields->>'reason', first_at, last_at,
        CASE WHEN status <> 'open' THEN status_at END, revision, titled
    FROM shape JOIN last USING (item)
    RETURNING item, status, pipeline, assignee, team, origin, created_at, changed_at, closed_at
),
changes AS (
    SELECT item, status, pipeline, stage, happened_at AS since, lead(happened_at) OVER place AS until,
        CASE WHEN lead(status) OVER place <> 'open' THEN lead(status) OVER place ELSE lead(stage) OVER place END
            AS went,
        row_number() OVER place AS number
    FROM compared
    WHERE pipeline IS DISTINCT FROM pipeline_before OR stage IS DISTINCT FROM stage_before
        OR status <> status_before
    WINDOW place AS (PARTITION BY item ORDER BY revision, happened_at, name)
)
INSERT INTO deal_stays (
    item, pipeline, stage, since, until, went, seconds, first, named, of_pipeline, assignee, team, origin, ended,
    created_at, counts_until, closed_at
)
SELECT item, stay.pipeline, stage, since, until, went, greatest(0, extract(epoch FROM until - since)::float8),
    row_number() OVER (PARTITION BY item, stay.pipeline, stage ORDER BY number) = 1,
    CASE WHEN stay.pipeline IS NULL
        THEN array_agg(stay.pipeline) FILTER (WHERE stay.pipeline IS NOT NULL) OVER (PARTITION BY item, stage) END,
    deal.pipeline, assignee, team, origin, nullif(deal.status, 'open'), created_at,
    CASE deal.status WHEN 'open' THEN 'infinity' ELSE changed_at END, closed_at
FROM changes AS stay JOIN folded AS deal USING (item)
WHERE stay.status = 'open' AND stage IS NOT NULL;

-- name: forget_tasks
-- Tasks that are folded anew.
DELETE FROM tasks WHERE item = ANY (%(items)s::uuid[]);

-- name: fold_tasks
-- What their steps come to.
WITH shape AS (
    SELECT * FROM shapes WHERE item = ANY (%(items)s::uuid[]) AND kind = 'task'
),
ends AS (
    SELECT item, (array_agg(type ORDER BY revision, happened_at, name))[count(*)] AS type,
        (array_agg(happened_at ORDER BY revision, happened_at, name))[count(*)] AS at
    FROM steps
    WHERE item = ANY (%(items)s::uuid[]) AND kind = 'task' AND type IN ('task.done', 'task.cancelled', 'task.reopened')
    GROUP BY item
)
INSERT INTO tasks (
    item, ref, native, source, evidence, status, kind, priority, assignee, team, due, remind_at, reason,
    created_at, changed_at, closed_at, revision, titled
)
SELECT item, ref, native, source, evidence,
    CASE type WHEN 'task.done' THEN 'done' WHEN 'task.cancelled' THEN 'cancelled' ELSE 'open' END,
    fields->>'kind', fields->>'priority', fields->>'assignee', fields->>'team',
    (fields->>'due')::timestamptz, (fields->>'remind_at')::timestamptz, fields->>'reason',
    first_at, last_at, CASE WHEN type <> 'task.reopened' THEN at END, revision, titled
FROM shape LEFT JOIN ends USING (item);

-- name: forget_tickets
-- Tickets that are folded anew, with what their figures stand on.
WITH times AS (
    DELETE FROM ticket_times WHERE item = ANY (%(items)s::uuid[])
),
turns AS (
    DELETE FROM ticket_turns WHERE item = ANY (%(items)s::uuid[])
)
DELETE FROM tickets WHERE item = ANY (%(items)s::uuid[]);

-- name: fold_tickets
-- What their steps come to. `told`: where each step leads, by the state that it names, else by its type; `held`: what
-- the state is then. A closing keeps when it was resolved, any other move forgets both. `turns`: from open to ended and
-- back; `promised`: what was due of the first response until it was given, and of the resolution until then.
WITH shape AS (
    SELECT * FROM shapes WHERE item = ANY (%(items)s::uuid[]) AND kind = 'ticket'
),
told AS (
    SELECT item, revision, happened_at, name, type, public,
        coalesce(public->>'state', CASE type
            WHEN 'ticket.opened' THEN 'new' WHEN 'ticket.resolved' THEN 'resolved' WHEN 'ticket.closed' THEN 'closed'
            WHEN 'ticket.reopened' THEN 'open' WHEN 'ticket.folded' THEN 'closed'
        END) AS state,
        type IN ('ticket.closed', 'ticket.folded') AS closes,
        type IN ('ticket.resolved', 'ticket.closed', 'ticket.folded') AS ends,
        type IN ('ticket.opened', 'ticket.state_changed', 'ticket.resolved', 'ticket.reopened') AS moves
    FROM steps WHERE item = ANY (%(items)s::uuid[]) AND kind = 'ticket' AND folds
),
walk AS (
    SELECT told.*, count(state) OVER (PARTITION BY item ORDER BY revision, happened_at, name) AS span FROM told
),
held AS (
    SELECT walk.*, first_value(state) OVER (PARTITION BY item, span ORDER BY revision, happened_at, name) AS held
    FROM walk
),
compared AS (
    SELECT held.*, lag(held) OVER (PARTITION BY item ORDER BY revision, happened_at, name) AS before FROM held
),
last AS (
    SELECT item, (array_agg(held ORDER BY revision, happened_at, name))[count(*)] AS state,
        (array_agg(happened_at ORDER BY revision, happened_at, name) FILTER (WHERE held IS DISTINCT FROM before))
            [count(*) FILTER (WHERE held IS DISTINCT FROM before)] AS state_since,
        (array_agg(CASE WHEN closes THEN happened_at END ORDER BY revision, happened_at, name)
            FILTER (WHERE moves OR closes))[count(*) FILTER (WHERE moves OR closes)] AS closed_at,
        (array_agg(CASE WHEN type = 'ticket.resolved' THEN happened_at END ORDER BY revision, happened_at, name)
            FILTER (WHERE moves))[count(*) FILTER (WHERE moves)] AS resolved_at,
        (count(*) FILTER (WHERE type = 'ticket.reopened'))::integer AS reopened,
        (array_agg(happened_at ORDER BY revision, happened_at, name) FILTER (
            WHERE type = 'ticket.commented' AND public->>'by' = 'company'
            AND (public->'internal') IS DISTINCT FROM 'true'
        ))[1] AS responded_at,
        merged(public ORDER BY revision, happened_at, name) FILTER (
            WHERE type = 'ticket.folded' AND public->>'into' IS NOT NULL
        ) ->> 'into' AS folded_into
    FROM compared
    GROUP BY item
),
folded AS (
    SELECT *,
        CASE WHEN closed_at IS NOT NULL THEN 'closed' WHEN resolved_at IS NOT NULL THEN 'resolved' ELSE 'open' END
            AS status,
        (fields->>'respond_by')::timestamptz AS respond_by, (fields->>'respond_warn')::timestamptz AS respond_warn,
        (fields->>'resolve_by')::timestamptz AS resolve_by, (fields->>'resolve_warn')::timestamptz AS resolve_warn
    FROM shape JOIN last USING (item)
),
stored AS (
    INSERT INTO tickets (
        item, ref, native, source, evidence, status, state, state_since, priority, queue, category, product, channel,
        service_level, assignee, team, level, opened_at, changed_at, responded_at, resolved_at, closed_at, reopened,
        respond_by, respond_warn, resolve_by, resolve_warn, clock_s, due, folded_into, follows, reason, revision,
        titled
    )
    SELECT item, ref, native, source, evidence, status, state, state_since, fields->>'priority', fields->>'queue',
        fields->>'category', fields->>'product', fields->>'channel', fields->>'service_level', fields->>'assignee',
        fields->>'team', (fields->>'level')::bigint, first_at, last_at, responded_at, resolved_at, closed_at,
        reopened, respond_by, respond_warn, resolve_by, resolve_warn, (fields->>'clock_s')::bigint,
        CASE WHEN status = 'open' THEN least(CASE WHEN responded_at IS NULL THEN respond_by END, resolve_by) END,
        folded_into, fields->>'follows', fields->>'reason', revision, titled
    FROM folded
    RETURNING tickets.*, coalesce(resolved_at, closed_at) AS ended_at
),
turns AS (
    SELECT item, happened_at, ends,
        coalesce(lag(ends) OVER (PARTITION BY item ORDER BY revision, happened_at, name), false) AS ended
    FROM told WHERE moves OR ends
),
promised AS (
    SELECT item,
        (array_agg((said.public->>'respond_by')::timestamptz ORDER BY said.revision DESC, happened_at DESC, name DESC)
            FILTER (
                WHERE said.public->>'respond_by' IS NOT NULL
                AND happened_at <= coalesce(responded_at, ended_at, 'infinity')
            ))[1] AS respond_due,
        (array_agg((said.public->>'resolve_by')::timestamptz ORDER BY said.revision DESC, happened_at DESC, name DESC)
            FILTER (WHERE said.public ? 'resolve_by' AND until_ended))[1] AS resolve_due,
        bool_or(said.public->>'resolve_by' IS NOT NULL AND until_ended) AS promised
    FROM stored JOIN told AS said USING (item) CROSS JOIN LATERAL (
        SELECT happened_at <= coalesce(ended_at, 'infinity')
            AND (happened_at IS DISTINCT FROM ended_at OR NOT ends) AS until_ended
    ) AS when_said
    WHERE said.public ?| '{respond_by,resolve_by}'
        AND (service_level IS NOT NULL OR respond_by IS NOT NULL OR resolve_by IS NOT NULL)
    GROUP BY item
),
turned AS (
    INSERT INTO ticket_turns (item, at, ended) SELECT item, happened_at, ends FROM turns WHERE ends <> ended
)
INSERT INTO ticket_times (
    item, opened_at, responded_at, ended_at, closed_at, respond_due, resolve_due, response, resolution, business,
    promised, counts_until, team, assignee, queue, channel, priority, category, product, service_level
)
SELECT item, opened_at, responded_at, ended_at, closed_at, respond_due, resolve_due,
    extract(epoch FROM responded_at - opened_at)::float8, extract(epoch FROM ended_at - opened_at)::float8,
    CASE WHEN ended_at IS NOT NULL THEN clock_s::float8 END, coalesce(promised, false),
    CASE status WHEN 'open' THEN 'infinity' ELSE changed_at END,
    team, assignee, queue, channel, priority, category, product, service_level
FROM stored LEFT JOIN promised USING (item);

-- name: forget_leads
-- Leads that are folded anew.
DELETE FROM leads WHERE item = ANY (%(items)s::uuid[]);

-- name: fold_leads
-- What their steps come to.
WITH shape AS (
    SELECT * FROM shapes WHERE item = ANY (%(items)s::uuid[]) AND kind = 'lead'
),
ends AS (
    SELECT item, (array_agg(type ORDER BY revision, happened_at, name))[count(*)] AS type,
        (array_agg(happened_at ORDER BY revision, happened_at, name))[count(*)] AS at
    FROM steps
    WHERE item = ANY (%(items)s::uuid[]) AND kind = 'lead'
        AND type IN ('lead.converted', 'lead.disqualified', 'lead.reopened')
    GROUP BY item
)
INSERT INTO leads (
    item, ref, native, source, evidence, status, origin, campaign, product, country, industry, assignee, team,
    assigned_by, deal, reason, captured_at, changed_at, closed_at, revision, titled
)
SELECT item, ref, native, source, evidence,
    CASE type WHEN 'lead.converted' THEN 'converted' WHEN 'lead.disqualified' THEN 'disqualified' ELSE 'open' END,
    fields->>'origin', fields->>'campaign', fields->>'product', fields->>'country', fields->>'industry',
    fields->>'assignee', fields->>'team', fields->>'assigned_by', fields->>'deal', fields->>'reason', first_at,
    last_at, CASE WHEN type <> 'lead.reopened' THEN at END, revision, titled
FROM shape LEFT JOIN ends USING (item);
