-- How much does the demo find in the read model before and after it has published?

-- name: events
-- Events on all timelines together; a repeat adds none.
SELECT count(*) FROM timeline.events;
