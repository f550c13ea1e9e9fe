-- What is due, by rows? Of native items alone: what another system keeps is not ours to move. Each query gives item, the
-- moment that names the piece of work, since when it is due, until when it is of use (null: always), and what its job
-- needs to know; the earliest first. What storyline.due says is settled, or in somebody's hands, is left out.

-- name: first_response_warning
-- Tickets whose first response is due before long.
SELECT t.item, t.respond_warn, t.respond_warn, t.respond_by, t.respond_by
FROM work.tickets AS t
WHERE t.native AND t.respond_warn <= %(now)s AND t.responded_at IS NULL AND t.closed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.respond_warn
            AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY t.respond_warn, t.item LIMIT %(limit)s;

-- name: first_response_breach
-- Tickets whose first response is overdue.
SELECT t.item, t.respond_by, t.respond_by, NULL::timestamptz, t.respond_by
FROM work.tickets AS t
WHERE t.native AND t.respond_by <= %(now)s AND t.responded_at IS NULL AND t.closed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.respond_by
            AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY t.respond_by, t.item LIMIT %(limit)s;

-- name: resolution_warning
-- Tickets that are to be resolved before long; one whose clock stands still has no such moment.
SELECT t.item, t.resolve_warn, t.resolve_warn, t.resolve_by, t.resolve_by
FROM work.tickets AS t
WHERE t.native AND t.resolve_warn <= %(now)s AND t.closed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.resolve_warn
            AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY t.resolve_warn, t.item LIMIT %(limit)s;

-- name: resolution_breach
-- Tickets that should have been resolved.
SELECT t.item, t.resolve_by, t.resolve_by, NULL::timestamptz, t.resolve_by
FROM work.tickets AS t
WHERE t.native AND t.resolve_by <= %(now)s AND t.closed_at IS NULL
    AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.resolve_by
            AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY t.resolve_by, t.item LIMIT %(limit)s;

-- name: deals_in_stage
-- Open deals that have been in a stage of a pipeline for as long as is stated of it. A stay is named by its beginning, so
-- that another length of time is no second piece of work.
SELECT d.item, d.stage_since, d.stage_since + stay.length, NULL::timestamptz, d.pipeline, d.stage, d.revision
FROM unnest(%(pipelines)s::text[], %(stages)s::text[], %(lengths)s::interval[]) AS stay (pipeline, stage, length)
JOIN work.deals AS d ON d.pipeline = stay.pipeline AND d.stage = stay.stage
WHERE d.native AND d.status = 'open' AND d.stage_since <= %(now)s - stay.length
    AND NOT EXISTS (
        SELECT FROM storyline.due
        WHERE due.job = %(job)s AND due.item = replace(d.item::text, '-', '') AND due.at = d.stage_since
            AND (due.outcome IS NOT NULL OR due.again_at > %(now)s)
    )
ORDER BY d.stage_since + stay.length, d.item LIMIT %(limit)s;

-- name: tickets_in_state
-- Tickets that have been in a state for as long as is stated of it.
SELECT t.item, t.state_since, t.state_since + stay.length, NULL::timestamptz, t.state, t.revision
FROM unnest(%(states)s::text[], %(lengths)s::interval[]) AS stay (state, length)
JOIN work.tickets AS t ON t.state = stay.state
WHERE t.native AND t.folded_into IS NULL AND t.state_since <= %(now)s - stay.length
    AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.state_since
            AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY t.state_since + stay.length, t.item LIMIT %(limit)s;

-- name: reminders
-- Open tasks that somebody wanted to be reminded of.
SELECT t.item, t.remind_at, t.remind_at, NULL::timestamptz, t.due
FROM work.tasks AS t
WHERE t.native AND t.status = 'open' AND t.remind_at <= %(now)s
    AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.remind_at
            AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY t.remind_at, t.item LIMIT %(limit)s;
