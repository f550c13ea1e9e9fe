-- What is known when a rule is to act? The event, whose it is, and the items that it is about.

-- name: event
-- An event that the read models have seen, by its name; whose it is, and whether it was taken back.
SELECT e.record, e.happened_at, e.recorded_at, whose.customer, coalesce(corrected.retracted, false)
FROM timeline.events AS e
LEFT JOIN identity.evidences AS whose ON whose.evidence = e.evidence
LEFT JOIN timeline.corrected ON corrected.name = e.name
WHERE e.name = %(name)s;

-- name: deal
-- Deals by their ids, the native ones first.
SELECT item, native, to_jsonb(d) FROM work.deals AS d WHERE item = ANY (%(items)s::uuid[]) ORDER BY native DESC, item;

-- name: ticket
-- Tickets by their ids.
SELECT item, native, to_jsonb(t) FROM work.tickets AS t WHERE item = ANY (%(items)s::uuid[]) ORDER BY native DESC, item;

-- name: task
-- Tasks by their ids.
SELECT item, native, to_jsonb(t) FROM work.tasks AS t WHERE item = ANY (%(items)s::uuid[]) ORDER BY native DESC, item;

-- name: lead
-- Leads by their ids.
SELECT item, native, to_jsonb(l) FROM work.leads AS l WHERE item = ANY (%(items)s::uuid[]) ORDER BY native DESC, item;
