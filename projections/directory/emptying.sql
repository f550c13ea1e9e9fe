-- How is the directory emptied of a person, in every build of it that there is? The braces are filled with quoted
-- names of schemas, never with a value.

-- name: hold_builds
-- No build of a read model comes, goes or is switched meanwhile.
SELECT pg_advisory_xact_lock(7053081002);

-- name: hold_directory
-- Whoever brings rows in shares this lock: those before are done when it is had, those after see what is erased.
SELECT pg_advisory_xact_lock(7053081011);

-- name: has_schema
-- Is there such a build?
SELECT to_regnamespace(%(name)s) IS NOT NULL;

-- name: search_path
-- Work on one build for the rest of the transaction. What has no build of its own beside it stands on the live one.
SET LOCAL search_path TO {}, {}, {}, {}, directory, identity, timeline, customers, public, pg_temp;

-- name: vacuum
-- Take what was deleted out of the tables and their indexes, so that no dead row keeps it; and sample them anew, since
-- the planner's statistics (`pg_stats`) hold values in clear.
VACUUM (ANALYZE, INDEX_CLEANUP ON) {}, {}, {}, {};
