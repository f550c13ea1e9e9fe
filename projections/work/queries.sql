-- What can be asked of deals, tickets, tasks and leads? Pages by key; whose an item is says who is who, so that a merge
-- and a split carry it along. Columns stand as in the tables, the customer's present id after them.

-- name: snapshot
-- One moment for all queries of this transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: kind
-- Of which kind is an item?
SELECT kind FROM work.items WHERE item = %(item)s;

-- name: one_deal
-- A deal.
SELECT t.*, whose.customer FROM work.deals AS t
LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence WHERE t.item = %(item)s;

-- name: one_ticket
-- A ticket.
SELECT t.*, whose.customer FROM work.tickets AS t
LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence WHERE t.item = %(item)s;

-- name: one_task
-- A task.
SELECT t.*, whose.customer FROM work.tasks AS t
LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence WHERE t.item = %(item)s;

-- name: one_lead
-- A lead.
SELECT t.*, whose.customer FROM work.leads AS t
LEFT JOIN identity.evidences AS whose ON whose.evidence = t.evidence WHERE t.item = %(item)s;

-- name: deals
-- A page of deals, the last changed first. `unnamed`: those that name no pipeline stand in this one. `stages`,
-- `befores`: only those that came to one of these stages before a moment.
WITH page AS MATERIALIZED (
    SELECT * FROM work.deals AS t
    WHERE status = ANY (%(statuses)s) AND (changed_at, item) < (%(at)s::timestamptz, %(after)s)
        AND (%(pipeline)s::text IS NULL OR pipeline = %(pipeline)s OR (%(unnamed)s AND pipeline IS NULL))
        AND (%(stage)s::text IS NULL OR stage = %(stage)s)
        AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR team = %(team)s)
        AND (NOT %(stalled)s OR EXISTS (
            SELECT FROM unnest(%(stages)s::text[], %(befores)s::timestamptz[]) AS stay (stage, before)
            WHERE stay.stage = t.stage AND t.stage_since < stay.before
        ))
    ORDER BY changed_at DESC, item DESC
    LIMIT %(limit)s
)
SELECT page.*, whose.customer FROM page
LEFT JOIN identity.evidences AS whose ON whose.evidence = page.evidence
ORDER BY changed_at DESC, item DESC;

-- name: board
-- The open deals of a pipeline by stage and currency: how many, what they are worth, what is likely to come of it by
-- their probability, and how many came to their stage before a moment (`stages`, `befores`).
SELECT t.stage, t.currency, count(*), coalesce(sum(t.amount), 0), coalesce(sum(t.amount * t.probability / 100), 0),
    count(*) FILTER (WHERE t.stage_since < stay.before)
FROM work.deals AS t
LEFT JOIN unnest(%(stages)s::text[], %(befores)s::timestamptz[]) AS stay (stage, before) ON stay.stage = t.stage
WHERE t.status = 'open' AND (t.pipeline = %(pipeline)s OR (%(unnamed)s AND t.pipeline IS NULL))
    AND (%(assignee)s::text IS NULL OR t.assignee = %(assignee)s)
    AND (%(team)s::text IS NULL OR t.team = %(team)s)
GROUP BY t.stage, t.currency
ORDER BY t.stage COLLATE "C", t.currency COLLATE "C"
LIMIT %(most)s;

-- name: stalls
-- How often deals stalled since a moment, by pipeline and stage; the stage at which most do stands first.
SELECT deals.pipeline, steps.public->>'stage', count(*)
FROM work.steps JOIN work.deals ON deals.item = steps.item
WHERE steps.type = 'deal.stalled' AND steps.happened_at >= %(since)s
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
LIMIT %(most)s;

-- name: tickets
-- A page of tickets, the first due first, those without a due moment last. `due_by`: only those of which something is
-- due by then.
WITH page AS MATERIALIZED (
    SELECT * FROM work.tickets AS t
    WHERE status = ANY (%(statuses)s) AND (coalesce(due, 'infinity'), item) > (%(at)s::timestamptz, %(after)s)
        AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
        AND (%(queue)s::text IS NULL OR queue = %(queue)s)
        AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
        AND (NOT %(unassigned)s OR assignee IS NULL)
        AND (%(team)s::text IS NULL OR team = %(team)s)
        AND (%(priority)s::text IS NULL OR priority = %(priority)s)
        AND (%(category)s::text IS NULL OR category = %(category)s)
        AND (%(product)s::text IS NULL OR product = %(product)s)
        AND (%(due_by)s::timestamptz IS NULL OR due <= %(due_by)s)
    ORDER BY coalesce(due, 'infinity'), item
    LIMIT %(limit)s
)
SELECT page.*, whose.customer FROM page
LEFT JOIN identity.evidences AS whose ON whose.evidence = page.evidence
ORDER BY coalesce(due, 'infinity'), item;

-- name: states
-- How many tickets there are by state, under the same filters.
SELECT state, count(*) FROM work.tickets
WHERE status = ANY (%(statuses)s)
    AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s))
    AND (%(queue)s::text IS NULL OR queue = %(queue)s)
    AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
    AND (NOT %(unassigned)s OR assignee IS NULL)
    AND (%(team)s::text IS NULL OR team = %(team)s)
    AND (%(priority)s::text IS NULL OR priority = %(priority)s)
    AND (%(category)s::text IS NULL OR category = %(category)s)
    AND (%(product)s::text IS NULL OR product = %(product)s)
    AND (%(due_by)s::timestamptz IS NULL OR due <= %(due_by)s)
GROUP BY state
ORDER BY count(*) DESC, state COLLATE "C"
LIMIT %(most)s;

-- name: tasks
-- A page of tasks, the first due first, those without a due moment last.
WITH page AS MATERIALIZED (
    SELECT * FROM work.tasks AS t
    WHERE status = ANY (%(statuses)s) AND (coalesce(due, 'infinity'), item) > (%(at)s::timestamptz, %(after)s)
        AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR team = %(team)s)
        AND (%(due_by)s::timestamptz IS NULL OR due <= %(due_by)s)
        AND (%(about)s::uuid IS NULL OR item IN (
            SELECT s.item FROM timeline.refs AS r JOIN work.steps AS s ON s.name = r.name
            WHERE r.ref = %(about)s AND s.kind = 'task'
        ))
    ORDER BY coalesce(due, 'infinity'), item
    LIMIT %(limit)s
)
SELECT page.*, whose.customer FROM page
LEFT JOIN identity.evidences AS whose ON whose.evidence = page.evidence
ORDER BY coalesce(due, 'infinity'), item;

-- name: leads
-- A page of leads, the latest first.
WITH page AS MATERIALIZED (
    SELECT * FROM work.leads AS t
    WHERE status = ANY (%(statuses)s) AND (captured_at, item) < (%(at)s::timestamptz, %(after)s)
        AND (%(assignee)s::text IS NULL OR assignee = %(assignee)s)
        AND (%(team)s::text IS NULL OR team = %(team)s)
        AND (%(origin)s::text IS NULL OR origin = %(origin)s)
        AND (%(campaign)s::text IS NULL OR campaign = %(campaign)s)
    ORDER BY captured_at DESC, item DESC
    LIMIT %(limit)s
)
SELECT page.*, whose.customer FROM page
LEFT JOIN identity.evidences AS whose ON whose.evidence = page.evidence
ORDER BY captured_at DESC, item DESC;

-- name: notices
-- What a colleague was told, the latest first.
SELECT n.name, n.why, n.happened_at, n.kind, n.item, n.ref, n.actor, whose.customer
FROM work.notices AS n LEFT JOIN identity.evidences AS whose ON whose.evidence = n.evidence
WHERE n.user_code = %(user)s AND (n.happened_at, n.name) < (%(at)s::timestamptz, %(after)s)
ORDER BY n.happened_at DESC, n.name DESC
LIMIT %(limit)s;

-- name: evidences
-- The evidences that are at home in the customer of a node; no row for what is no node.
SELECT ARRAY (SELECT e.evidence FROM identity.evidences AS e WHERE e.customer = n.customer)
FROM identity.nodes AS n WHERE n.node = %(node)s;

-- name: deals_of
-- A customer's deals, open ones first, then the last changed.
SELECT t.*, whose.customer FROM work.deals AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
WHERE t.evidence = ANY (%(evidences)s::uuid[]) AND t.status = ANY (%(statuses)s)
ORDER BY (t.status = 'open') DESC, t.changed_at DESC, t.item LIMIT %(limit)s;

-- name: tickets_of
-- A customer's tickets, open ones first, then the last changed.
SELECT t.*, whose.customer FROM work.tickets AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
WHERE t.evidence = ANY (%(evidences)s::uuid[]) AND t.status = ANY (%(statuses)s)
ORDER BY (t.status = 'open') DESC, t.changed_at DESC, t.item LIMIT %(limit)s;

-- name: tasks_of
-- A customer's tasks, open ones first, then the last changed.
SELECT t.*, whose.customer FROM work.tasks AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
WHERE t.evidence = ANY (%(evidences)s::uuid[]) AND t.status = ANY (%(statuses)s)
ORDER BY (t.status = 'open') DESC, t.changed_at DESC, t.item LIMIT %(limit)s;

-- name: leads_of
-- A customer's leads, open ones first, then the last changed.
SELECT t.*, whose.customer FROM work.leads AS t JOIN identity.evidences AS whose ON whose.evidence = t.evidence
WHERE t.evidence = ANY (%(evidences)s::uuid[]) AND t.status = ANY (%(statuses)s)
ORDER BY (t.status = 'open') DESC, t.changed_at DESC, t.item LIMIT %(limit)s;

-- name: erased
-- Was whoever an evidence is of erased?
SELECT EXISTS (SELECT FROM storyline.erased WHERE evidence = %(evidence)s);

-- name: history
-- The steps of an item in their order, by what had happened and was recorded by then, each with its record and that of
-- the event that put it right.
SELECT s.name, s.kind, s.type, s.happened_at, s.recorded_at, s.revision, s.actor, s.source, s.native, s.folds, s.ref,
    s.public, e.record, amendment.record
FROM work.steps AS s JOIN timeline.events AS e ON e.name = s.name
LEFT JOIN timeline.corrected AS c ON c.name = s.name
LEFT JOIN timeline.events AS amendment ON amendment.name = c.amended_by
WHERE s.item = %(item)s AND s.happened_at <= %(happened_by)s AND s.recorded_at <= %(recorded_by)s
ORDER BY s.revision, s.happened_at, s.name
LIMIT %(most)s;

-- name: records
-- Records of events, and of those that put them right.
SELECT e.name, e.record, amendment.record
FROM timeline.events AS e
LEFT JOIN timeline.corrected AS c ON c.name = e.name
LEFT JOIN timeline.events AS amendment ON amendment.name = c.amended_by
WHERE e.name = ANY (%(names)s::uuid[]);
