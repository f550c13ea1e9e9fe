-- Are two builds of `work` the same? One hash per table over its declared columns, in any order of rows, of the schema
-- that stands first in the search path. `items` only serves as a lock.

-- name: steps
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s',
    name, item, kind, type, extract(epoch FROM happened_at), extract(epoch FROM recorded_at), revision, evidence,
    ref, native, folds, source, actor, public), 0)::numeric), 0)
FROM steps;

-- name: steps_republished
-- The same between two publications of one history, each of which is recorded anew.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s %%s', name,
    item, kind, type, extract(epoch FROM happened_at), revision, evidence, ref, native, folds, source, actor,
    public), 0)::numeric), 0)
FROM steps;

-- name: deals
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(ROW(item, ref, native, source, evidence, status, pipeline, stage,
    extract(epoch FROM stage_since), amount, currency, probability, assignee, team, products, expected_close,
    next_step_on, origin, reason, extract(epoch FROM created_at), extract(epoch FROM changed_at),
    extract(epoch FROM closed_at), revision, titled)::text, 0)::numeric), 0)
FROM deals;

-- name: tickets
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(ROW(item, ref, native, source, evidence, status, state,
    extract(epoch FROM state_since), priority, queue, category, product, channel, service_level, assignee, team,
    level, extract(epoch FROM opened_at), extract(epoch FROM changed_at), extract(epoch FROM responded_at),
    extract(epoch FROM resolved_at), extract(epoch FROM closed_at), reopened, extract(epoch FROM respond_by),
    extract(epoch FROM respond_warn), extract(epoch FROM resolve_by), extract(epoch FROM resolve_warn), clock_s,
    extract(epoch FROM due), folded_into, follows, reason, revision, titled)::text, 0)::numeric), 0)
FROM tickets;

-- name: tasks
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(ROW(item, ref, native, source, evidence, status, kind, priority,
    assignee, team, extract(epoch FROM due), extract(epoch FROM remind_at), reason, extract(epoch FROM created_at),
    extract(epoch FROM changed_at), extract(epoch FROM closed_at), revision, titled)::text, 0)::numeric), 0)
FROM tasks;

-- name: leads
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(ROW(item, ref, native, source, evidence, status, origin, campaign,
    product, country, industry, assignee, team, assigned_by, deal, reason, extract(epoch FROM captured_at),
    extract(epoch FROM changed_at), extract(epoch FROM closed_at), revision, titled)::text, 0)::numeric), 0)
FROM leads;

-- name: notices
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s %%s', name, user_code,
    why, extract(epoch FROM happened_at), extract(epoch FROM recorded_at), kind, item, ref, evidence,
    actor), 0)::numeric), 0)
FROM notices;

-- name: notices_republished
-- The same between two publications of one history, each of which is recorded anew.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s', name, user_code, why,
    extract(epoch FROM happened_at), kind, item, ref, evidence, actor), 0)::numeric), 0)
FROM notices;
