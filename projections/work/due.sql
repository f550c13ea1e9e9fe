-- What is due of deals, tickets and tasks that are kept here? Each query gives the item and the moment from which on
-- something is to be done, the earliest first, without what is settled or in a scheduler's hands (`storyline.due`).

-- name: respond_warn
-- First responses that come near.
SELECT item, respond_warn FROM work.tickets AS t
WHERE native AND status = 'open' AND responded_at IS NULL AND respond_warn <= %(now)s AND NOT EXISTS (
    SELECT FROM storyline.due AS d
    WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.respond_warn
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
)
ORDER BY respond_warn, item LIMIT %(limit)s;

-- name: respond_by
-- First responses that were not given in time.
SELECT item, respond_by FROM work.tickets AS t
WHERE native AND status = 'open' AND responded_at IS NULL AND respond_by <= %(now)s AND NOT EXISTS (
    SELECT FROM storyline.due AS d
    WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.respond_by
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
)
ORDER BY respond_by, item LIMIT %(limit)s;

-- name: resolve_warn
-- Resolutions that come near. Null while the clock stands still.
SELECT item, resolve_warn FROM work.tickets AS t
WHERE native AND status = 'open' AND resolve_warn <= %(now)s AND NOT EXISTS (
    SELECT FROM storyline.due AS d
    WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.resolve_warn
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
)
ORDER BY resolve_warn, item LIMIT %(limit)s;

-- name: resolve_by
-- Tickets that were not resolved in time.
SELECT item, resolve_by FROM work.tickets AS t
WHERE native AND status = 'open' AND resolve_by <= %(now)s AND NOT EXISTS (
    SELECT FROM storyline.due AS d
    WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.resolve_by
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
)
ORDER BY resolve_by, item LIMIT %(limit)s;

-- name: deal_stays
-- Open deals that have been in a stage for so many seconds.
SELECT item, stage_since + %(seconds)s * interval '1 second' FROM work.deals AS t
WHERE native AND status = 'open' AND pipeline = %(pipeline)s AND stage = %(stage)s
    AND stage_since <= %(now)s - %(seconds)s * interval '1 second' AND NOT EXISTS (
        SELECT FROM storyline.due AS d
        WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '')
            AND d.at = t.stage_since + %(seconds)s * interval '1 second'
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
    )
ORDER BY stage_since, item LIMIT %(limit)s;

-- name: ticket_stays
-- Tickets that have been in a state for so many seconds.
SELECT item, state_since + %(seconds)s * interval '1 second' FROM work.tickets AS t
WHERE native AND state = %(state)s AND state_since <= %(now)s - %(seconds)s * interval '1 second' AND NOT EXISTS (
    SELECT FROM storyline.due AS d
    WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '')
        AND d.at = t.state_since + %(seconds)s * interval '1 second'
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
)
ORDER BY state_since, item LIMIT %(limit)s;

-- name: reminders
-- Open tasks of which somebody is to be reminded.
SELECT item, remind_at FROM work.tasks AS t
WHERE native AND status = 'open' AND remind_at <= %(now)s AND NOT EXISTS (
    SELECT FROM storyline.due AS d
    WHERE d.job = %(job)s AND d.item = replace(t.item::text, '-', '') AND d.at = t.remind_at
        AND (d.outcome IS NOT NULL OR d.again_at > %(now)s)
)
ORDER BY remind_at, item LIMIT %(limit)s;
