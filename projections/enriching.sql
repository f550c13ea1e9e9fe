-- What does the timeline know of touchpoints whose words are to be scored? Asked once all that is asked about is visible.

-- name: positions
-- How far the timeline has come.
SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = 'live' AND log_id = %(log_id)s;

-- name: corrected_by
-- Which events do these correct, or take back, and which do those, and so on?
WITH RECURSIVE spoken AS (
    SELECT name AS cause, target FROM timeline.about
    WHERE name = ANY (%(names)s::uuid[]) AND relation IN ('corrects', 'retracts')
    UNION
    SELECT spoken.cause, about.target FROM spoken JOIN timeline.about ON about.name = spoken.target
    WHERE about.relation IN ('corrects', 'retracts')
)
SELECT cause, target FROM spoken ORDER BY cause, target;

-- name: touchpoints
-- These events, if customers said something by them, with what holds the words that count.
SELECT e.name, e.record, words.record
FROM timeline.events AS e
LEFT JOIN timeline.corrected AS c ON c.name = e.name
LEFT JOIN timeline.events AS words ON words.name = c.amended_by
WHERE e.name = ANY (%(names)s::uuid[]) AND e.type = ANY (%(types)s) AND e.direction = 'in'
    AND c.retracted IS NOT TRUE;

-- name: there
-- Which of these are there already?
SELECT name FROM timeline.events WHERE name = ANY (%(names)s::uuid[]);
